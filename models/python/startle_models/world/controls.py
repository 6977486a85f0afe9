"""Control pairs: twins with one past and two futures that are both lawful."""

from __future__ import annotations

import dataclasses

import torch

from .pairs import Pairs
from .physics import simulate
from .render import project, visibility
from .sampling import Rng
from .scene import Scene, SceneSpec, sample_scenes
from .search import SCENES, SETTLE_S, VISIBLE, Found, choose, collect, differences, first, onset_window
from .state import Look, Trajectory
from .stories import stand
from .violations import SMALLEST, variant

CONTROL = "control"
SAME = 0.1 / 255  # largest difference of pictures that are alike
CHANGES = ("vanish", "colour", "shape")  # what the second future lacks or has otherwise


def _put_behind(scene: Scene, r: Rng):
    """Let all objects start behind the first screen, at rest or slowly moving out."""
    b, n = scene.kind.shape
    place, half = scene.screen_place[:, :1], scene.look.screen_half[:, :1]
    eye = scene.cam_place[:, None]
    scale = (scene.pos[..., 2] - eye[..., 2]) / (place[..., 2] - eye[..., 2])
    x = eye[..., 0] + (place[..., 0] + half[..., 0] * r.uniform(-0.5, 0.5, b, n) - eye[..., 0]) * scale
    speed = r.uniform(0.2, 1.6, b, n) * r.sign(b, n) * r.chance(0.8, b, n)
    for o in range(n):
        stand(scene, torch.ones(b, dtype=torch.bool), o, x[:, o], speed[:, o], torch.zeros(b))


def _scenes(behind: bool, seconds: float, generator, spec: SceneSpec) -> Scene:
    """Scenes in which something comes in by the frame's edge, or from behind a screen where it always was."""
    change = {"objects": (0.0, *spec.objects[1:]), "size": (max(spec.size[0], SMALLEST), spec.size[1])}
    if not behind:
        return sample_scenes(SCENES, seconds, generator, dataclasses.replace(spec, **change, entering=0.8, resting=0.0))
    change |= {"screens": 1.0, "hung": 0.0, "stages": (1.0, 0.0, 0.0, 0.0, 0.0), "second_stage": 0.0, "depth": 0.0}
    scene = sample_scenes(SCENES, seconds, generator, dataclasses.replace(spec, **change))
    _put_behind(scene, Rng(generator))
    return scene


def _never_seen(seen, active, window):
    """[B,F,N]: the first frame in which the object can be seen at all, in the window, fully in view soon after."""
    lo, hi = window
    before = torch.cat([torch.zeros_like(seen[:, :1]), seen[:, :-1]], 1).cummax(1).values
    fully = (seen > 0.99).long().flip(1).cumsum(1).flip(1) >= 3
    ok = active & (before == 0) & (seen > 0) & fully
    ok[:, :lo] = False
    ok[:, hi + 1:] = False
    return ok


def _search(times, fps: float, window, generator, spec: SceneSpec, behind: bool, need: int):
    """One round: candidates whose pictures are alike before the onset, with their first visibly different frames."""
    r, settle = Rng(generator), max(1, round(SETTLE_S * fps))
    scene = _scenes(behind, len(times) / fps, generator, spec)
    a = simulate(scene, times)
    rows, frame, obj = choose(_never_seen(visibility(scene.look, a)[0], a.active, window), generator)
    big = 2 * project(scene.look, a, 1, 1)[2][rows, frame, obj] >= SMALLEST
    keep = big.nonzero()[:2 * need, 0]
    rows, frame, obj = rows[keep], frame[keep], obj[keep]
    if not len(rows):
        return None
    scene, a = scene[rows], a[rows]
    change = CHANGES[int(r.choice([0.5, 0.3, 0.2], 1))]
    f = Found(scene.look, a, simulate(variant(change, scene, obj, r), times), frame, obj)
    coarse, fine = differences(f.look, f.a, f.b)
    f.onset = first(fine > SAME) - 1  # still finer pictures may differ a little earlier
    seen = first(coarse > VISIBLE)
    lo, hi = window
    good = (f.onset >= lo) & (f.onset <= hi) & (seen <= f.onset + settle)
    good = good.nonzero()[:, 0]
    return f[good], seen[good]


def sample_controls(count: int, frames: int, fps: float, generator: torch.Generator, spec: SceneSpec | None = None,
                    earliest: float = 0.35, latest: float = 0.65) -> Pairs:
    """Pairs of twins with an identical past that are both lawful: something that was never seen before enters by the
    frame's edge or comes out from behind a screen, and in the other twin does not, or has another colour or shape.
    Which of the two is called impossible is a coin toss. onset: the frame before
    the first one whose 128x72 picture differs at all."""
    times = torch.arange(frames, dtype=torch.float64) / fps
    window, spec, r = onset_window(frames, fps, earliest, latest), spec or SceneSpec(), Rng(generator)

    def search(need):
        return _search(times, fps, window, generator, spec, bool(r.chance(0.5, 1)), need)
    f, seen = collect(search, count)
    swapped = r.chance(0.5, count).long()
    # rows a0, a1, .. b0, b1, ..: pair i takes a_i and b_i in either order
    order = torch.stack([torch.arange(count) + swapped * count, torch.arange(count) + (1 - swapped) * count], 1)
    track = Trajectory.cat([f.a, f.b])[order.flatten()]
    look = Look.cat([f.look, f.look])[order.flatten()]
    return Pairs(CONTROL, look, track, f.onset, seen, f.obj, torch.arange(count))
