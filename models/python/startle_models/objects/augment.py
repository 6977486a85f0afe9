"""Pictures that look otherwise and show the same: other grounds, hues, exposures, blur, noise, compression."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .labels import COLOUR, SIDE, X

PATTERNS = 9


def uniform(a, b, *shape):
    return a + (b - a) * torch.rand(*shape)


def log_uniform(a, b, *shape):
    return torch.exp(uniform(math.log(a), math.log(b), *shape))


def plane(t):
    """[n] to [n,1,1]."""
    return t.view(-1, 1, 1)


def _axes():
    axis = (torch.arange(SIDE) + 0.5) / SIDE
    return torch.meshgrid(axis, axis, indexing="ij")


_Y, _X = _axes()


def cloud(n):
    """Smooth noise of several octaves [n,SIDE,SIDE] in [0,1]."""
    out, fade = 0, uniform(0.2, 0.9, n, 1, 1, 1)
    for i, cells in enumerate((3, 6, 12, 24, 48)):
        octave = F.interpolate(torch.rand(n, 1, cells, cells), size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        out = out + fade**i * (octave - 0.5)
    return (out / out.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-3) * 0.5 + 0.5)[:, 0]


def _wave(a):
    return (a * 0.5 - torch.floor(a * 0.5 + 0.5)).abs() * 2


def _hash(a, b):
    return torch.frac(torch.sin(torch.floor(a) * 12.9898 + torch.floor(b) * 78.233) * 43758.5453).abs()


def pattern(n, u, v, noise):
    """Grounds [n,SIDE,SIDE] in [0,1] at plane coordinates u, v in periods: noise, bricks, planks, tiles, checkers, lines,
    marble, mosaic, gradients."""
    gap = plane(uniform(0.04, 0.2, n))
    row = torch.floor(v)
    shifted = u + 0.5 * (row % 2)
    mortar = (shifted % 1 < gap * 0.5) | (v % 1 < gap)
    gradient = u * 0.2 + v * 0.1
    gradient = gradient - gradient.amin((1, 2), keepdim=True)
    kinds = torch.stack([
        noise,
        torch.where(mortar, 0.0, 0.6 + 0.4 * _hash(shifted, v) * plane(torch.rand(n))),
        torch.where(v % 1 < gap * 0.6, 0.0, 0.4 + 0.6 * _hash(v, 3.0 + 0 * v) + 0.2 * (noise - 0.5)),
        ((u % 1 < gap * 0.6) | (v % 1 < gap * 0.6)).float(),
        (torch.floor(u) + torch.floor(v)) % 2,
        ((_wave(u * 2) - 0.5) * plane(uniform(1, 6, n)) + 0.5).clamp(0, 1),
        0.5 + 0.5 * torch.sin(6.28 * (u * 0.7 + noise * plane(uniform(0.5, 3, n)))),
        _hash(u, v),
        gradient / gradient.amax((1, 2), keepdim=True).clamp(min=1e-3),
    ])
    return kinds[torch.randint(PATTERNS, (n,)), torch.arange(n)].clamp(0, 1)


def _two_colours(n):
    a = torch.rand(n, 3)
    grey = a.mean(1, keepdim=True)
    a = grey + (a - grey) * uniform(0, 1.2, n, 1)
    b = a + (torch.rand(n, 3) - 0.5) * 2 * uniform(0.05, 0.6, n, 1)
    return a.clamp(0.02, 1), b.clamp(0.02, 1)


def _coloured(share, n):
    a, b = (c[:, :, None, None] for c in _two_colours(n))
    return a + share[:, None] * (b - a)


def _turned(p, q, angle):
    return p * plane(angle.cos()) - q * plane(angle.sin()), p * plane(angle.sin()) + q * plane(angle.cos())


def ground(n):
    """Empty rooms [n,3,SIDE,SIDE]: a wall above a horizon, a floor in perspective below it, pictures on the wall."""
    horizon = plane(uniform(-0.1, 0.75, n)) + (_X - 0.5) * plane(uniform(-0.1, 0.1, n) * (torch.rand(n) < 0.3))
    noise = cloud(2 * n)
    u, v = _turned((_X - 0.5) * 1.77, _Y - 0.5, uniform(0, math.pi, n) * (torch.rand(n) < 0.3))
    swap = plane(torch.rand(n) < 0.5)
    u, v = torch.where(swap, v, u), torch.where(swap, u, v)
    scale = plane(log_uniform(2, 14, n))
    wall = pattern(n, u * scale + plane(uniform(0, 9, n)),
                   v * scale * plane(uniform(0.6, 2, n)) + plane(uniform(0, 9, n)), noise[:n])
    distance = 1 / (_Y - (horizon - plane(uniform(0.02, 0.3, n)))).clamp(min=0.02)
    u, v = _turned((_X - 0.5) * 1.77 * distance, distance, uniform(0, math.pi, n))
    scale = plane(log_uniform(0.7, 5, n))
    floor = pattern(n, u * scale + 30, v * scale + 30, noise[n:])
    below = ((_Y - horizon) * SIDE).clamp(0, 1)[:, None]
    out = _coloured(wall, n) * (1 - below) + _coloured(floor, n) * below
    for _ in range(2):
        x, y, w, h = (plane(uniform(a, b, n)) for a, b in ((-0.1, 0.9), (-0.1, 0.5), (0.05, 0.4), (0.03, 0.3)))
        inside = (_X > x) & (_X < x + w) & (_Y > y) & (_Y < y + h) & plane(torch.rand(n) < 0.2)
        out = out + (inside.float()[:, None] * (1 - below)) * uniform(-0.35, 0.35, n, 3, 1, 1)
    return out.clamp(0, 1)


def _on_other_ground(x, front):
    """The same things and their shadows before another room; shadows hard at times. x [n,3,F,SIDE,SIDE], front
    [n,F,SIDE,SIDE]."""
    n, behind = len(x), (~front).float()[:, None]
    light = x.mean(1, keepdim=True)
    mean = (light * behind).sum((1, 3, 4), keepdim=True) / behind.sum((1, 3, 4), keepdim=True).clamp(min=1)
    shade = (light / mean.clamp(min=0.05)).clamp(0.15, 1.8)
    dark = uniform(0.3, 0.8, n, 1, 1, 1, 1)
    hard = dark + (1 - dark) * torch.sigmoid((shade - 0.8) / 0.04)
    shade = torch.where(torch.rand(n, 1, 1, 1, 1) < 0.25, hard, shade ** uniform(0.4, 1.1, n, 1, 1, 1, 1))
    return (1 - behind) * x + behind * (ground(n)[:, :, None] * shade).clamp(0, 1)


def _turns_of_hue(n):
    """Rotations of RGB [n,3,3] about grey, and swaps of its axes."""
    t = uniform(-math.pi, math.pi, n)
    c, s = plane(t.cos()), plane(t.sin())
    skew = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    turn = c * torch.eye(3) + (1 - c) / 3 + s * skew
    turn = torch.where(plane(torch.rand(n) < 0.6), turn, torch.eye(3))
    return torch.eye(3)[torch.rand(n, 3).argsort(1)] @ turn


def _dct():
    k = torch.arange(8.0)
    m = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) * 0.5
    m[0] *= 2**-0.5
    return m


_DCT = _dct()
_STEPS = 1 + torch.arange(8.0)[:, None] + torch.arange(8.0)[None]


def compressed(x, step):
    """As JPEG leaves it: x [n,c,F,SIDE,SIDE]; step [n] of the quantiser at zero frequency."""
    n, c, f = x.shape[:3]
    blocks = x.reshape(n, c * f, SIDE // 8, 8, SIDE // 8, 8).permute(0, 1, 2, 4, 3, 5)
    q = step.view(n, 1, 1, 1, 1, 1) * _STEPS
    blocks = _DCT.T @ (torch.round(_DCT @ blocks @ _DCT.T / q) * q) @ _DCT
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(n, c, f, SIDE, SIDE)


def _blurred(x):
    """A share of the videos is soft, or was smaller once. x [n,3,F,SIDE,SIDE]."""
    chance = torch.rand(len(x))
    soft = (chance < 0.2).nonzero()[:, 0]
    if len(soft):
        a = uniform(0, 0.3, len(soft), 1, 1, 1, 1)
        z = F.pad(x[soft], (1, 1, 1, 1, 0, 0), mode="replicate")
        z = z[..., 1:-1] * (1 - 2 * a) + a * (z[..., :-2] + z[..., 2:])
        x[soft] = z[..., 1:-1, :] * (1 - 2 * a) + a * (z[..., :-2, :] + z[..., 2:, :])
    for low, high, side in ((0.2, 0.3, 64), (0.3, 0.36, 48)):
        small = ((chance >= low) & (chance < high)).nonzero()[:, 0]
        if len(small):
            down = F.interpolate(x[small].flatten(1, 2), size=(side, side), mode="area" if side == 48 else "bilinear")
            up = F.interpolate(down, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
            x[small] = up.view(len(small), 3, -1, SIDE, SIDE)
    return x


def _exposed(x):
    """Gamma, contrast, gain, colour balance and a light that falls off, alike over a video. x [n,3,F,SIDE,SIDE]."""
    n = len(x)

    def each(t):
        return t.view(n, 1, 1, 1, 1)
    x = x.clamp(0, 1) ** each(torch.exp(uniform(-0.45, 0.45, n)))
    mean = x.mean((1, 2, 3, 4), keepdim=True)
    x = mean + (x - mean) * each(torch.exp(uniform(-0.6, 0.35, n)))
    x = x * each(torch.exp(uniform(-0.35, 0.3, n))) + each(uniform(-0.1, 0.1, n))
    x = x * torch.exp(0.08 * torch.randn(n, 3, 1, 1, 1))
    return x * (1 + each(uniform(-0.35, 0.35, n)) * (_X - 0.5) + each(uniform(-0.35, 0.35, n)) * (_Y - 0.5))


@torch.no_grad()
def augment(video, things, maps, front, other_ground):
    """Videos of F pictures, changed alike throughout but for noise: video uint8 [n,F,SIDE,SIDE,3], things [n,F,N,14], maps
    float [n,F,G,G,3], front bool [n,F,SIDE,SIDE] to pixels [n,F,3,SIDE,SIDE] in [-1,1], things and maps. other_ground
    bool [n]: before another background."""
    n = len(video)
    x = video.permute(0, 4, 1, 2, 3).float() / 255
    swap = other_ground.nonzero()[:, 0]
    if len(swap):
        x[swap] = _on_other_ground(x[swap], front[swap])
    turn = _turns_of_hue(n)
    x = torch.einsum("nij,njfhw->nifhw", turn, x)
    seen = (things[..., :1] > 0).float()
    things = things.clone()
    turned = torch.einsum("nij,nfkj->nfki", turn, things[..., COLOUR])
    things[..., COLOUR] = (turned * seen).clamp(-0.5, 0.5)
    flip = torch.rand(n) < 0.5
    x[flip], maps = x[flip].flip(-1), torch.where(flip.view(n, 1, 1, 1, 1), maps.flip(3), maps)
    things[..., X] = torch.where(flip[:, None, None], (1 - things[..., X]) * seen[..., 0], things[..., X])
    x = _blurred(_exposed(x))
    grain = uniform(0, 0.03, n, 1, 1, 1, 1) * (torch.rand(n, 1, 1, 1, 1) < 0.7)
    x = x + grain * torch.randn(x.shape)
    coded = (torch.rand(n) < 0.35).nonzero()[:, 0]
    if len(coded):
        x[coded] = compressed(x[coded], log_uniform(0.01, 0.08, len(coded)))
    return (x.clamp(0, 1) * 2 - 1).transpose(1, 2), things, maps


def augment_pictures(pictures, things, maps, front, share: float):
    """augment() of single pictures [n,...]; share: of them before another background."""
    one = [t[:, None] for t in (pictures, things, maps, front)]
    return [t[:, 0] for t in augment(*one, torch.rand(len(pictures)) < share)]
