"""Two-colour textures: the share of the second colour at plane coordinates."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from . import bank
from .state import BANK, CHECKER, CHEVRON, DOTS, GRADIENT, NOISE, PLAIN, STRIPES

TABLE = 512  # texels per side of the noise table
TEXELS = 8  # per period


@functools.cache
def _noise_table(device: str):
    """Two octaves of smooth lattice noise in [0, 1], tileable: [TABLE * TABLE]."""
    g = torch.Generator().manual_seed(1)
    total = torch.zeros(1, 1, TABLE, TABLE)
    for weight, texels in ((0.65, TEXELS), (0.35, TEXELS // 2)):
        n = TABLE // texels
        lattice = F.pad(torch.rand(1, 1, n, n, generator=g), (2, 2, 2, 2), mode="circular")
        up = F.interpolate(lattice, scale_factor=texels, mode="bicubic", align_corners=False)
        total += weight * up[..., 2 * texels:-2 * texels, 2 * texels:-2 * texels]
    return total.clamp(0, 1).flatten().to(device)


def _tri(a):
    """Triangle wave of period 2: 0 at even, 1 at odd integers."""
    half = a * 0.5
    return (half - torch.floor(half + 0.5)).abs() * 2


def _checker(a, b):
    half = (torch.floor(a) + torch.floor(b)) * 0.5
    return (half - torch.floor(half)) * 2


def _stripes(a, b):
    return ((_tri(a) - 0.5) * 6 + 0.5).clamp(0, 1)


def _noise(a, b):
    """Bilinear look-up."""
    table = _noise_table(str(a.device))
    a, b = a * TEXELS, b * TEXELS
    ia, ib = torch.floor(a), torch.floor(b)
    fa, fb = a - ia, b - ib
    ia, ib = ia.int(), ib.int()
    a0, a1 = ia & (TABLE - 1), (ia + 1) & (TABLE - 1)
    b0, b1 = (ib & (TABLE - 1)) * TABLE, ((ib + 1) & (TABLE - 1)) * TABLE
    low = table.index_select(0, b0 + a0)
    low += (table.index_select(0, b0 + a1) - low) * fa
    high = table.index_select(0, b1 + a0)
    high += (table.index_select(0, b1 + a1) - high) * fa
    return low + (high - low) * fb


def _gradient(a, b):
    return _tri(a * 0.3)


def _dots(a, b):
    da, db = a - torch.floor(a) - 0.5, b - torch.floor(b) - 0.5
    return ((0.11 - da * da - db * db) * 12 + 0.5).clamp(0, 1)


def _chevron(a, b):
    return ((_tri(a + 2 * _tri(b)) - 0.5) * 6 + 0.5).clamp(0, 1)


_WEIGHT = {CHECKER: _checker, STRIPES: _stripes, NOISE: _noise, GRADIENT: _gradient, DOTS: _dots, CHEVRON: _chevron}


def present(kinds) -> list[int]:
    """The kinds other than PLAIN in a tensor."""
    return [k for k in torch.unique(kinds).tolist() if k != PLAIN]


def weight(kind, a, b, kinds: list[int]):
    """Share of the second colour [Q] in [0, 1] at texture coordinates a, b [Q], in periods; kind [Q]; kinds: those
    that occur."""
    out = torch.zeros_like(a)
    for k in kinds:
        if k < BANK:
            at = (kind == k).nonzero()[:, 0]
            if at.numel():
                out[at] = _WEIGHT[k](a.index_select(0, at), b.index_select(0, at))
    if any(k >= BANK for k in kinds):
        at = (kind >= BANK).nonzero()[:, 0]
        out[at] = bank.share(kind.index_select(0, at) - BANK, a.index_select(0, at), b.index_select(0, at))
    return out


def mean_share(kind):
    """Share of the second colour over a texture of `kind` [..]: of plain ones none."""
    _, means = bank.tiles(str(kind.device))
    banked = means[(kind - BANK).clamp(min=0)]
    return torch.where(kind >= BANK, banked, (kind != PLAIN).float() * 0.5)
