"""Violations of physics with a lawful twin that is pixel-identical before the onset.

A violation edits the state of the simulation at one frame; training never sees any. `appear` and
`teleport` add motion, `vanish`, `float`, `stop` and `vanish_hidden` take it away: report them apart.
"""

from __future__ import annotations

import dataclasses

import torch

from .physics import Edit, Trajectory, simulate
from .render import project, render
from .scene import BOX, Rng, Scene, SceneSpec, hsv, sample_scenes

VIOLATIONS = ("vanish", "appear", "teleport", "colour", "shape", "float", "reverse", "stop", "vanish_hidden")
SETTLE_S = 0.6  # seconds after the onset through which the lawful object must stay in view


@dataclasses.dataclass
class Pairs:
    """P pairs of twins; rows 2i (possible) and 2i+1 (impossible) of scene and edit belong together.

    onset [P]: frame of the edit; seen [P]: first frame whose picture differs; obj [P]: edited object.
    """

    kind: str
    scene: Scene
    edit: Edit
    track: Trajectory
    onset: torch.Tensor
    seen: torch.Tensor
    obj: torch.Tensor

    @property
    def hidden(self) -> bool:
        return self.kind == "vanish_hidden"

    def boxes(self, height: int, width: int):
        """Box [P,4] = x0, y0, x1, y1 in pixels of the edited object at the onset (lawful twin; `appear`:
        impossible twin)."""
        row = torch.arange(len(self.obj)) * 2 + int(self.kind == "appear")
        x, y, rx, ry = project(self.scene, self.track, height, width)
        pick = (row, self.onset, self.obj)
        x, y, rx, ry = x[pick], y[pick], rx[pick], ry[pick]
        box = torch.stack([x - rx, y - ry, x + rx, y + ry], -1)
        limit = torch.tensor([width, height, width, height], dtype=box.dtype)
        return box.clamp(min=0).minimum(limit)


def visibility(scene: Scene, track: Trajectory):
    """Share of each object that is inside the frame and not behind a screen: [B,F,N] in {0, 1/9 .. 1}.
    Also the share that is inside the frame, screens ignored."""
    b, f, n = track.kind.shape
    offset = torch.tensor([[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])
    reach = torch.where(track.kind == BOX, track.half[..., [0, 2]].norm(dim=-1), track.half[..., 0])
    point = track.pos[:, :, :, None].expand(b, f, n, 9, 3).clone()
    point[..., 0] += offset[:, 0] * reach[..., None]
    point[..., 1] += offset[:, 1] * track.half[..., 1, None]
    ray = point - scene.cam_pos.view(b, 1, 1, 1, 3)
    cam = torch.einsum("bfnpi,bij->bfnpj", ray, scene.cam_rot)
    tan = scene.cam_tan.view(b, 1, 1, 1, 2)
    inside = ((cam[..., :2] / cam[..., 2:]).abs() < tan * 0.98).all(-1)
    free = torch.ones_like(inside)
    for k in range(scene.screen_on.shape[1]):
        sx, sz, hw, sh = (scene.screen_box[:, k, i].view(b, 1, 1, 1) for i in range(4))
        t = (sz - scene.cam_pos[:, 2].view(b, 1, 1, 1)) / ray[..., 2]
        x = scene.cam_pos[:, 0].view(b, 1, 1, 1) + t * ray[..., 0]
        y = scene.cam_pos[:, 1].view(b, 1, 1, 1) + t * ray[..., 1]
        free &= ~(scene.screen_on[:, k].view(b, 1, 1, 1) & ((x - sx).abs() < hw) & (y < sh))
    return (inside & free).float().mean(-1), inside.float().mean(-1)


def _spec(kind: str, base: SceneSpec) -> SceneSpec:
    """Scenes in which the violation has a chance to happen."""
    change = {"objects": (0.0, *base.objects[1:]), "entering": 0.15, "collisions": 0.1}
    if kind == "vanish_hidden":
        change |= {"screens": 1.0, "airborne": 0.0, "resting": 0.0, "entering": 0.6}
    elif kind in ("reverse", "stop"):
        change |= {"airborne": 0.1, "resting": 0.0, "entering": 0.5}
    elif kind == "float":
        change |= {"airborne": 1.0, "resting": 0.0}
    return dataclasses.replace(base, **change)


def _candidates(kind: str, track: Trajectory, seen, inside, settle: int):
    """[B,F,N] bool: where the violation can set in."""
    active, b, f, n = track.active, *track.kind.shape
    later = torch.stack([torch.roll(seen, -k, 1) for k in range(settle + 1)]).amin(0)
    view = active & (later > 0.99)
    speed_x = track.vel[..., 0].abs()
    ground = (track.pos[..., 1] - track.half[..., 1]) < 1e-3
    if kind == "vanish_hidden":
        behind = (seen == 0) & (inside > 0.99)
        before = seen.cummax(1).values > 0.99
        after = seen.flip(1).cummax(1).values.flip(1) > 0.99
        return active & behind & before & after
    if kind in ("reverse", "stop"):
        return view & ground & (speed_x > 0.8)
    if kind == "float":
        moved = (torch.roll(track.pos[..., 1], -settle, 1) - track.pos[..., 1]).abs()
        return view & (track.pos[..., 1] - track.half[..., 1] > 0.5) & (moved > 0.6)
    return view


def _argument(kind: str, scene: Scene, i: int, o: int, r: Rng):
    """The edit's argument [3] for object o of scene i."""
    if kind == "teleport":
        x = scene.pos.new_tensor([1.0, 0.0, 0.0])
        return x * r.uniform(1.6, 3.2, 1) * r.sign(1)
    if kind == "colour":
        old = scene.colour[i, o, 0]
        for _ in range(50):
            new = hsv(r.uniform(0, 1, 1), r.uniform(0.3, 1, 1), r.uniform(0.3, 1, 1))[0]
            if float((new - old).abs().sum()) > 0.9:
                return new
        return 1 - old
    if kind == "shape":
        half = scene.half[i, o]
        if scene.kind[i, o] == BOX:
            return half.mean().expand(3).clone()
        return half * torch.tensor([0.95, 0.8, 0.95])
    return torch.zeros(3)


def _twins(kind, scene: Scene, frames, fps, onset, obj, arg):
    """Interleave lawful and edited rows and simulate both."""
    twin = scene.map(lambda t: t.repeat_interleave(2, 0))
    rows = len(onset)
    if kind == "appear":
        twin.active[torch.arange(2 * rows), obj.repeat_interleave(2)] = False
    names = [name for _ in range(rows) for name in ("none", kind)]
    edit = Edit(names, obj.repeat_interleave(2), onset.repeat_interleave(2), arg.repeat_interleave(2, 0))
    return twin, edit, simulate(twin, frames, fps, edit)


def _first_difference(twin: Scene, track: Trajectory, least: float = 0.06):
    """First frame [P] whose noise-free 64x36 picture differs visibly in some pixel; F where none does."""
    video = render(twin, track, 36, 64).float() / 255
    worst = (video[0::2] - video[1::2]).abs().mean(-1).flatten(2).amax(-1)
    differs = worst > least
    frames = differs.shape[1]
    never = torch.full_like(differs[:, 0], frames, dtype=torch.long)
    return torch.where(differs.any(1), differs.float().argmax(1), never)


def sample_pairs(kind: str, count: int, frames: int, fps: float, generator: torch.Generator,
                 spec: SceneSpec | None = None, earliest: float = 0.35, latest: float = 0.65) -> Pairs:
    """Rejection-sample `count` pairs; the onset lies between the shares `earliest` and `latest` of the
    video, in view (vanish_hidden: fully behind a screen, to come out again later)."""
    if kind not in VIOLATIONS:
        raise ValueError(f"unknown violation {kind!r}")
    spec, r, settle = _spec(kind, spec or SceneSpec()), Rng(generator), max(1, round(SETTLE_S * fps))
    kept: list[tuple] = []
    lo, hi = round(earliest * frames), min(round(latest * frames), frames - settle - 1)
    for _ in range(400):
        scene = sample_scenes(48, frames / fps, generator, spec)
        track = simulate(scene, frames, fps)
        seen, inside = visibility(scene, track)
        ok = _candidates(kind, track, seen, inside, settle)
        ok[:, :lo] = False
        ok[:, hi + 1:] = False
        rows = ok.flatten(1).any(1).nonzero()[:, 0]
        if not len(rows):
            continue
        chosen = torch.multinomial(ok[rows].flatten(1).float(), 1, generator=generator)[:, 0]
        n = ok.shape[2]
        onset, obj = chosen // n, chosen % n
        sub = scene[rows]
        arg = torch.stack([_argument(kind, sub, i, int(o), r) for i, o in enumerate(obj)])
        twin, edit, both = _twins(kind, sub, frames, fps, onset, obj, arg)
        first = _first_difference(twin, both)
        good = first <= (frames - settle if kind == "vanish_hidden" else onset + settle // 2)
        if kind == "vanish_hidden":  # not given away by a shadow
            good &= first >= onset + max(2, settle // 3)
        if kind == "teleport":
            after, _ = visibility(twin[1::2], _rows(both, slice(1, None, 2)))
            good &= after[torch.arange(len(rows)), onset, obj] > 0.99
        for i in good.nonzero()[:, 0].tolist():
            pair = slice(2 * i, 2 * i + 2)
            kept.append((twin[pair], _edit_rows(edit, pair), _rows(both, pair), onset[i], first[i], obj[i]))
        if len(kept) >= count:
            return _join(kind, kept[:count], fps)
    raise RuntimeError(f"no scene allows {kind!r}")


def _rows(track: Trajectory, sl) -> Trajectory:
    names = ("pos", "vel", "roll", "active", "kind", "half", "colour")
    return Trajectory(*(getattr(track, n)[sl] for n in names), track.fps)


def _edit_rows(edit: Edit, sl: slice) -> Edit:
    return Edit(edit.kind[sl], edit.obj[sl], edit.onset[sl], edit.arg[sl])


def _join(kind: str, kept: list[tuple], fps: float) -> Pairs:
    scenes, edits, tracks, onset, seen, obj = zip(*kept)
    scene = Scene(**{f.name: torch.cat([getattr(s, f.name) for s in scenes]) for f in dataclasses.fields(Scene)})
    kinds = [name for e in edits for name in e.kind]
    edit = Edit(kinds, *(torch.cat([getattr(e, n) for e in edits]) for n in ("obj", "onset", "arg")))
    names = ("pos", "vel", "roll", "active", "kind", "half", "colour")
    track = Trajectory(*(torch.cat([getattr(t, n) for t in tracks]) for n in names), fps)
    return Pairs(kind, scene, edit, track, torch.stack(onset), torch.stack(seen), torch.stack(obj))


def render_pairs(pairs: Pairs, height: int, width: int, generator, ss: int = 2, chunk: int = 64):
    """Twins as uint8 video [2P,F,H,W,3]; before the onset the impossible one is the possible one."""
    video = render(pairs.scene, pairs.track, height, width, generator, ss=ss, chunk=chunk, noise_rows=2)
    for i, onset in enumerate(pairs.onset.tolist()):
        # the states are equal up to here; copying also removes last-bit differences of vector maths
        video[2 * i + 1, :onset] = video[2 * i, :onset]
    return video
