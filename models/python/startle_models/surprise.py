"""Surprise over time of videos at the model's frame rate, the way `startle analyze` computes it, with its controls.

Every scorer gives one error per token of the slot that follows a context; each error is put on the footing of its
scorer and context (median and robust deviation on lawful videos); the mean of the TOP largest, averaged over contexts,
is the surprise of that slot.
"""

from __future__ import annotations

import torch

from .net import Net, patches
from .train_data import CONTEXTS, normalise

STRIDE = 2          # frames between windows
BATCH = 16          # clips at once: more do not fit the processor's cache
TOP = 2             # of the tokens of a slot (startle's --top 0.06 of 36)
MODEL, RANDOM, COPY, PIXEL, PIXEL2 = "model", "random weights", "copy last token", "pixel difference", "pixel 2nd difference"
CONTROLS = (RANDOM, COPY, PIXEL, PIXEL2)


@torch.no_grad()
def next_slot_errors(net: Net, video, context: int, controls: bool = True) -> dict[str, torch.Tensor]:
    """Errors {scorer: [B, tokens]} of the slot after the context; video uint8 [B, context + 2, H, W, 3]."""
    cfg, n = net.cfg, net.cfg.per_slot
    clip = normalise(video)
    target = net.targets(clip)
    with torch.autocast(video.device.type, torch.bfloat16):  # half the time; see test_benchmark for the difference
        predicted = torch.cat([net.predict(some, context, 1) for some in clip.split(BATCH)]).float()
    out = {MODEL: (predicted - target[:, -n:]).abs().mean(-1)}
    if controls:
        out[COPY] = (target[:, -n:] - target[:, -2 * n:-n]).abs().mean(-1)
        p = patches(clip[:, -3 * cfg.tubelet:], cfg).unflatten(1, (3, n))
        out[PIXEL] = (p[:, 2] - p[:, 1]).abs().mean(-1)
        out[PIXEL2] = (p[:, 2] - 2 * p[:, 1] + p[:, 0]).abs().mean(-1)
    return out


def errors(net: Net, video, context: int, since=None, controls: bool = True) -> dict[str, torch.Tensor]:
    """Errors {scorer: [V, windows, tokens]} of all windows of videos uint8 [V,F,H,W,3].

    since [V/2]: the rows are twins that are equal before this frame; what the second repeats is not computed again.
    """
    span = context + net.cfg.tubelet
    windows = []
    for start in range(0, video.shape[1] - span + 1, STRIDE):
        rows = torch.arange(len(video))
        if since is not None:
            rows = rows[(rows % 2 == 0) | (start + span > since.repeat_interleave(2))]
        some = next_slot_errors(net, video[rows, start:start + span], context, controls)
        windows.append({k: _spread(v, rows, len(video)) for k, v in some.items()})
    return {k: torch.stack([w[k] for w in windows], 1) for k in windows[0]}


def _spread(value, rows, count: int):
    """Rows of all `count` videos: those in `rows`, and for the others what their lawful twin (one row up) has."""
    full = value.new_zeros(count, value.shape[1])
    full[rows] = value
    missing = torch.ones(count, dtype=torch.bool)
    missing[rows] = False
    full[missing] = full[missing.nonzero()[:, 0] - 1]
    return full


class Footing:
    """Median and robust standard deviation of lawful token errors per scorer and context."""

    def __init__(self, lawful: dict[int, dict[str, torch.Tensor]]):
        self.foot = {(c, k): self._of(v) for c, by_name in lawful.items() for k, v in by_name.items()}

    @staticmethod
    def _of(value):
        middle = value.median()
        return float(middle), float((value - middle).abs().median() * 1.4826) + 1e-9

    def curve(self, by_context: dict[int, dict[str, torch.Tensor]], name: str, tubelet: int = 2):
        """Surprise [V, slots] of `name`; slot i covers frames tubelet*i and on. The slots before the shortest context
        are nan."""
        total, count = None, None
        for context, by_name in by_context.items():
            middle, scale = self.foot[context, name]
            value = ((by_name[name] - middle) / scale).clamp(min=0).topk(TOP, dim=-1).values.mean(-1)
            first = context // tubelet
            if total is None:
                slots = first + value.shape[1]
                total, count = value.new_zeros(len(value), slots), torch.zeros(slots)
            total[:, first:first + value.shape[1]] += value
            count[first:first + value.shape[1]] += 1
        return total / count
