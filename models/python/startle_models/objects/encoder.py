"""The encoder: one picture to what stands where.

A small U-Net gives features at stride 4; things are found as peaks of a centre heat-map and described by what is read off
there (CenterNet: Zhou, Wang, Krähenbühl, Objects as Points, arXiv 1904.07850).
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F

from .labels import ATTRIBUTES, CELLS, MAPS, SHAPES

THINGS = 12  # tokens of a picture
HEADS = MAPS + 1 + 2 + 2 + 1 + 1 + 3 + SHAPES  # maps, heat, offset, size, share, nearness, colour, shape
SAME = 0.7  # IoU from which the weaker of two tokens is the same thing
LOG_HALF = (-5.0, 0.0)  # of half extents in shares


def conv(i, o, k=3, s=1):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity; small at first."""

    def __init__(self, width):
        super().__init__()
        self.a = conv(width, width)
        self.b = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm.weight, 0.3)

    def forward(self, x):
        return F.relu(x + self.norm(self.b(self.a(x))))


def residuals(width, count):
    return nn.Sequential(*[Residual(width) for _ in range(count)])


class Encoder(nn.Module):
    """pixels [B,3,SIDE,SIDE] in [-1,1] to raw heads [B,HEADS,CELLS,CELLS]; see read()."""

    def __init__(self, widths=(24, 48, 80, 112), blocks=(1, 2, 2, 1, 1)):
        super().__init__()
        s, a, b, c = widths
        self.stem = nn.Sequential(conv(3, s, 5, 2), conv(s, a, 3, 2))
        self.fine = residuals(a, blocks[0])
        self.down1, self.middle = conv(a, b, 3, 2), residuals(b, blocks[1])
        self.down2, self.coarse = conv(b, c, 3, 2), residuals(c, blocks[2])
        self.whole = nn.Linear(c, c)
        self.up2, self.middle_up = nn.Conv2d(c, b, 1), residuals(b, blocks[3])
        self.up1, self.fine_up = nn.Conv2d(b, a, 1), residuals(a, blocks[4])
        self.head = nn.Sequential(conv(a, 2 * a, 3), nn.Conv2d(2 * a, HEADS, 1))
        with torch.no_grad():
            bias = self.head[1].bias
            bias.zero_()
            bias[:MAPS] = torch.tensor([-3.0, -2.0, -3.0])
            bias[MAPS] = -4.0
            bias[MAPS + 3:MAPS + 5] = -2.6

    def forward(self, x):
        a = self.fine(self.stem(x))
        b = self.middle(self.down1(a))
        c = self.coarse(self.down2(b))
        c = c + self.whole(c.mean((2, 3)))[:, :, None, None]
        b = self.middle_up(F.relu(b + F.interpolate(self.up2(c), scale_factor=2.0, mode="nearest")))
        a = self.fine_up(F.relu(a + F.interpolate(self.up1(b), scale_factor=2.0, mode="nearest")))
        return self.head(a)


def read(raw):
    """Heads [B,HEADS,G,G] to a dict of maps (logits), heat (logit), centre x, y, half extents, nearness, colour, share, shape
    (logits), each [B,*,G,G]; centres and extents in shares."""
    g = raw.shape[-1]
    maps, heat, offset, size, share, near, colour, shape = raw.split([MAPS, 1, 2, 2, 1, 1, 3, SHAPES], 1)
    axis = (torch.arange(g, device=raw.device, dtype=raw.dtype) + 0.5) / g
    cell = torch.stack([axis[None, :].expand(g, g), axis[:, None].expand(g, g)])
    return {
        "maps": maps, "heat": heat, "centre": cell + offset / g, "half": size.clamp(*LOG_HALF).exp(),
        "share": share.sigmoid(), "near": F.softplus(near), "colour": torch.tanh(colour) * 0.5, "shape": shape,
    }


def _iou(x, y, w, h):
    """Pairwise overlap [B,K,K] of boxes by centre and half extents [B,K]."""
    def overlap(c, r):
        low = torch.maximum((c - r)[:, :, None], (c - r)[:, None])
        high = torch.minimum((c + r)[:, :, None], (c + r)[:, None])
        return (high - low).clamp(min=0)
    both = overlap(x, w) * overlap(y, h)
    area = 4 * w * h
    return both / (area[:, :, None] + area[:, None] - both).clamp(min=1e-9)


def tokens(raw, things: int = THINGS):
    """Tokens [B,things,ATTRIBUTES], the surest first, and maps [B,LAYERS,G,G] in [0,1]: the last is the
    heat, so that what is too faint for a token is known too."""
    head = read(raw)
    heat = head["heat"].sigmoid()
    peak = F.max_pool2d(heat, 3, 1, 1)
    confidence, index = (heat * (heat >= peak).to(heat.dtype)).flatten(1).topk(things, 1)
    described = torch.cat([head[k] for k in ("share", "centre", "half", "near", "colour")] + [head["shape"].softmax(1)], 1)
    index = index[:, None].expand(-1, ATTRIBUTES - 1, -1)
    rest = described.flatten(2).gather(2, index).transpose(1, 2)
    x, y, w, h = (rest[..., i] for i in (1, 2, 3, 4))
    surer = torch.ones(things, things, dtype=heat.dtype, device=raw.device).tril(-1)
    again = ((_iou(x, y, w, h) > SAME).to(heat.dtype) * surer).amax(-1)
    return torch.cat([(confidence * (1 - again))[..., None], rest], -1), torch.cat([head["maps"].sigmoid(), heat], 1)


class Perception(nn.Module):
    """What is exported: pixels to tokens and maps."""

    def __init__(self, encoder: Encoder, things: int = THINGS):
        super().__init__()
        self.encoder, self.things = encoder, things

    def forward(self, pixels):
        return tokens(self.encoder(pixels), self.things)


def targets(things):
    """Of labelled things [B,N,14] (see Labels): heat [B,1,G,G]; where it counts [B,1,G,G]; description [B,13,G,G] and its
    weight [B,1,G,G], at the cells around each centre."""
    b, n, _ = things.shape
    g = CELLS
    state, x, y = things[..., 0], things[..., 2], things[..., 3]
    half_w, half_h = things[..., 4] * g, things[..., 5] * g
    there = (state == 1).float()
    cx, cy = (x * g).clamp(0, g - 1e-3), (y * g).clamp(0, g - 1e-3)
    ix, iy = cx.floor(), cy.floor()
    axis = torch.arange(g, device=things.device, dtype=things.dtype)
    dx, dy = axis[None, None, None, :] - ix[..., None, None], axis[None, None, :, None] - iy[..., None, None]
    sx, sy = (0.3 * half_w).clamp(min=0.5)[..., None, None], (0.3 * half_h).clamp(min=0.5)[..., None, None]
    blob = torch.exp(-0.5 * ((dx / sx) ** 2 + (dy / sy) ** 2))
    heat = (blob * there[..., None, None]).amax(1, keepdim=True)
    unsure = (blob * (state == 0.5).float()[..., None, None]).amax(1, keepdim=True) > 0.1
    counts = 1 - unsure.float() * (heat < 0.5).float()
    # every cell near a centre describes the nearest of the things there
    close = ((dx.abs() <= 1) & (dy.abs() <= 1) & (there[..., None, None] > 0)).float() * (blob + 1e-3)
    best, owner = close.max(1, keepdim=True)
    described = things[..., 1:].transpose(1, 2)
    description = described[:, :, :, None, None].mul(
        (torch.arange(n, device=things.device)[None, None, :, None, None] == owner[:, :, None]).float()).sum(2)
    centre = (best > 0.99).float()
    return heat, counts, description, (best > 0).float() * (0.2 + 0.8 * centre)


def loss(raw, things, maps):
    """Scalar loss and its parts, for labelled things [B,N,14] and maps [B,G,G,3] in [0,1]."""
    head, g = read(raw.float()), raw.shape[-1]
    heat, counts, said, weight = targets(things)
    truth = maps.permute(0, 3, 1, 2)
    bce = F.binary_cross_entropy_with_logits(head["maps"], truth, reduction="none")
    near_things = 1 + 4 * (F.max_pool2d(truth[:, :1], 5, 1, 2) > 0).float()
    map_loss = (bce[:, :1] * near_things).mean() + bce[:, 1:].mean() * 2
    p = head["heat"].sigmoid().clamp(1e-5, 1 - 1e-5)
    exact = (heat > 0.999).float()
    focal = -(exact * (1 - p) ** 2 * p.log() + (1 - exact) * (1 - heat) ** 4 * p**2 * (1 - p).log()) * counts
    number = exact.sum().clamp(min=1)
    w = weight / weight.sum().clamp(min=1)
    share, centre, half, near, colour, shape = said.split([1, 2, 2, 1, 3, SHAPES], 1)
    scale = half.clamp(min=0.01)
    place = F.smooth_l1_loss((head["centre"] - centre) * g, torch.zeros_like(centre), reduction="none", beta=0.1)
    extent = F.smooth_l1_loss((head["half"] / scale).log(), torch.zeros_like(half), reduction="none", beta=0.1)
    parts = {
        "maps": map_loss, "heat": focal.sum() / number,
        "place": (place * w).sum(), "size": (extent * w).sum(),
        "share": ((head["share"] - share).abs() * w).sum(),
        "near": ((head["near"] - near).abs() * w).sum(),
        "colour": ((head["colour"] - colour).abs() * w).sum(),
        "shape": (-(shape * head["shape"].log_softmax(1)).sum(1, keepdim=True) * w).sum(),
    }
    factors = {"maps": 1.0, "heat": 1.0, "place": 2.0, "size": 2.0, "share": 0.5, "near": 0.5, "colour": 3.0, "shape": 0.3}
    return sum(factors[k] * v for k, v in parts.items()), {k: v.item() for k, v in parts.items()}
