"""Violations of physics: their names and groups, the scenes that allow them, where they can set in, what they change.

Swaps: two lawful scenes A and B differ in one attribute of one object (its presence, colour, shape, place or size);
the unlawful video shows A before the onset and B after it, or B and then A. State edits change how an object moves on
(physics.STATE_EDITS). Training never sees any of them.
"""

from __future__ import annotations

import dataclasses

import torch

from .looks import object_colours
from .physics import STATE_EDITS
from .sampling import Rng
from .scene import NARROW_LANES, WIDE_LANES, Scene, SceneSpec
from .shapes import width
from .state import BLOCK, BOX, CONE, CROSS, CYLINDER, DUMBBELL, ELL, HOUSE, PEG, SPHERE, Trajectory

IN_VIEW = ("vanish", "appear", "teleport", "colour", "shape")
HIDDEN = ("vanish_hidden", "appear_hidden", "teleport_hidden", "colour_hidden", "shape_hidden")
KEPT_BACK = ("size", "rise")  # for the last test alone
VIOLATIONS = IN_VIEW + HIDDEN + ("stop", "reverse", "float", "unsupported", "solidity") + KEPT_BACK

ADDS_MOTION = ("appear", "appear_hidden", "teleport", "teleport_hidden", "reverse", "rise")
REMOVES_MOTION = ("vanish", "vanish_hidden", "stop", "float")
NEUTRAL = ("colour", "colour_hidden", "shape", "shape_hidden", "unsupported", "solidity", "size")

SMALLEST = 0.05  # width of an edited object in shares of the picture's
LATER_S = 0.3  # difference of the times at which a displaced object comes out
LIKE = ((SPHERE,), (BOX, CYLINDER), (CONE, HOUSE), (PEG,), (ELL,), (CROSS,), (DUMBBELL,))  # alike in outline
PRESENCE = ("vanish", "appear")


def attribute(kind: str) -> str:
    """What a swap changes: presence, colour, shape, teleport or size."""
    name = kind.removesuffix("_hidden")
    return "presence" if name in PRESENCE else name


def is_swap(kind: str) -> bool:
    return kind not in STATE_EDITS


def spec_for(kind: str, base: SceneSpec) -> SceneSpec:
    """Scenes in which the violation has a chance to happen."""
    change = {
        "objects": (0.0, *base.objects[1:]), "size": (max(base.size[0], SMALLEST), base.size[1]),
        "entering": 0.15, "resting": min(base.resting, 0.1),
    }
    if kind in HIDDEN:
        change |= {"screens": 1.0, "panels": 0.0, "airborne": 0.1, "entering": 0.5, "hung": 0.03, "depth": 0.1,
                   "stages": (0.9, 0.02, 0.02, 0.02, 0.04), "second_stage": 0.05}
    elif kind in ("teleport", "shape", "size"):
        change |= {"stages": (1.0, 0.0, 0.0, 0.0, 0.0), "second_stage": 0.1}
    elif kind in ("reverse", "stop"):
        change |= {"airborne": 0.3, "resting": 0.0, "entering": 0.5}
    elif kind == "float":
        change |= {"airborne": 0.9, "resting": 0.0, "hung": 0.0}
    elif kind in ("unsupported", "solidity"):
        stage = (0.0, 1.0, 0.0, 0.0, 0.0) if kind == "unsupported" else (0.0, 0.0, 0.0, 1.0, 0.0)
        change |= {"stages": stage, "screens": 0.3 * base.screens}
    return dataclasses.replace(base, **change)


def _runs(mask):
    """Length [B,F,N] of the run of true frames that each true frame belongs to; mask [B,F,N]."""
    def counts(m):
        frame = torch.arange(1, m.shape[1] + 1)[None, :, None]
        last_false = torch.where(m, 0, frame).cummax(1).values
        return frame - last_false
    return torch.where(mask, counts(mask) + counts(mask.flip(1)).flip(1) - 1, 0)


def _later(mask, k):
    """mask at frame f + k; false beyond the end."""
    return torch.cat([mask[:, k:], torch.zeros_like(mask[:, :k])], 1)


def throughout(seen, settle: int):
    """[B,F,N]: fully in view from the frame before to `settle` frames after."""
    view = seen > 0.99
    ok = torch.cat([torch.zeros_like(view[:, :1]), view[:, :-1]], 1)
    for k in range(settle + 1):
        ok = ok & _later(view, k)
    return ok


def went_behind(seen, inside, fps: float, unseen):
    """[B,F,N]: hidden by something in front for `unseen` (least, most) seconds, fully in view for 2 frames before and for
    3 after."""
    hidden, view = (seen == 0) & (inside > 0.99), (seen > 0.99).long()
    before = view.cumsum(1) >= 2
    after = view.flip(1).cumsum(1).flip(1) >= 3
    span = _runs(hidden) / fps
    return hidden & before & after & (span >= unseen[0]) & (span <= unseen[1])


def _tied(scene: Scene):
    """Objects [B,1,N] that may meet a solid or another object."""
    return ((scene.solid >= 0) | scene.collide.any(1) | scene.collide.any(2))[:, None]


def _own_block(scene: Scene):
    """x and half width [B,1,N] of the block that an object may touch, height of its top, and whether there is one."""
    index = scene.solid.clamp(min=0)
    x, _, half, _, height = scene.look.solid_box.gather(1, index[..., None].expand(-1, -1, 5))[:, None].unbind(-1)
    is_block = (scene.solid >= 0) & (scene.look.solid_kind.gather(1, index) == BLOCK)
    return x, half, height, is_block[:, None]


def candidates(kind: str, scene: Scene, track: Trajectory, seen, inside, fps: float, settle: int, unseen):
    """[B,F,N] bool: where the violation can set in; seen, inside: shares as of view.visibility; unseen: as of
    went_behind."""
    hung, active = scene.look.hung[:, None], track.active
    if kind in HIDDEN:
        ok = active & went_behind(seen, inside, fps, unseen)
        return ok & ~_tied(scene) & ~hung if kind in ("teleport_hidden", "shape_hidden") else ok
    ok = active & throughout(seen, settle)
    x, y, vx = track.pos[..., 0], track.pos[..., 1], track.vel[..., 0]
    foot = y - track.half[..., 1]
    following = torch.roll(vx, -1, 1)
    if kind in ("teleport", "shape", "size"):
        return ok & ~_tied(scene) & ~(hung & (kind == "teleport"))
    if kind == "stop":  # what hangs comes to rest only where its string is upright
        upright = (x - scene.look.pivot[:, None, :, 0]).abs() < 0.2 * (scene.look.pivot[:, None, :, 1] - y)
        return ok & (vx.abs() > 0.8) & (upright | ~hung) & ~_tied(scene)
    if kind == "reverse":
        return ok & (vx.abs() > 0.8) & ~_tied(scene)
    if kind == "float":
        moved = (torch.roll(y, -settle, 1) - y).abs()
        return ok & ~hung & (foot > 0.5) & (moved > 0.6) & ~_tied(scene)
    if kind == "rise":
        return ok & ~hung
    bx, half, height, block = _own_block(scene)
    if kind == "unsupported":
        on = block & ((x - bx).abs() < half) & ((foot - height).abs() < 1e-3)
        return ok & on & ~torch.roll(on, -1, 1)
    if kind == "solidity":
        towards = (bx - x).sign()
        return ok & block & (foot.abs() < 1e-3) & (towards * vx > 0.5) & (towards * following < 0.01)
    return ok


def _new_colour(old, r: Rng):
    """Colours [P,2,3] whose first tone is far from that of `old`."""
    new = 1 - old
    for _ in range(20):
        near = (new[:, 0] - old[:, 0]).abs().sum(-1) < 0.9
        new = torch.where(near[:, None, None], object_colours(r, len(old)), new)
    return new


def _new_shape(old, r: Rng):
    """Shapes [P] of another outline, from the same set (training or held out)."""
    out = []
    for shape in old.tolist():
        held_out = shape in (CROSS, DUMBBELL)
        others = [s for like in LIKE if shape not in like for s in like if (s in (CROSS, DUMBBELL)) == held_out]
        out.append(int(r.pick(tuple(others), 1)))
    return torch.tensor(out)


def _resize(scene: Scene, rows, obj, r: Rng):
    """Grow or shrink by 1.6 to 2.1; shrink where the lane has no room. Feet stay where they are."""
    half = scene.half[rows, obj]
    clear = torch.where(scene.active.sum(1) > len(WIDE_LANES[0]), NARROW_LANES[1], WIDE_LANES[1])
    factor = r.uniform(1.6, 2.1, len(rows))
    fits = half[:, [0, 2]].norm(dim=-1) * factor < clear
    factor = torch.where(fits & r.chance(0.6, len(rows)), factor, 1 / factor)[:, None]
    scene.half[rows, obj] = half * factor
    scene.pos[rows, obj, 1] += torch.where(scene.look.hung[rows, obj], 0.0, (half * (factor - 1))[:, 1])


def variant(kind: str, scene: Scene, obj, r: Rng) -> Scene:
    """Scene B of a swap: `scene` with object obj [B] changed; lawful as well."""
    other, rows = scene.clone(), torch.arange(len(scene))
    match attribute(kind):
        case "presence":
            other.active[rows, obj] = False
        case "colour":
            other.colour[rows, obj] = _new_colour(scene.colour[rows, obj], r)
        case "shape":
            shape = _new_shape(scene.kind[rows, obj], r)
            ball = shape == SPHERE
            other.kind[rows, obj], other.rolls[rows, obj] = shape, ball
            half = scene.half[rows, obj]
            other.half[rows, obj] = torch.where(ball[:, None], half[:, 1:2].expand(-1, 3), half)
        case "teleport":
            wide = width(scene)[rows, obj]
            way = 2.2 * wide + r.uniform(0.3, 1.8, len(rows)) if kind == "teleport" else r.uniform(0.5, 1.7, len(rows))
            other.pos[rows, obj, 0] += way * r.sign(len(rows))
        case "size":
            _resize(other, rows, obj, r)
        case unknown:
            raise ValueError(f"no swap: {unknown!r}")
    return other
