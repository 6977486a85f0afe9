"""The world's dynamics against closed forms, and what holds in all lawful scenes."""

import dataclasses
import math

import pytest
import torch

from startle_models.world import VARIED, Edit, SceneSpec, events, frame_times, lawful_video, sample_scenes, simulate, visibility
from startle_models.world.bank import COUNT, PERIODS, share, tile, tiles
from startle_models.world.bank import SIDE as TILE
from startle_models.world.bodies import screen_axes
from startle_models.world.shapes import mass, width
from startle_models.world.state import (
    BANK, BLOCK, BOX, CYLINDER, HELD_OUT_SHAPES, HELD_OUT_TEXTURES, MORE_SHAPES, PLAIN, RAMP, SPHERE, TRAINING_SHAPES,
    TRAINING_TEXTURES,
)

FPS = 60.0


def gen(seed):
    return torch.Generator().manual_seed(seed)


def times(frames, fps=FPS):
    return frame_times(frames, fps)


def ball(height=2.0, vx=0.0, vy=0.0, e=0.6, friction=0.0, n=4, rolls=True, half=0.5):
    """n scenes with one object of half extent `half` in all directions, its centre `height` above its resting height;
    gravity differs between them."""
    scene = sample_scenes(n, 2.0, gen(1), SceneSpec.plain())
    scene.active[:] = False
    scene.active[:, 0] = True
    scene.collide[:] = False
    scene.kind[:] = SPHERE if rolls else BOX
    scene.rolls[:] = rolls
    scene.ease[:] = 5 / 7 if rolls else 1.0
    scene.yaw[:] = 0
    scene.half[:] = half
    scene.pos[:, 0] = torch.tensor([0.0, half + height, 8.0])
    scene.vel[:, 0] = torch.tensor([vx, vy, 0.0])
    scene.rate[:] = scene.turn[:] = 0
    scene.restitution[:] = e
    scene.friction[:] = friction
    scene.gravity[:] = torch.linspace(3, 9, n)
    return scene


def solid(scene, kind, x, half_width, height, side=1.0):
    """Give object 0 a solid."""
    scene.solid[:, 0] = 0
    look = scene.look
    look.solid_on[:, 0], look.solid_kind[:, 0], look.solid_side[:, 0] = True, kind, side
    look.solid_box[:, 0] = torch.tensor([x, 8.0, half_width, 0.6, height])


def hang(scene, length, angle):
    """Hang object 0 on a string, at rest at an angle (rad)."""
    scene.look.hung[:, 0] = True
    scene.look.pivot[:, 0] = torch.tensor([0.0, 5.0, 8.0])
    scene.pos[:, 0] = torch.tensor([length * math.sin(angle), 5.0 - length * math.cos(angle), 8.0])
    scene.vel[:, 0] = 0


def test_flight_is_ballistic():
    scene = ball(height=40.0, vx=1.5, vy=2.0)
    scene.vel[:, 0, 2] = -0.5
    track = simulate(scene, times(90))
    t = times(90).float()
    y = 40.5 + 2.0 * t - 0.5 * scene.gravity[:, None] * t**2
    assert torch.allclose(track.pos[:, :, 0, 1], y, atol=2e-4)
    assert torch.allclose(track.pos[:, :, 0, 0], (1.5 * t).expand(4, -1), atol=1e-5)
    assert torch.allclose(track.pos[:, :, 0, 2], (8 - 0.5 * t).expand(4, -1), atol=1e-5)


def test_bounce_height_is_e_squared_h():
    e, h = 0.7, 2.0
    scene = ball(height=h, e=e)
    track = simulate(scene, times(480, 240.0))
    y, vy, g = track.pos[:, :, 0, 1] - 0.5, track.vel[:, :, 0, 1], scene.gravity
    t1 = (2 * h / g).sqrt()  # first impact
    t2 = t1 + 2 * e * t1  # second impact
    t = times(480, 240.0)
    for i in range(4):
        between = (t > t1[i] + 0.01) & (t < t2[i] - 0.01)
        since = (t - t1[i])[between]
        arc = e * (2 * h * g[i]).sqrt() * since - 0.5 * g[i] * since**2
        assert torch.allclose(y[i][between].double(), arc, atol=1e-3)
        assert abs(float(y[i][between].max()) - e**2 * h) < 2e-3 * h
        energy = 0.5 * vy[i][between] ** 2 + g[i] * y[i][between]
        assert float(energy.std() / energy.mean()) < 1e-3


def test_friction_stops_after_v_squared_over_2_mu_g_and_rolling_does_not_slip():
    mu, v = 0.1, 2.0
    scene = ball(height=0.0, vx=v, friction=mu)
    track = simulate(scene, times(600))
    stop = v**2 / (2 * mu * scene.gravity)
    assert torch.allclose(track.pos[:, -1, 0, 0], stop, rtol=1e-3)
    assert torch.allclose(track.pos[:, :, 0, 1], torch.tensor(0.5), atol=1e-6)
    # rolling without slipping: turned about -z by distance / radius
    angle, yaw = -track.pos[:, :, 0, 0] / 0.5, torch.eye(3)
    assert torch.allclose(track.rot[:, :, 0, 0, 0], angle.cos(), atol=1e-4)
    assert torch.allclose(track.rot[:, :, 0, 1, 0], angle.sin(), atol=1e-4)
    assert torch.allclose(track.rot[0, 0, 0], yaw, atol=1e-6)


@pytest.mark.parametrize("e", [0.0, 0.3, 1.0])
def test_collision_keeps_momentum_and_restitution(e):
    scene = ball(height=0.0, vx=2.0, e=e)
    scene.active[:, 1] = True
    scene.half[:, 1] = 0.8
    scene.kind[:, 1], scene.rolls[:, 1] = CYLINDER, False
    scene.pos[:, 1] = torch.tensor([3.0, 0.8, 8.0])
    scene.pos[:, :2, 1] = 50.0  # in flight at one height: a head-on impact
    scene.vel[:, 1] = torch.tensor([-0.5, 0.0, 0.0])
    scene.collide[:, 0, 1] = True
    track = simulate(scene, times(120))
    m = mass(scene)[:, :2]
    assert torch.allclose(m[:, 0], torch.tensor(4 / 3 * math.pi * 0.5**3))
    assert torch.allclose(m[:, 1], torch.tensor(2 * math.pi * 0.8**3))
    before, after = track.vel[:, 0, :2, 0], track.vel[:, -1, :2, 0]
    assert torch.allclose((before * m).sum(-1), (after * m).sum(-1), atol=1e-5)
    assert torch.allclose(after[:, 1] - after[:, 0], -e * (before[:, 1] - before[:, 0]), atol=1e-5)
    at = (3.0 - 1.3) / 2.5  # the time of the impact is exact, too
    meet = 2.0 * at + after[:, 0] * (times(120)[-1].float() - at)
    assert torch.allclose(track.pos[:, -1, 0, 0], meet, atol=1e-4)


def test_rolling_balls_of_different_size_touch_at_their_surfaces():
    scene = ball(height=0.0, vx=1.0, e=1.0)
    scene.active[:, 1] = True
    scene.half[:, 1] = 0.3
    scene.pos[:, 1] = torch.tensor([2.0, 0.3, 8.0])
    scene.vel[:, 1] = 0
    scene.collide[:, 0, 1] = True
    track = simulate(scene, times(180))
    gap = (track.pos[:, :, 0] - track.pos[:, :, 1]).norm(dim=-1)
    assert abs(float(gap.min()) - 0.8) < 0.01


@pytest.mark.parametrize("rolls", [False, True])
def test_down_a_ramp(rolls):
    """g sin(theta) for what slides without friction, 5/7 of it for a rolling ball; energy at the foot."""
    height, half_width, r = 2.0, 2.5, 0.3
    scene = ball(rolls=rolls, half=r)
    solid(scene, RAMP, 0.0, half_width, height)
    theta, x0 = math.atan2(height, 2 * half_width), 1.5
    y0 = height / 2 + x0 * math.tan(theta) + r / math.cos(theta)
    scene.pos[:, 0] = torch.tensor([x0, y0, 8.0])
    track = simulate(scene, times(240))
    share = 5 / 7 if rolls else 1.0
    t = 0.5
    way = 0.5 * share * scene.gravity * math.sin(theta) * t**2
    assert torch.allclose(x0 - track.pos[:, 30, 0, 0], way * math.cos(theta), atol=2e-3)
    final = (2 * share * scene.gravity * (y0 - r)).sqrt()
    assert torch.allclose(track.vel[:, -1, 0, 0], -final, rtol=2e-3)
    assert torch.allclose(track.pos[:, -1, 0, 1], torch.tensor(r), atol=1e-6)


def test_up_a_ramp_and_back():
    scene = ball(height=0.0, vx=1.5, half=0.3)
    solid(scene, RAMP, 3.0, 2.0, 2.0)
    scene.pos[:, 0, 0] = 0.0
    track = simulate(scene, times(600))
    top = track.pos[:, :, 0, 1].amax(1) - 0.3
    assert torch.allclose(top, 7 / 5 * 1.5**2 / 2 / scene.gravity, rtol=1e-2)
    assert torch.allclose(track.vel[:, -1, 0, 0], torch.tensor(-1.5), rtol=1e-2)


def test_off_a_ledge():
    """From the edge on a fall: landing after sqrt(2 H / g), v times that away."""
    height, v = 1.2, 2.43
    scene = ball(vx=v, e=0.0, half=0.3)
    solid(scene, BLOCK, -1.0, 1.5, height)
    scene.pos[:, 0] = torch.tensor([-0.5, height + 0.3, 8.0])
    track = simulate(scene, times(480, 240.0))
    x, y = track.pos[:, :, 0, 0], track.pos[:, :, 0, 1] - 0.3
    fallen = times(480, 240.0).float() - 1.0 / v
    arc = height - 0.5 * scene.gravity[:, None] * fallen.clamp(min=0) ** 2
    off_floor = arc > 0.05
    assert float((y - arc)[off_floor].abs().max()) < 2e-3
    landed = (y < 1e-5).float().argmax(1)
    fall = (2 * height / scene.gravity).sqrt()
    assert torch.allclose(x[torch.arange(4), landed] - 0.5, v * fall, atol=v / 100)
    assert torch.allclose(y[:, -1], torch.tensor(0.0), atol=1e-6)


def test_a_block_throws_back_at_the_exact_time():
    e, v = 0.6, 2.17
    scene = ball(height=0.0, vx=v, e=e, half=0.3)
    solid(scene, BLOCK, 2.0, 0.4, 1.0)
    track = simulate(scene, times(120))
    at = (1.6 - 0.3) / v
    last = float(times(120)[-1])
    assert torch.allclose(track.pos[:, :, 0, 0].amax(1), torch.tensor(1.3), atol=0.02)
    assert torch.allclose(track.pos[:, -1, 0, 0], torch.tensor(1.3 - e * v * (last - at)), atol=1e-4)


@pytest.mark.parametrize("angle", [0.05, 1.2])
def test_pendulum_keeps_energy(angle):
    length = 3.0
    scene = ball()
    hang(scene, length, angle)
    track = simulate(scene, times(600))
    g = scene.gravity[:, None]
    energy = 0.5 * track.vel[:, :, 0].square().sum(-1) + g * (track.pos[:, :, 0, 1] - 2.0)
    swing = g * length * (1 - math.cos(angle))
    assert float(((energy - swing) / swing).abs().max()) < 2e-3
    assert torch.allclose((track.pos[:, :, 0] - scene.look.pivot[:, None, 0]).norm(dim=-1), torch.tensor(length))


def test_pendulum_has_its_small_angle_period():
    length = 3.0
    scene = ball()
    hang(scene, length, 0.05)
    track = simulate(scene, times(1200, 240.0))
    x = track.pos[:, :, 0, 0]
    for i in range(4):
        rising = ((x[i, :-1] < 0) & (x[i, 1:] >= 0)).nonzero()[0, 0]
        period = float(rising) / 240 / 0.75  # it starts at one end: three quarters of a period
        assert abs(period - 2 * math.pi * math.sqrt(length / float(scene.gravity[i]))) < 0.01


def test_frames_do_not_depend_on_which_others_are_asked_for():
    scene = sample_scenes(24, 3.0, gen(3))
    some = torch.tensor([0.0, 0.31, 0.5, 1.7, 2.123, 3.0], dtype=torch.float64)
    extra = torch.cat([some, torch.rand(40, generator=gen(1), dtype=torch.float64) * 3.3]).sort().values
    a, b = simulate(scene, some), simulate(scene, extra)
    where = torch.searchsorted(extra, some)
    for name in ("pos", "vel", "rot", "screen", "cam_pos", "cam_rot"):
        assert torch.equal(getattr(a, name), getattr(b, name)[:, where]), name


def test_a_slow_source_repeats_frames():
    assert torch.allclose(frame_times(7, 12, 8), torch.tensor([0, 0, 1, 2, 2, 3, 4]).double() / 8)


def test_same_seed_same_video():
    a = lawful_video(3, 10, 10, 48, 48, gen(5))
    b = lawful_video(3, 10, 10, 48, 48, gen(5))
    c = lawful_video(3, 10, 10, 48, 48, gen(6))
    assert a.dtype == torch.uint8 and a.shape == (3, 10, 48, 48, 3)
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_lawful_objects_stay_out_of_floor_solids_and_each_other():
    scene = sample_scenes(400, 4.0, gen(8))
    track = simulate(scene, times(40, 10.0))
    a, shown = width(scene)[:, None], track.active
    foot = track.pos[..., 1] - track.half[..., 1]
    leaning = scene.look.hung[:, None] | (scene.solid >= 0)[:, None]
    assert float(torch.where(shown & ~leaning, foot, 0.0).min()) > -1e-4
    index = scene.solid.clamp(min=0)
    box = scene.look.solid_box.gather(1, index[..., None].expand(-1, -1, 5))[:, None]
    block = ((scene.solid >= 0) & (scene.look.solid_kind.gather(1, index) == BLOCK))[:, None] & shown
    beside = (track.pos[..., 0] - box[..., 0]).abs() - box[..., 2] - a
    deep = torch.minimum(-beside, box[..., 4] - foot)  # into the block, by the shorter way out
    # over an edge, corners of falling boxes may overlap a little
    assert int(block.sum()) > 2000 and float(torch.where(block, deep, 0.0).max()) < 0.12
    ramp = ((scene.solid >= 0) & (scene.look.solid_kind.gather(1, index) == RAMP) & scene.rolls)[:, None] & shown
    d, side = track.pos[..., 0] - box[..., 0], scene.look.solid_side.gather(1, index)[:, None]
    slope = side * box[..., 4] / box[..., 2] / 2
    line = box[..., 4] / 2 + slope * d + track.half[..., 1] * (1 + slope**2).sqrt()
    over = ramp & (d.abs() < box[..., 2])
    assert int(over.sum()) > 200 and float(torch.where(over, track.pos[..., 1] - line, 0.0).min()) > -0.01
    gap = (track.pos[:, :, :, None] - track.pos[:, :, None]).norm(dim=-1)
    balls = shown & (scene.kind == SPHERE)[:, None]
    both = balls[..., None] & balls[..., None, :] & ~torch.eye(5, dtype=torch.bool)
    touching = scene.half[:, None, :, None, 0] + scene.half[:, None, None, :, 0]
    assert float(torch.where(both, gap - touching, 1.0).min()) > -0.03


def test_shapes_and_textures_of_training_are_not_those_held_out():
    for held_out, shapes, textures in ((False, TRAINING_SHAPES, TRAINING_TEXTURES),
                                       (True, HELD_OUT_SHAPES, (PLAIN, *HELD_OUT_TEXTURES))):
        for p in (0.0, 0.5, 1.0):
            spec = dataclasses.replace(SceneSpec.curriculum(p), held_out=held_out)
            scene = sample_scenes(64, 4.0, gen(2), spec)
            look = scene.look
            used = {int(k) for s in (look.room, look.screens, look.solids, look.objects) for k in s.kind.unique()}
            assert used <= set(textures)
            assert set(scene.kind.unique().tolist()) <= set(shapes)
            if held_out:
                shown = ((look.room.kind != PLAIN).any(1) | (look.objects.kind != PLAIN).any(1)).float()
                assert float(shown.mean()) > 0.85


def test_variety_shows_tiles_and_more_shapes_but_not_those_held_out_or_kept_back():
    scene = sample_scenes(200, 4.0, gen(2), SceneSpec.wide(**VARIED))
    look = scene.look
    used = {int(k) for s in (look.room, look.screens, look.solids, look.objects) for k in s.kind.unique()}
    tiles = {k for k in used if k >= BANK}
    assert len(tiles) > 0.9 * COUNT and max(tiles) < BANK + COUNT and not used & set(HELD_OUT_TEXTURES)
    assert set(scene.kind.unique().tolist()) == set(TRAINING_SHAPES + MORE_SHAPES)


def longest_unseen(scene, seconds):
    """Seconds [B] for which object 0 is out of sight though within the picture, at most, after it was seen whole and
    before it is again."""
    track = simulate(scene, times(round(seconds * 10), 10.0))
    seen, inside = (t[..., 0] for t in visibility(scene.look, track))
    hidden, whole = (seen == 0) & (inside > 0.99), seen > 0.99
    between = (whole.cumsum(1) > 0) & (whole.flip(1).cumsum(1).flip(1) > 0) & hidden
    run, most = torch.zeros(len(scene)), torch.zeros(len(scene))
    for column in between.unbind(1):
        run = (run + 1) * column
        most = most.maximum(run)
    return most / 10


def test_what_lingers_is_out_of_sight_for_up_to_three_seconds():
    spec = SceneSpec(objects=(0, 0.5, 0.5, 0, 0, 0), linger=1.0, screens=0.3, camera_moves=0.0, shake=0.0)
    scene = sample_scenes(96, 8.0, gen(7), spec)
    unseen = longest_unseen(scene, 8.0)
    assert float(unseen.max()) <= 3.1 and (unseen > 2.5).sum() > 10 and (unseen > 0.9).float().mean() > 0.7
    assert (scene.solid[:, 0] == -1).all() and not scene.collide[:, 0].any() and not scene.look.hung[:, 0].any()
    usual = longest_unseen(sample_scenes(96, 8.0, gen(7), dataclasses.replace(spec, linger=0.0, screens=1.0)), 8.0)
    assert (usual > 2.5).sum() < 5


def test_panels_are_low_tilted_still_and_clear_of_the_objects():
    scene = sample_scenes(96, 6.0, gen(8), SceneSpec(screens=1.0, panels=1.0, camera_moves=0.0, shake=0.0))
    look, track = scene.look, simulate(scene, times(60, 10.0))
    place, axes = track.screen, screen_axes(look)
    assert (place == place[:, :1]).all() and (look.screen_tilt.abs().amax((0, 2)) > 0.2).all()
    half, high = (look.screen_half[..., i, None] for i in range(2))
    corner = [place[:, 0] + sign * half * axes[..., 0] + up * high * axes[..., 1] for sign in (-1, 1) for up in (0, 1)]
    lower, upper = (torch.stack(corner[i::2]) for i in range(2))
    assert (lower[..., 1] < 1e-4).all() and (upper[..., 1].mean(0) < 1.31).all() and (upper[..., 1].mean(0) > 0.49).all()
    nearest = (track.pos[..., 2] - track.half[..., [0, 2]].norm(dim=-1))[track.active].min()
    assert float(upper[..., 2].max()) < nearest
    seen, inside = visibility(look, track)
    partly = (seen > 0) & (seen < inside) & track.active
    assert partly.any(1).any(1).float().mean() > 0.4


def test_tiles_are_tiles_of_many_kinds():
    table, means = tiles("cpu")
    table = table.view(-1, TILE, TILE)
    assert torch.equal(tile(7), table[7]) and float(table.min()) >= 0 and float(table.max()) <= 1
    assert torch.allclose(table.mean((1, 2)), means) and float(table.flatten(1).std(1).min()) > 0.02
    # One period on it is the same, and between texels it is between them.
    index, a = torch.tensor([3, 9]), torch.tensor([0.3, 0.7])
    assert torch.allclose(share(index, a, a), share(index, a + PERIODS, a - PERIODS), atol=1e-4)
    different = (table[:20, None] - table[None, :20]).abs().mean((2, 3))
    assert int((different < 0.02).sum()) == 20


def test_sizes_and_numbers_are_varied():
    scene = sample_scenes(600, 4.0, gen(4))
    share = scene.half[..., 0] / (scene.look.cam_tan[:, :1] * scene.pos[..., 2])
    share = share[scene.active]
    assert float((share < 0.07).float().mean()) > 0.2 and float(share.max()) < 0.3
    assert int(scene.active.sum(1).max()) == 5


def test_edits_break_physics_from_their_time_on():
    def edited(kind, scene):
        edit = Edit([kind] * 4, torch.zeros(4, dtype=torch.long), torch.full((4,), 0.5))
        return simulate(scene, times(90)), simulate(scene, times(90), edit)
    for kind in ("stop", "reverse", "float", "rise"):
        lawful, broken = edited(kind, ball(height=6.0, vx=1.0, vy=1.0))
        assert torch.equal(lawful.pos[:, :30], broken.pos[:, :30]), kind
        x, y = broken.pos[:, -1, 0, 0], broken.pos[:, -1, 0, 1]
        start = broken.pos[:, 30, 0]
        assert torch.allclose(x, {"stop": 0.5, "float": 0.5, "reverse": 1 - 89 / 60, "rise": 89 / 60}[kind]
                              + torch.zeros(4), atol=1e-4), kind
        if kind == "float":
            assert torch.allclose(y, start[:, 1])
        if kind == "rise":
            assert bool((y > start[:, 1] + 0.3).all())
    scene = ball(height=0.0, vx=2.0, half=0.3)
    solid(scene, BLOCK, 2.0, 0.4, 1.0)
    lawful, broken = edited("solidity", scene)
    assert torch.allclose(broken.pos[:, -1, 0, 0], torch.tensor(2.0 * 89 / 60), atol=1e-4)
    scene = ball(vx=2.5, half=0.3)
    solid(scene, BLOCK, -1.0, 2.4, 1.2)
    scene.pos[:, 0] = torch.tensor([0.0, 1.5, 8.0])
    lawful, broken = edited("unsupported", scene)
    assert torch.allclose(broken.pos[:, :, 0, 1], torch.tensor(1.5))
    assert bool((lawful.pos[:, -1, 0, 1] < 1.2).all())


def test_events_are_bounces_and_comings_out():
    scene = ball(height=2.0, e=0.7, n=2)
    scene.look.screen_on[:] = False
    found = events(scene.look, simulate(scene, times(40, 20.0)))
    emerges, turns = found.unbind(-1)
    assert not bool(emerges.any())
    for row, g in zip(turns, scene.gravity):
        hit = float((2 * 2.0 / g).sqrt()) * 20
        first = int(row.nonzero()[0])
        assert hit < first <= hit + 2, "the first change of motion in free fall is the bounce"
    scene = ball(height=0.0, vx=2.0, n=2)
    scene.pos[:, 0, 0] = -2.0
    scene.look.screen_on[:] = False
    scene.look.screen_on[:, 0] = True
    scene.look.screen_half[:, 0] = torch.tensor([0.8, 3.0])
    scene.screen_place[:, 0] = torch.tensor([0.0, 0.0, 5.0])
    scene.screen_move[:, :, 0] = 0
    track = simulate(scene, times(60, 20.0))
    emerges, turns = events(scene.look, track).unbind(-1)
    assert emerges.sum(1).tolist() == [1, 1] and not bool(turns.any())
    seen = visibility(scene.look, track)[0][:, :, 0]
    out = emerges.float().argmax(1)
    for row, frame in zip(seen, out.tolist()):
        assert row[frame - 1] == 0 < row[frame]
