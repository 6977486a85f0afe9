"""Pairs of twins, one lawful and one not, that are pixel-identical before the onset; and lawful control pairs."""

from __future__ import annotations

import dataclasses

import torch

from .physics import Edit, simulate
from .render import project, render, visibility
from .sampling import Rng
from .scene import Scene, SceneSpec, sample_scenes
from .search import (
    FAINT, SCENES, SETTLE_S, VISIBLE, Found, choose, clear, collect, differences, first, onset_window, splice,
)
from .state import Look, Trajectory
from .violations import (
    HIDDEN, LATER_S, PRESENCE, SMALLEST, VIOLATIONS, attribute, candidates, is_swap, spec_for, throughout, variant,
    went_behind,
)

TINY = 1e-6
CLEAR = 0.4  # nearer objects keep so far from the centre of the edited one, in units of its half extents


@dataclasses.dataclass
class Pairs:
    """P pairs of twins: rows 2i (possible) and 2i + 1 (impossible) of look and track [2P].

    onset [P]: frame of the edit; seen [P]: first frame whose picture differs visibly; obj [P]: edited object; group
    [P]: pairs of one group are a quadruplet (A, A then B), (B, B then A), whose later pictures carry no cue. vanish
    and appear (hidden or not) of equal seeds are each other's mirror images, group by group.
    """

    kind: str
    look: Look
    track: Trajectory
    onset: torch.Tensor
    seen: torch.Tensor
    obj: torch.Tensor
    group: torch.Tensor

    def __len__(self) -> int:
        return len(self.obj)

    @property
    def hidden(self) -> bool:
        return self.kind in HIDDEN

    @property
    def impossible(self):
        """Labels [2P] of the rows."""
        return torch.arange(2 * len(self)) % 2 == 1

    def _shown(self):
        """Rows [P] in which more of the object is to be seen at the frame `seen`: the impossible one if alike."""
        even = 2 * torch.arange(len(self))
        share = visibility(self.look, self.track)[0] * self.track.active
        return even + (share[even + 1, self.seen, self.obj] >= share[even, self.seen, self.obj]).long()

    def boxes(self, height: int, width: int):
        """Box [P,4] = x0, y0, x1, y1 in pixels of the edited object at the frame `seen`, in the twin that shows
        more of it."""
        pick = (self._shown(), self.seen, self.obj)
        x, y, rx, ry = (t[pick] for t in project(self.look, self.track, height, width))
        box = torch.stack([x - rx, y - ry, x + rx, y + ry], -1)
        return box.clamp(min=0).minimum(torch.tensor([width, height, width, height], dtype=box.dtype))

    def masks(self, height: int, width: int):
        """Silhouettes [P,height,width] bool of the object where boxes() has it: pixels that take on its colour."""
        rows = self._shown()
        look, track = clear(self.look[rows]), self.track[rows]
        track = track.map(lambda t: t[torch.arange(len(rows)), self.seen][:, None].clone())
        pictures = []
        for grey in (0.0, 1.0):
            track.colour[torch.arange(len(rows)), 0, self.obj] = grey
            pictures.append(render(look, track, height, width)[:, 0].float())
        return (pictures[1] - pictures[0]).mean(-1) > 25


def _same_past(a: Trajectory, b: Trajectory, onset, obj):
    """[B]: up to the onset all other objects are in the same places in a and b."""
    frame, number = torch.arange(a.kind.shape[1]), torch.arange(a.kind.shape[2])
    mask = (frame[None] <= onset[:, None])[..., None] & (number != obj[:, None])[:, None]
    return ((a.pos - b.pos).abs().amax(-1) * mask).flatten(1).amax(1) < 1e-4


def _other(kind: str, scene: Scene, a: Trajectory, times, onset, obj, r: Rng):
    """Scene and trajectory b: of the changed scene, or (state edits) of the same one with its physics broken."""
    if is_swap(kind):
        scene = variant(kind, scene, obj, r)
        return simulate(scene, times)
    b = simulate(scene, times, Edit([kind] * len(scene), obj, times[onset]))
    return splice(a, b, onset)


def _free_of_others(f: Found, track: Trajectory):
    """[B]: no nearer object covers much of the object at the onset and the frames around it."""
    x, y, rx, ry = project(f.look, track, 1, 1)
    z = track.pos[..., 2]
    rows, free = torch.arange(len(f.obj)), torch.ones(len(f.obj), dtype=torch.bool)
    for shift in (-1, 0, 2):
        at = (rows, f.onset + shift)
        own = (*at, f.obj)
        near = (z[at] < z[own][:, None] - TINY) & track.active[at]
        beside = (x[at] - x[own][:, None]).abs() - rx[at] > CLEAR * rx[own][:, None]
        above = (y[at] - y[own][:, None]).abs() - ry[at] > CLEAR * ry[own][:, None]
        free &= ~(near & ~beside & ~above).any(1)
    return free


def _place_fits(kind: str, f: Found, fps: float, settle: int, unseen):
    """[B]: the object is big enough, and in b too it is in view or behind something as the kind demands."""
    rows = torch.arange(len(f.obj))
    at = (rows, f.onset, f.obj)
    fits = 2 * project(f.look, f.a, 1, 1)[2][at] >= SMALLEST
    fits &= _same_past(f.a, f.b, f.onset, f.obj) | (not is_swap(kind))
    if kind not in HIDDEN:
        fits &= _free_of_others(f, f.a)
    if not is_swap(kind) or attribute(kind) == "presence":
        return fits
    seen, inside = visibility(f.look, f.b)
    fits &= 2 * project(f.look, f.b, 1, 1)[2][at] >= SMALLEST
    if kind not in HIDDEN:
        return fits & throughout(seen, settle)[at] & _free_of_others(f, f.b)
    fits &= went_behind(seen, inside, fps, unseen)[at]
    if kind == "teleport_hidden":
        out_a, out_b = (_comes_out(f, t, True) for t in (f.a, f.b))
        fits &= (out_a - out_b).abs() >= max(2, round(LATER_S * fps))
    return fits


def _comes_out(f: Found, track: Trajectory, whole: bool = False):
    """First frame [B] after the onset at which the object is in view (whole: fully); F if it never is."""
    seen = visibility(f.look, track)[0] * track.active
    share = seen[torch.arange(len(f.obj)), :, f.obj]
    later = torch.arange(share.shape[1])[None] > f.onset[:, None]
    return first(later & (share > (0.99 if whole else 0.0)))


def _shows(kind: str, f: Found, settle: int):
    """Which candidates [B] become visible as they should, and their first visibly different frames [B]."""
    difference, _ = differences(f.look, f.a, f.b)
    frame = torch.arange(difference.shape[1])[None]
    late = frame >= f.onset[:, None]
    seen = first(late & (difference > VISIBLE))
    if kind not in HIDDEN:
        return seen <= f.onset + max(1, settle // 2), seen
    out = torch.minimum(_comes_out(f, f.a), _comes_out(f, f.b))
    secret = late & (frame < out[:, None] - 1)  # not given away by a shadow
    return ((difference * secret).amax(1) < FAINT) & (seen <= difference.shape[1] - 3) & (seen > f.onset), seen


def _search(kind: str, need: int, times, fps: float, window, generator, spec: SceneSpec):
    """One round: candidates of the kind, with their first visibly different frames."""
    r, settle, (lo, hi) = Rng(generator), max(1, round(SETTLE_S * fps)), window
    scene = sample_scenes(SCENES, len(times) / fps, generator, spec_for(kind, spec))
    a = simulate(scene, times)
    ok = candidates(kind, scene, a, *visibility(scene.look, a), fps, settle, spec.unseen)
    ok[:, :lo] = False
    ok[:, hi + 1:] = False
    rows, onset, obj = choose(ok, generator)
    if not len(rows):
        return None
    scene, a = scene[rows], a[rows]
    f = Found(scene.look, a, _other(kind, scene, a, times, onset, obj, r), onset, obj)
    f = f[_place_fits(kind, f, fps, settle, spec.unseen).nonzero()[:2 * need, 0]]
    if not len(f.obj):
        return None
    good, seen = _shows(kind, f, settle)
    good = good.nonzero()[:, 0]
    return f[good], seen[good]


def _paired(kind: str, f: Found, seen, count: int) -> Pairs:
    """Twins in rows: A and A then B, and for swaps of what an object is like also B and B then A."""
    ab = [f.a, splice(f.a, f.b, f.onset)]
    ba = [f.b, splice(f.b, f.a, f.onset)]
    if not is_swap(kind) or kind.startswith(PRESENCE[0]):
        rows = ab
    else:
        rows = ba if kind.startswith(PRESENCE[1]) else ab + ba
    k, p = len(rows), len(f.obj)
    order = torch.arange(k * p).view(k, p).T.flatten()
    track = Trajectory.cat(rows)[order][:2 * count]

    def per_pair(t):
        return t.repeat_interleave(k // 2, 0)[:count]
    look = f.look.map(lambda t: t.repeat_interleave(k, 0)[:2 * count])
    return Pairs(kind, look, track, *map(per_pair, (f.onset, seen, f.obj, torch.arange(p))))


def sample_pairs(kind: str, count: int, frames: int, fps: float, generator: torch.Generator,
                 spec: SceneSpec | None = None, earliest: float = 0.35, latest: float = 0.65) -> Pairs:
    """Rejection-sample `count` pairs; the onset lies between the shares `earliest` and `latest` of the video, with
    the object in view (HIDDEN: fully behind a screen, to come out again later)."""
    if kind not in VIOLATIONS:
        raise ValueError(f"unknown violation {kind!r}")
    times = torch.arange(frames, dtype=torch.float64) / fps
    window, spec = onset_window(frames, fps, earliest, latest), spec or SceneSpec()
    mirrored = is_swap(kind) and attribute(kind) != "presence"
    need = (count + 1) // 2 if mirrored else count
    found, seen = collect(lambda n: _search(kind, n, times, fps, window, generator, spec), need)
    return _paired(kind, found, seen, count)


def render_pairs(pairs: Pairs, height: int, width: int, generator, ss: int = 2, chunk: int | None = None):
    """Twins as uint8 video [2P,F,H,W,3]; before the onset the impossible one is the possible one. Videos of a
    quadruplet, or else of a pair, share their sensor noise."""
    group = pairs.group
    whole = len(group) % 2 == 0 and bool((group[0::2] == group[1::2]).all())
    video = render(pairs.look, pairs.track, height, width, generator, ss=ss, noise_rows=4 if whole else 2, chunk=chunk)
    for i, onset in enumerate(pairs.onset.tolist()):
        # the states are equal up to here; copying also removes last-bit differences of vector maths
        video[2 * i + 1, :onset] = video[2 * i, :onset]
    return video
