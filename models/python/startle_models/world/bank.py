"""A bank of textures for variety: tiles made by a few families of rules with random settings. None of the families is
the dots or chevrons that training never shows."""

from __future__ import annotations

import functools
import math

import torch

SIDE = 128  # texels of a tile
PERIODS = 4  # of texture coordinates that a tile spans
COUNT, KEPT_BACK = 256, 64  # tiles to train on, and those after them that only a validation shows

_axis = torch.arange(SIDE) / SIDE
_V, _U = torch.meshgrid(_axis, _axis, indexing="ij")


def _between(a, b, g):
    return a + (b - a) * torch.rand((), generator=g).item()


def _log_between(a, b, g):
    return math.exp(_between(math.log(a), math.log(b), g))


def _whole(a, b, g):
    return int(torch.randint(a, b + 1, (), generator=g))


def _even(x):
    """Ranks in [0,1]: every value as often."""
    rank = torch.empty(x.numel())
    rank[x.flatten().argsort()] = torch.arange(x.numel(), dtype=torch.float32)
    return (rank / (x.numel() - 1)).view_as(x)


def _sharpened(x, g):
    """From soft to nearly two-valued, about a threshold."""
    middle, edge = _between(0.3, 0.7, g), _log_between(2, 40, g)
    return torch.sigmoid((x - middle) * edge)


def _cloud(g):
    """Noise of a random spectrum, stretched along a random direction."""
    f = torch.fft.fftfreq(SIDE) * SIDE
    fy, fx = torch.meshgrid(f, f, indexing="ij")
    angle, stretch = _between(0, math.pi, g), _log_between(1, 8, g)
    along, across = fx * math.cos(angle) + fy * math.sin(angle), fy * math.cos(angle) - fx * math.sin(angle)
    radius = (along.square() * stretch + across.square() / stretch).sqrt()
    low, fall = _log_between(1.5, 24, g), _between(1, 4, g)
    power = 1 / (1 + (radius / low) ** fall)
    white = torch.fft.fft2(torch.randn(SIDE, SIDE, generator=g))
    return _even(torch.fft.ifft2(white * power).real)


def _waves(g):
    """Stripes, bent by noise: marble, wood, ripples."""
    kx, ky = _whole(0, 12, g), _whole(-12, 12, g)
    bend = (_cloud(g) - 0.5) * _log_between(0.1, 6, g)
    wave = torch.sin(2 * math.pi * (kx * _U + (ky or 1) * _V + bend)) * 0.5 + 0.5
    return wave ** _log_between(0.4, 4, g)


def _cells(g):
    """The cells of random points: pebbles, mosaics, cracks."""
    points = torch.rand(_whole(8, 120, g), 2, generator=g)
    away = (torch.stack([_U, _V], -1)[:, :, None] - points).abs()
    away = torch.minimum(away, 1 - away).norm(dim=-1)
    near, which = away.topk(2, -1, largest=False)
    shade = torch.rand(len(points), generator=g)[which[..., 0]]
    crack = (((near[..., 1] - near[..., 0]) * len(points) ** 0.5) / _between(0.05, 0.4, g)).clamp(0, 1)
    mix = _between(-0.3, 1.3, g)
    return crack * (1 - min(max(mix, 0), 1) * (1 - shade))


def _courses(g):
    """Rows of blocks with joints: bricks, planks, tiles, weaves."""
    rows, columns = 2 * _whole(1, 8, g), _whole(1, 12, g)
    v, row = (_V * rows) % 1, (_V * rows).floor().long()
    shift = torch.rand(rows, generator=g) if _whole(0, 1, g) else (torch.arange(rows) % 2) * _between(0, 0.5, g)
    u = _U * columns + shift[row]
    column = u.floor().long() % columns
    joint = _between(0.03, 0.25, g)
    shade = 1 - _between(0, 1, g) * torch.rand(rows, columns, generator=g)[row, column]
    out = torch.where((v < joint) | (u % 1 < joint * _between(0, 1.5, g)), 0.0, shade)
    return out.T if _whole(0, 1, g) else out


def _network(g):
    """A random network of periodic inputs (a compositional pattern)."""
    k = torch.randint(-3, 4, (10, 2), generator=g).float()
    phase = torch.rand(10, generator=g) * 2 * math.pi
    x = torch.sin(2 * math.pi * torch.stack([_U, _V], -1) @ k.T + phase)
    for _ in range(_whole(1, 3, g)):
        x = torch.tanh(x @ torch.randn(10, 10, generator=g) * _between(0.4, 1.2, g))
    return _even(x[..., 0])


FAMILIES = (_cloud, _waves, _cells, _courses, _network)


def tile(index: int) -> torch.Tensor:
    """Tile `index` [SIDE,SIDE], the share of the second colour in [0,1]; a quarter of them are two rules at once."""
    g = torch.Generator().manual_seed(7_919 * index + 1)

    def one():
        x = FAMILIES[_whole(0, len(FAMILIES) - 1, g)](g)
        return _sharpened(x, g) if _whole(0, 1, g) else x
    x = one()
    if _whole(0, 3, g) == 0:
        x = torch.where(_sharpened(_cloud(g), g) > 0.5, x, one()) if _whole(0, 1, g) else x * _between(0.3, 1, g) + one() * 0.5
    return (x - x.min()) / (x.max() - x.min()).clamp(min=1e-3)


@functools.cache
def tiles(device: str):
    """All tiles, flat [(COUNT + KEPT_BACK) * SIDE * SIDE], and the mean of each."""
    made = torch.stack([tile(i) for i in range(COUNT + KEPT_BACK)])
    return made.flatten().to(device), made.mean((1, 2)).to(device)


def share(index, a, b):
    """Share of the second colour [Q] of tiles `index` [Q] at texture coordinates a, b [Q], in periods; bilinear."""
    table, _ = tiles(str(a.device))
    a, b = a * (SIDE / PERIODS), b * (SIDE / PERIODS)
    ia, ib = torch.floor(a), torch.floor(b)
    fa, fb = a - ia, b - ib
    a0, b0 = ia.long() & (SIDE - 1), ib.long() & (SIDE - 1)
    a1, b1 = (a0 + 1) & (SIDE - 1), (b0 + 1) & (SIDE - 1)
    start = index * (SIDE * SIDE)

    def row(b):
        low = table.index_select(0, start + b * SIDE + a0)
        return low + (table.index_select(0, start + b * SIDE + a1) - low) * fa
    low = row(b0)
    return low + (row(b1) - low) * fb
