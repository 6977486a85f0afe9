"""The world's dynamics against closed forms, its determinism and its twins."""

import dataclasses

import pytest
import torch

from startle_models.world import (
    VIOLATIONS, SceneSpec, lawful_video, render_pairs, sample_pairs, sample_scenes, simulate,
)
from startle_models.world.scene import SPHERE

FPS = 60.0


def gen(seed):
    return torch.Generator().manual_seed(seed)


def ball(height=2.0, vx=0.0, vy=0.0, e=0.6, friction=0.0, n=4):
    """n scenes with one sphere of radius .5, its centre `height` above its resting height."""
    scene = sample_scenes(n, 2.0, gen(1), SceneSpec(screens=0.0))
    scene.active[:] = False
    scene.active[:, 0] = True
    scene.collide[:] = False
    scene.kind[:] = SPHERE
    scene.half[:] = 0.5
    scene.pos[:, 0] = torch.tensor([0.0, 0.5 + height, 8.0])
    scene.vel[:, 0] = torch.tensor([vx, vy, 0.0])
    scene.restitution[:] = e
    scene.friction[:] = friction
    return scene


def test_flight_is_ballistic():
    scene = ball(height=40.0, vx=1.5, vy=2.0)
    track = simulate(scene, 90, FPS)
    t = torch.arange(90) / FPS
    y = 40.5 + 2.0 * t - 0.5 * scene.gravity[:, None] * t**2
    assert torch.allclose(track.pos[:, :, 0, 1], y, atol=1e-4)
    assert torch.allclose(track.pos[:, :, 0, 0], (1.5 * t).expand(4, -1), atol=1e-5)


def test_bounce_height_is_e_squared_h():
    e, h = 0.7, 2.0
    scene = ball(height=h, e=e)
    track = simulate(scene, 600, 200.0)
    y, vy = track.pos[:, :, 0, 1] - 0.5, track.vel[:, :, 0, 1]
    g = scene.gravity
    t1 = (2 * h / g).sqrt()             # first impact
    t2 = t1 + 2 * e * (2 * h / g).sqrt()  # second impact
    t = torch.arange(600) / 200.0
    for i in range(4):
        between = (t > t1[i]) & (t < t2[i])
        assert abs(float(y[i][between].max()) - e**2 * h) < 2e-3 * h
        energy = 0.5 * vy[i][between] ** 2 + g[i] * y[i][between]
        assert float(energy.std() / energy.mean()) < 1e-4


def test_resting_and_rolling_with_friction():
    mu, v = 0.1, 2.0
    scene = ball(height=0.0, vx=v, friction=mu)
    track = simulate(scene, 600, FPS)
    stop = v**2 / (2 * mu * scene.gravity)
    assert torch.allclose(track.pos[:, -1, 0, 0], stop, rtol=1e-4)
    assert torch.allclose(track.pos[:, :, 0, 1], torch.tensor(0.5), atol=1e-6)
    # rolling without slipping: angle = -distance / radius
    assert torch.allclose(track.roll[:, :, 0], -track.pos[:, :, 0, 0] / 0.5, atol=1e-4)


@pytest.mark.parametrize("e", [0.3, 1.0])
def test_collision_keeps_momentum_and_restitution(e):
    scene = ball(height=0.0, vx=2.0, e=e)
    scene.active[:, 1] = True
    scene.half[:, 1] = 0.8
    scene.pos[:, 1] = torch.tensor([3.0, 0.8, 8.0])
    scene.pos[:, :2, 1] = 50.0  # in flight at one height: a head-on impact
    scene.vel[:, 1] = torch.tensor([-0.5, 0.0, 0.0])
    scene.collide[:, 0, 1] = True
    track = simulate(scene, 120, FPS)
    m = torch.tensor([0.5**3, 0.8**3])
    before, after = track.vel[:, 0, :2, 0], track.vel[:, -1, :2, 0]
    assert torch.allclose((before * m).sum(-1), (after * m).sum(-1), atol=1e-5)
    assert torch.allclose(after[:, 1] - after[:, 0], -e * (before[:, 1] - before[:, 0]), atol=1e-5)


def test_same_seed_same_video():
    a = lawful_video(3, 10, 10, 48, 48, gen(5))
    b = lawful_video(3, 10, 10, 48, 48, gen(5))
    c = lawful_video(3, 10, 10, 48, 48, gen(6))
    assert a.dtype == torch.uint8 and a.shape == (3, 10, 48, 48, 3)
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_a_square_picture_is_the_wide_one_squashed():
    spec = SceneSpec(noise=0.0, textured=0.0, pattern=0.0)
    wide = lawful_video(4, 6, 10, 144, 256, gen(7), spec).float()
    square = lawful_video(4, 6, 10, 48, 48, gen(7), spec).float()
    small = torch.nn.functional.interpolate(wide.flatten(0, 1).permute(0, 3, 1, 2), size=(48, 48), mode="area")
    assert float((small.permute(0, 2, 3, 1) - square.flatten(0, 1)).abs().mean()) < 1.5


@pytest.mark.parametrize("kind", VIOLATIONS)
def test_twins_are_identical_before_the_onset(kind):
    g = gen(11)
    pairs = sample_pairs(kind, 2, 40, 10, g)
    before = [f.name for f in dataclasses.fields(pairs.track) if f.name != "fps"]
    for i, onset in enumerate(pairs.onset.tolist()):
        for name in before:
            a, b = getattr(pairs.track, name)[2 * i, :onset], getattr(pairs.track, name)[2 * i + 1, :onset]
            assert torch.equal(a, b), name
    video = render_pairs(pairs, 36, 64, g)
    for i, (onset, seen) in enumerate(zip(pairs.onset.tolist(), pairs.seen.tolist())):
        assert torch.equal(video[2 * i, :onset], video[2 * i + 1, :onset])
        assert not torch.equal(video[2 * i, seen], video[2 * i + 1, seen])
        assert seen >= onset
    if kind == "vanish_hidden":
        assert pairs.hidden and bool((pairs.seen > pairs.onset).all())


def test_pairs_repeat_from_the_seed_and_boxes_lie_in_the_picture():
    a, b = (sample_pairs("teleport", 2, 40, 10, gen(3)) for _ in range(2))
    assert torch.equal(a.onset, b.onset) and torch.equal(a.track.pos, b.track.pos)
    box = a.boxes(360, 640)
    assert bool((box[:, 0] < box[:, 2]).all() and (box[:, 1] < box[:, 3]).all())
    assert bool((box >= 0).all() and (box[:, 2] <= 640).all() and (box[:, 3] <= 360).all())


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
