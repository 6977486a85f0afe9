"""The pictures of the world against closed forms, and what rendering must keep: depth order, twins, colours."""

import math

import pytest
import torch

from startle_models.world import codec
from startle_models.world.render import project, render, visibility
from startle_models.world.state import (
    BLOCK, BOX, CHECKER, CONE, CYLINDER, N_LIGHTS, N_OBJECTS, N_SCREENS, N_SOLIDS, PLAIN, RAMP, SPHERE, STRIPES,
    ASPECT, Look, Surfaces, Trajectory,
)

TAN = 0.5
WHITE, RED, GREEN, BLUE = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def surfaces(b, m, grey=0.0):
    params = torch.tensor([1.0, 0.0, 0.25, 0.25]).repeat(b, m, 1)
    return Surfaces(torch.full((b, m), PLAIN), torch.full((b, m, 2, 3), grey), params)


def look_of(b=1):
    """A black room, white ambient light only, no noise."""
    def zero(*shape):
        return torch.zeros(b, *shape)
    light = torch.tensor([0.0, 1.0, 0.0]).repeat(b, N_LIGHTS, 1)
    return Look(
        torch.tensor([[TAN, TAN * ASPECT]]).repeat(b, 1), zero() + 20, zero() + 1e3, surfaces(b, 3),
        surfaces(b, N_SCREENS, 0.5), surfaces(b, N_SOLIDS, 0.5), surfaces(b, N_OBJECTS), light, zero(N_LIGHTS),
        zero() + 1, zero(N_SOLIDS).long(), zero(N_SOLIDS, 5) + 1, zero(N_SOLIDS).bool(), zero(N_SOLIDS) + 1,
        zero(N_SCREENS, 2) + 1, zero(N_SCREENS).bool(), zero(N_SCREENS, 2), zero(N_OBJECTS).bool(), zero(N_OBJECTS, 3),
        zero(), zero(), zero(), zero() + 1, zero(), zero())


def track_of(b=1, f=1):
    """No object active; a level camera at height 2."""
    def zero(*shape):
        return torch.zeros(b, f, *shape)
    eye = torch.eye(3).expand(b, f, 3, 3)
    pos = zero(N_OBJECTS, 3) + torch.tensor([0.0, 2.0, 8.0])
    colour = zero(N_OBJECTS, 2, 3)
    colour[..., 0, :] = 1
    return Trajectory(
        pos, zero(N_OBJECTS, 3), torch.eye(3).expand(b, f, N_OBJECTS, 3, 3).clone(), zero(N_OBJECTS).bool(),
        zero(N_OBJECTS).long(), zero(N_OBJECTS, 3) + 0.5, colour, zero(N_SCREENS, 3) + torch.tensor([0.0, 0.0, 5.0]),
        zero(3) + torch.tensor([0.0, 2.0, 0.0]), eye.clone(), torch.arange(f).expand(b, f) / 10.0)


def put(track, k, kind, pos, half=(0.5, 0.5, 0.5), colour=WHITE):
    track.active[:, :, k] = True
    track.kind[:, :, k] = kind
    track.pos[:, :, k] = torch.tensor(pos)
    track.half[:, :, k] = torch.tensor(half)
    track.colour[:, :, k, 0] = torch.tensor(colour)
    track.colour[:, :, k, 1] = 1 - torch.tensor(colour)


def turn(axis, angle):
    """Rotation matrix about a world axis."""
    c, s = math.cos(angle), math.sin(angle)
    m = torch.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def random_turns(n, seed=0):
    """Uniform random rotations [n,3,3], from quaternions."""
    q = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).T
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, 1).view(n, 3, 3)


def covered(video):
    """Area of what is white on black, in pixels [F]."""
    return video[0].float().mean(-1).sum((1, 2)) / 255


def telescope():
    """A camera 40 units off that sees 2.4 units: nearly parallel rays."""
    look = look_of()
    look.cam_tan = torch.tensor([[0.03, 0.03 * ASPECT]])
    look.wall_z[:] = 80
    return look


def at_pixel(video, look, point, frame=0, row=0):
    """Colour in [0, 1] where a level camera at (0, 2, 0) sees a point."""
    h, w = video.shape[2:4]
    x = (point[0] / point[2] / float(look.cam_tan[row, 0]) + 1) / 2 * w
    y = (1 - (point[1] - 2) / point[2] / float(look.cam_tan[row, 1])) / 2 * h
    return video[row, frame, int(y), int(x)].float() / 255


def test_silhouettes_in_perspective():
    look, track = look_of(), track_of(f=4)
    put(track, 0, SPHERE, (0, 2, 8), (0.8, 0.8, 0.8))
    track.kind[:, 1:, 0] = torch.tensor([BOX, CYLINDER, CONE])
    track.half[:, 1:, 0] = torch.tensor([0.7, 0.6, 0.5])
    track.rot[:, 2, 0], track.rot[:, 3, 0] = turn(0, -math.pi / 2), turn(0, math.pi / 2)  # a round face to the front
    track.half[:, 2:, 0] = torch.tensor([0.6, 0.4, 0.6])
    area = covered(render(look, track, 180, 320)) / (160 / TAN) ** 2
    assert float(area[0]) == pytest.approx(math.pi * 0.8**2 / (8**2 - 0.8**2), rel=0.01)
    assert float(area[1]) == pytest.approx(4 * 0.7 * 0.6 / 7.5**2, rel=0.01)
    assert float(area[2]) == pytest.approx(math.pi * 0.6**2 / 7.6**2, rel=0.01)
    assert float(area[3]) == pytest.approx(math.pi * 0.6**2 / 7.6**2, rel=0.01)


@pytest.mark.parametrize("kind, half, surface", [
    (SPHERE, (0.4, 0.4, 0.4), 4 * math.pi * 0.4**2),
    (BOX, (0.3, 0.2, 0.4), 8 * (0.3 * 0.2 + 0.3 * 0.4 + 0.2 * 0.4)),
    (CYLINDER, (0.3, 0.4, 0.3), 2 * math.pi * 0.3 * (0.3 + 0.8)),
    (CONE, (0.35, 0.4, 0.35), math.pi * 0.35 * (0.35 + math.hypot(0.35, 0.8))),
])
def test_mean_silhouette_is_a_quarter_of_the_surface(kind, half, surface):
    """Cauchy: so it is for every convex body, over all directions."""
    look, track = telescope(), track_of(f=400)
    put(track, 0, kind, (0, 2, 40), half)
    track.rot[0, :, 0] = random_turns(400)
    area = covered(render(look, track, 54, 96)).mean() * (0.03 * 40 * 2 / 96) ** 2
    assert float(area) == pytest.approx(surface / 4, rel=0.02)


def test_nearer_objects_hide_farther_ones_and_bodies_may_cross():
    look, track = look_of(), track_of(f=2)
    put(track, 0, SPHERE, (0, 2, 9), (1, 1, 1), RED)
    put(track, 1, SPHERE, (0, 2, 7), (0.5, 0.5, 0.5), GREEN)
    track.pos[:, 1, 1, 2] = 11
    video = render(look, track, 90, 160)
    assert video[0, 0, 45, 80].tolist() == [0, 255, 0] and video[0, 1, 45, 80].tolist() == [255, 0, 0]
    # a ball half inside a block comes out of its front, a box across it on both sides
    look.solid_on[:, 0] = True
    look.solid_box[:, 0] = torch.tensor([0.0, 8.0, 1.5, 1.0, 4.0])
    track = track_of()
    put(track, 0, SPHERE, (0, 2, 7.1), (0.5, 0.5, 0.5), RED)
    put(track, 1, BOX, (0, 1, 8), (2.5, 0.2, 0.2), GREEN)
    video = render(look, track, 90, 160)
    assert video[0, 0, 45, 80].tolist() == [255, 0, 0]
    assert at_pixel(video, look, (0.9, 2, 7)).tolist() == pytest.approx([0.5] * 3, abs=0.01)
    assert at_pixel(video, look, (1.2, 1, 7)).tolist() == pytest.approx([0.5] * 3, abs=0.01)
    for side in (-2.0, 2.0):
        assert at_pixel(video, look, (side, 1, 7.8)).tolist() == [0, 1, 0]


def test_a_ramp_is_half_a_block_and_rises_to_its_side():
    look, track = look_of(3), track_of(3)
    look.solid_on[:, 0] = True
    look.solid_box[:, 0] = torch.tensor([0.0, 8.0, 1.5, 1e-3, 2.0])  # flat: only its front is seen
    look.solid_box[:, 0, 0] = torch.tensor([0.4, 0.4, -0.4])
    look.solid_kind[:, 0] = torch.tensor([BLOCK, RAMP, RAMP])
    look.solid_side[:, 0] = torch.tensor([1.0, 1.0, -1.0])
    video = render(look, track, 180, 320)
    area = video.float().mean(-1).sum((1, 2, 3))
    assert float(area[1] / area[0]) == pytest.approx(0.5, abs=0.01)
    assert torch.equal(video[1].flip(2), video[2])
    assert float(at_pixel(video, look, (1.5, 1, 8), row=1)[0]) > 0.4
    assert float(at_pixel(video, look, (-0.7, 1, 8), row=1)[0]) == 0


def test_floor_and_walls_meet_where_they_should():
    look, track = look_of(), track_of()
    look.side_x[:] = 5.0
    for i, colour in enumerate((RED, GREEN, BLUE)):
        look.room.colour[:, i] = torch.tensor(colour)
    video = render(look, track, 180, 320)
    for point, surface in (((0, 0, 19.5), 0), ((0, 0.1, 20), 1), ((4.8, 3, 20), 1), ((5, 3, 19), 2),
                           ((-5, 0.1, 19), 2), ((-4.9, 0, 19), 0)):
        assert at_pixel(video, look, point).argmax() == surface


def sunny(b=1):
    """Grey room, half ambient light, half from the right and above."""
    look = look_of(b)
    look.room.colour[:] = 0.5
    look.ambient[:] = 0.5
    look.power[:, 0] = 0.5
    look.light[:, 0] = torch.tensor([0.6, 0.8, 0.0])
    return look


@pytest.mark.parametrize("kind", [SPHERE, BOX, CYLINDER])
def test_shadows_fall_away_from_the_light(kind):
    look, track = sunny(), track_of()
    put(track, 0, kind, (0, 1.5, 8), (0.3, 0.3, 0.3))
    video = render(look, track, 180, 320)
    assert at_pixel(video, look, (-1.125, 0, 8))[0] == pytest.approx(0.5 * 0.5, abs=0.005)
    assert at_pixel(video, look, (1.125, 0, 8))[0] == pytest.approx(0.5 * 0.9, abs=0.005)
    track.active[:] = False
    assert at_pixel(render(look, track, 180, 320), look, (-1.125, 0, 8))[0] == pytest.approx(0.45, abs=0.005)


def test_shadows_fall_on_solids_and_objects_and_from_solids():
    look, track = sunny(), track_of()
    look.solid_on[:, 0] = True
    look.solid_box[:, 0] = torch.tensor([-1.125, 8.0, 0.7, 1.0, 1.0])
    look.solids.colour[:] = 0.5
    put(track, 0, SPHERE, (0, 2.5, 8), (0.3, 0.3, 0.3))       # shades the block's top at x = -1.125
    put(track, 1, BOX, (1.6, 0.2, 7), (0.4, 0.2, 0.4))
    put(track, 2, BOX, (2.35, 1.2, 7), (0.2, 0.2, 0.2))  # shades the top of the box before it
    video = render(look, track, 360, 640)
    assert at_pixel(video, look, (-1.125, 1, 8))[0] == pytest.approx(0.25, abs=0.02)
    assert at_pixel(video, look, (-0.6, 1, 8))[0] == pytest.approx(0.45, abs=0.02)
    assert at_pixel(video, look, (-2.1, 0, 8))[0] == pytest.approx(0.25, abs=0.02)  # the block's own
    assert at_pixel(video, look, (1.75, 0.4, 7))[0] == pytest.approx(0.5, abs=0.02)
    assert at_pixel(video, look, (1.3, 0.4, 7))[0] == pytest.approx(0.9, abs=0.02)


def test_shadows_of_stacked_objects():
    look, track = sunny(), track_of()
    put(track, 0, BOX, (0, 0.4, 7), (0.4, 0.4, 0.4))
    put(track, 1, BOX, (0.15, 1.0, 7), (0.2, 0.2, 0.2))
    look.objects.params[..., 3] = 0  # not glossy
    video = render(look, track, 360, 640)
    assert at_pixel(video, look, (-0.1, 0.8, 7))[0] == pytest.approx(0.5, abs=0.02)
    assert at_pixel(video, look, (0.15, 1.2, 7))[0] == pytest.approx(0.9, abs=0.02)  # not by what is under it


def test_glossy_objects_have_a_highlight_towards_the_light():
    look, track = sunny(), track_of()
    look.light[:, 0] = torch.tensor([0.6, 0.0, -0.8])
    put(track, 0, SPHERE, (0, 2, 8), (1, 1, 1), (0.3, 0.3, 0.3))
    look.objects.params[..., 3] = 0.0
    dull = render(look, track, 90, 160)
    look.objects.params[..., 3] = 0.1
    more = (render(look, track, 90, 160).int() - dull.int())[0, 0, ..., 0]
    middle = torch.tensor([0.6, 0.0, -1.8]) / math.hypot(0.6, 1.8)  # between light and camera
    peak = (more == more.max()).nonzero().float().mean(0)
    assert int(more.max()) > 50
    assert float(peak[0]) == pytest.approx(45, abs=2)
    assert float(peak[1]) == pytest.approx(80 + float(middle[0]) / (8 + float(middle[2])) / TAN * 80, abs=2)


def test_a_screen_hides_and_a_raised_or_lowered_one_shows():
    look, track = look_of(), track_of(f=3)
    put(track, 0, SPHERE, (0, 0.6, 8), (0.6, 0.6, 0.6), RED)
    look.screen_on[:, 0] = True
    look.screen_half[:, 0] = torch.tensor([1.0, 1.8])
    track.screen[0, :, 0, 1] = torch.tensor([0.0, 1.5, -1.8])
    video = render(look, track, 90, 160)
    red = (video[0, ..., 0].int() - video[0, ..., 1].int()).sum((1, 2))
    assert red[0] == 0 and red[1] > 0 and red[1] == red[2]
    seen, inside = visibility(look, track)
    assert seen[0, :, 0].tolist() == [0, 1, 1] and inside[0, :, 0].tolist() == [1, 1, 1]


def test_a_tilted_screen_is_where_its_angles_put_it():
    look, track = look_of(), track_of()
    look.screen_on[:, 0] = True
    look.screen_half[:, 0] = torch.tensor([1.0, 1.5])
    look.screen_tilt[:, 0] = torch.tensor([-0.6, 0.2])  # the upper edge towards the camera, the right side up
    track.screen[:, :, 0] = torch.tensor([0.2, -0.2, 9.0])
    shown = render(look, track, 360, 640)[0, 0].float().mean(-1) > 60
    turned = turn(2, 0.2) @ turn(0, -0.6)
    corners = [track.screen[0, 0, 0] + turned @ torch.tensor([x, y, 0.0]) for x in (-1, 1) for y in (0, 1.5)]
    x = [(float(c[0] / c[2]) / TAN + 1) / 2 * 640 for c in corners]
    y = [(1 - float((c[1] - 2) / c[2]) / (TAN * ASPECT)) / 2 * 360 for c in corners]
    rows, columns = shown.any(1).nonzero()[:, 0], shown.any(0).nonzero()[:, 0]
    assert abs(int(rows[0]) - min(y)) < 4 and abs(int(columns[0]) - min(x)) < 4 and abs(int(columns[-1]) - max(x)) < 4
    # what its middle hides lies on the line of sight through it; just beyond the upper edge one sees
    for up, free in ((0.75, 0.0), (1.42, 0.0), (1.58, 1.0)):
        point = track.screen[0, 0, 0] + turned @ torch.tensor([0.0, up, 0.0])
        eye = track.cam_pos[0, 0]
        put(track, 0, SPHERE, (eye + (point - eye) * 1.6).tolist(), (0.01, 0.01, 0.01))
        assert visibility(look, track)[0][0, 0, 0] == free, up


def test_visibility_behind_and_on_solids_and_at_the_edge():
    look, track = look_of(), track_of(f=4)
    look.solid_on[:] = True
    look.solid_kind[:, 1] = RAMP
    look.solid_box[:, 1] = torch.tensor([3.0, 9.0, 1.0, 1.0, 1.0])
    look.solid_box[:, 0] = torch.tensor([0.0, 7.0, 1.0, 0.5, 1.5])
    put(track, 0, SPHERE, (0, 0.5, 9), (0.4, 0.4, 0.4))
    track.pos[0, 1:, 0] = torch.tensor([[0, 1.9, 7], [0, 1.2, 5.5], [4.5, 2, 9]])  # on it, before it, half outside
    seen, inside = visibility(look, track)
    assert seen[0, :3, 0].tolist() == [0, 1, 1]
    assert inside[0, :3, 0].tolist() == [1, 1, 1] and 0 < inside[0, 3, 0] < 1
    track.pos[0, 0, 0] = torch.tensor([3.0, 0.9, 9.0])  # on the ramp
    assert visibility(look, track)[0][0, 0, 0] == 1


@pytest.mark.parametrize("texture", [STRIPES, CHECKER])
def test_the_texture_turns_with_the_object(texture):
    look, track = look_of(), track_of(f=3)
    put(track, 0, SPHERE, (0, 2, 8), (1, 1, 1))
    track.rot[:, 1, 0], track.rot[:, 2, 0] = turn(2, math.pi / 2), turn(2, 2 * math.pi)
    plain = render(look, track, 90, 160)
    look.objects.kind[:] = texture
    look.objects.params[:] = torch.tensor([1.3, 0.0, 0.2, 0.4])
    video = render(look, track, 90, 160)
    assert torch.equal(plain[:, 0], plain[:, 1])
    change = (video[0, 0].int() - video[0, 1].int()).abs()
    assert float((change > 50).float().mean()) > 0.02
    assert float((video[0, 0].int() - video[0, 2].int()).abs().float().mean()) < 0.1
    assert bool((change[plain[0, 0] == 0] == 0).all())


def busy(b=6, f=4, seed=0):
    """Scenes with some of everything."""
    g = torch.Generator().manual_seed(seed)
    look, track = sunny(b), track_of(b, f)
    for s in (look.room, look.screens, look.solids, look.objects):
        s.kind = torch.randint(0, 7, s.kind.shape, generator=g)
        s.colour = torch.rand(s.colour.shape, generator=g)
        s.params = s.params * 0.5 + torch.rand(s.params.shape, generator=g)
    look.solid_on[::2, 0], look.screen_on[1::2, 0], look.hung[:, 0] = True, True, True
    look.solid_box[:, 0] = torch.tensor([-1.0, 8.0, 0.8, 0.6, 0.9])
    look.pivot[:, 0] = torch.tensor([0.0, 6.0, 8.0])
    track.active[:, :, :3] = True
    track.kind[:] = torch.randint(0, 9, (b, 1, N_OBJECTS), generator=g)
    track.pos += torch.randn(b, 1, N_OBJECTS, 3, generator=g) + torch.arange(f).view(1, f, 1, 1) * 0.05
    track.vel[:] = 0.5
    track.colour[:] = torch.rand(b, 1, N_OBJECTS, 2, 3, generator=g)
    track.rot[:] = random_turns(b * N_OBJECTS, seed).view(b, 1, N_OBJECTS, 3, 3)
    track.screen[1:3, :, 0, 1] = torch.arange(f) * 0.2
    look.blur[:], look.gain_amp[:], look.noise[:] = 0.05, 0.02, 0.01
    look.shutter[3:] = 0.8
    return look, track


def test_alone_as_in_a_batch_and_in_chunks():
    look, track = busy()
    track.cam_pos[::3, :, 0] = torch.arange(4) * 0.1
    video = render(look, track, 48, 48)
    for i in range(6):
        assert torch.equal(render(look[i:i + 1], track[i:i + 1], 48, 48)[0], video[i])
    assert torch.equal(render(look, track, 48, 48, chunk=20_000), video)


def test_a_still_camera_sees_what_a_moving_one_sees_from_its_place():
    look, track = busy()
    moved = track.clone()
    moved.cam_pos[:, 1:, 0] += 0.2
    still, moving = render(look, track, 48, 48), render(look, moved, 48, 48)
    same = [0, 3, 4, 5]
    assert torch.equal(still[same, 0], moving[same, 0])
    # with moving screens, shadows on them and on solids are cast per ray or per pixel
    assert float((still[1:3, 0].int() - moving[1:3, 0].int()).abs().float().mean()) < 0.3
    there = track.clone()
    there.cam_pos[..., 0] += 0.2
    assert torch.equal(render(look, there, 48, 48)[same, 1:], moving[same, 1:])
    assert float((still[:, 1].int() - moving[:, 1].int()).abs().float().mean()) > 2


def test_noise_repeats_from_the_seed_and_twins_share_it():
    look, track = busy(2)
    look, track = look[[0, 0, 1, 1]], track[[0, 0, 1, 1]]
    a, b, c = (render(look, track, 48, 48, torch.Generator().manual_seed(s), noise_rows=2) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(a[0], a[1]) and torch.equal(a[2], a[3])
    clean = render(look, track, 48, 48, noise_rows=2)
    assert float((a[0, 0].float() - clean[0, 0] - a[0, 1] + clean[0, 1]).std()) > 2.5  # another in every frame
    off = (a.float() - clean.float())[(clean > 20) & (clean < 235)] / 255
    assert float(off.std()) == pytest.approx(0.01, rel=0.1)
    other = render(look, track, 48, 48, torch.Generator().manual_seed(1), noise_rows=1)
    assert not torch.equal(other[0], other[1])


def test_a_square_picture_is_the_wide_one_squashed():
    look, track = busy()
    for s in (look.room, look.screens, look.solids, look.objects):
        s.kind[:] = PLAIN
    look.blur[:], look.hung[:] = 0, False
    wide, square = render(look, track, 144, 256).float(), render(look, track, 48, 48).float()
    small = torch.nn.functional.interpolate(wide.flatten(0, 1).permute(0, 3, 1, 2), size=(48, 48), mode="area")
    assert float((small.permute(0, 2, 3, 1) - square.flatten(0, 1)).abs().mean()) < 1.5


@pytest.mark.parametrize("kind", range(15))
def test_project_bounds_the_silhouette(kind):
    look, track = look_of(), track_of(f=12)
    put(track, 0, kind, (1.2, 2.5, 7), (0.6, 0.5, 0.7))
    if kind != SPHERE:
        track.rot[0, :, 0] = random_turns(12, 3)
    video = render(look, track, 180, 320)[0].float().mean(-1)
    x, y, rx, ry = (v[0, :, 0] for v in project(look, track, 180, 320))
    for f in range(12):
        rows, columns = (video[f] > 0).any(1).nonzero()[:, 0], (video[f] > 0).any(0).nonzero()[:, 0]
        found = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        box = torch.stack([x[f] - rx[f], y[f] - ry[f], x[f] + rx[f], y[f] + ry[f]])
        slack = (found - box) * torch.tensor([1, 1, -1, -1])
        assert bool((slack > -1.01).all())
        if kind in (SPHERE, BOX):
            assert bool((slack < 1.01).all())


def test_motion_blur_spreads_what_moves_but_no_jump():
    look, track = look_of(2), track_of(2, 3)
    put(track, 0, SPHERE, (0, 2, 8))
    put(track, 1, BOX, (-2, 2, 8))
    track.pos[:, :, 0, 0] = torch.arange(3) * 0.4
    track.vel[:, :, 0, 0] = 4.0
    look.shutter[1] = 1.0
    sharp, blurred = render(look, track, 90, 160)
    left, right = slice(0, 64), slice(64, 160)
    assert torch.equal(sharp[:, :, left], blurred[:, :, left])
    lit = [(v[1:, :, right] > 0).any(-1).any(1).sum(1) for v in (sharp, blurred)]
    assert float((lit[1] - lit[0]).float().mean()) == pytest.approx(0.4 / 8 / TAN * 80, abs=2)
    assert blurred[2].float().sum() == pytest.approx(float(sharp[2].float().sum()), rel=0.02)
    assert torch.equal(sharp[0], blurred[0])
    track.pos[:, 2, 0, 0] = 3.0
    sharp, blurred = render(look, track, 90, 160)
    assert torch.equal(sharp[2], blurred[2])


def test_a_hung_object_has_a_string():
    look, track = look_of(), track_of()
    look.room.colour[:] = 1
    put(track, 0, SPHERE, (0.5, 1.5, 8), colour=WHITE)
    bare = render(look, track, 48, 48).int()
    look.hung[:, 0] = True
    look.pivot[:, 0] = torch.tensor([0.5, 6.0, 8.0])
    change = bare - render(look, track, 48, 48).int()
    column = int((0.5 / 8 / TAN + 1) / 2 * 48)
    assert bool((change[0, 0, 2:20, column - 1:column + 2].amax((1, 2)) > 40).all())
    assert int(change[0, 0, 34:].abs().max()) == 0 and int(change[0, 0, :, :column - 2].abs().max()) == 0


@pytest.mark.parametrize("old", [False, True])
def test_a_codec_keeps_colours_and_movement(old):
    colours = torch.tensor([[200, 30, 40], [20, 180, 60], [40, 60, 210], [230, 220, 30], [128, 128, 128]])
    picture = colours.repeat_interleave(32, 0)[None].expand(96, -1, -1).to(torch.uint8)
    video = torch.stack([picture.roll(4 * f, 1) for f in range(10)])[None].repeat(2, 1, 1, 1, 1)
    out = codec.through_encoder(video, 10, torch.tensor([14.0, 38.0]), torch.tensor([old, old]))
    assert out.shape == video.shape and out.dtype == torch.uint8
    error = (out.float() - video.float()).abs().mean((1, 2, 3, 4))
    assert 0 < error[0] < 5 and error[0] < error[1] < 25
    for i, rgb in enumerate(colours.tolist()):
        assert out[0, 3, 48, (i * 32 + 16 + 12) % 160].tolist() == pytest.approx(rgb, abs=8)


def test_shrink_averages():
    video = torch.zeros(1, 2, 108, 192, 3, dtype=torch.uint8)
    video[:, :, :, ::2] = 200
    small = codec.shrink(video, 48, 48)
    assert small.shape == (1, 2, 48, 48, 3) and bool(((small.int() - 100).abs() < 8).all())


def test_encoded_video_keeps_colours_and_says_bt709(tmp_path):
    import av

    from startle_models.samples import write_video

    colours = torch.tensor(
        [[200, 30, 40], [20, 180, 60], [40, 60, 210], [230, 220, 30], [128, 128, 128], [250, 250, 250]])
    picture = colours.repeat_interleave(32, 0)[None].expand(64, -1, -1).to(torch.uint8)
    write_video(tmp_path / "v.mp4", picture[None].expand(12, -1, -1, -1).contiguous(), crf=12)
    with av.open(str(tmp_path / "v.mp4")) as video:
        ctx = video.streams.video[0].codec_context
        frames = list(video.decode(video=0))
    assert len(frames) == 12 and frames[0].format.name == "yuv420p"
    assert (ctx.color_primaries, ctx.color_trc, ctx.colorspace, ctx.color_range) == (1, 1, 1, 1)
    # BT.709 limited range, by hand
    planes = torch.from_numpy(frames[5].to_ndarray()).float()
    y, u = planes[:64].mean(0), planes[64:80, :96].mean(0)
    for i, rgb in enumerate(colours.float() / 255):
        luma = float(rgb @ torch.tensor([0.2126, 0.7152, 0.0722]))
        assert abs(float(y[i * 32 + 16]) - (16 + 219 * luma)) < 3
        assert abs(float(u[i * 16 + 8]) - (128 + 224 * (float(rgb[2]) - luma) / 1.8556)) < 4
