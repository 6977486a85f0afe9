"""What searching for pairs needs: candidates, differences of pictures, rejection sampling."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F

from .render import render
from .state import Batch, Look, Trajectory

SETTLE_S = 0.6  # seconds after the onset through which the object must stay in view
SCENES = 96  # sampled at once
VISIBLE, FAINT = 0.12, 0.02  # differences of pictures, in grey levels of [0, 1]
ROUNDS = 400
AT_ONCE = 8  # pairs whose pictures are compared at once


def clear(look: Look) -> Look:
    """The look without motion blur, drift and optical blur."""
    zero = torch.zeros_like(look.shutter)
    return dataclasses.replace(look, shutter=zero, blur=zero, gain_amp=zero)


def splice(a: Trajectory, b: Trajectory, onset) -> Trajectory:
    """a before the frame onset [B], b from it on."""
    late = torch.arange(a.kind.shape[1])[None] >= onset[:, None]
    pick = {}
    for f in dataclasses.fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        pick[f.name] = torch.where(late.view(*late.shape, *[1] * (x.dim() - 2)), y, x)
    return Trajectory(**pick)


def _pair_differences(look: Look, a: Trajectory, b: Trajectory):
    both = render(clear(Look.cat([look, look])), Trajectory.cat([a, b]), 72, 128, ss=1)
    x, y = both.chunk(2)
    change = (x.float() - y.float()).flatten(0, 1).permute(0, 3, 1, 2) / 255
    fine = change.abs().mean(1).flatten(1).amax(1)
    coarse = F.avg_pool2d(change, 2).abs().mean(1).flatten(1).amax(1)
    return coarse.view(x.shape[:2]), fine.view(x.shape[:2])


def differences(look: Look, a: Trajectory, b: Trajectory):
    """Largest difference of a pixel between the noise-free pictures of a and b: at 64x36, and at 128x72 without
    anti-aliasing (where slivers show): two [B,F]."""
    parts = [_pair_differences(look[rows], a[rows], b[rows]) for rows in torch.arange(len(look)).split(AT_ONCE)]
    return tuple(torch.cat(p) for p in zip(*parts))


def first(mask):
    """First true frame [B] of mask [B,F]; F where there is none."""
    frame = torch.arange(mask.shape[1])
    return torch.where(mask, frame, mask.shape[1]).amin(1)


def choose(ok, generator):
    """One true (frame, object) of every row of ok [B,F,N] that has any: rows, frames, objects."""
    rows = ok.flatten(1).any(1).nonzero()[:, 0]
    if not len(rows):
        return rows, rows, rows
    chosen = torch.multinomial(ok[rows].flatten(1).float(), 1, generator=generator)[:, 0]
    return rows, chosen // ok.shape[2], chosen % ok.shape[2]


@dataclasses.dataclass
class Found(Batch):
    """Candidates [B]: scene look, lawful trajectory a, the other one b, the edit's frame and object."""

    look: Look
    a: Trajectory
    b: Trajectory
    onset: torch.Tensor
    obj: torch.Tensor


def onset_window(frames: int, fps: float, earliest: float, latest: float):
    """First and last frame of an onset."""
    return round(earliest * frames), min(round(latest * frames), frames - max(1, round(SETTLE_S * fps)) - 1)


def collect(search, need: int):
    """Repeat search(missing) until `need` candidates are found: Found and first different frames."""
    found, total = [], 0
    for _ in range(ROUNDS):
        got = search(need - total)
        if got is not None:
            found.append(got)
            total += len(got[1])
        if total >= need:
            break
    else:
        raise RuntimeError("no scene allows this violation")
    parts, seen = zip(*found)
    return Found.cat(parts)[:need], torch.cat(seen)[:need]
