"""The network: what of a picture is remembered, what is expected of the next, and how far off that was.

Sizes: B streams, pictures of SIDE×SIDE in PATCHES of 4×4 pixels, a memory of MEMORY numbers, a latent of GROUPS one-hot
choices among CLASSES.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F

SIDE, PATCH = 64, 4
CELLS, PIXELS = SIDE // PATCH, 3 * PATCH**2
MEMORY, GROUPS, CLASSES = 192, 16, 16
LATENT = GROUPS * CLASSES
WIDE, DEEP = 32, 48
UNIFORM = 0.01  # of every choice's probability: none is ever impossible
STATE = MEMORY + LATENT
PARTS = ("latent", "pixels")


def patches(pictures):
    """[B,3,S,S] of any size to [B,PIXELS,CELLS,CELLS]: SIDE×SIDE pixels, those of a patch as channels."""
    small = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return F.pixel_unshuffle(small, PATCH)


def block(layer, channels: int):
    return nn.Sequential(layer, nn.GroupNorm(1, channels), nn.SiLU())


def dense(i: int, o: int):
    return nn.Sequential(nn.Linear(i, o), nn.LayerNorm(o), nn.SiLU())


class Rssm(nn.Module):
    """h is the memory [B,MEMORY], z the latent [B,LATENT]; logits are [B,GROUPS,CLASSES]."""

    def __init__(self):
        super().__init__()
        last = DEEP * (CELLS // 4) ** 2
        self.embed = nn.Sequential(
            block(nn.Conv2d(PIXELS, WIDE, 1), WIDE), block(nn.Conv2d(WIDE, DEEP, 4, 2, 1), DEEP),
            block(nn.Conv2d(DEEP, DEEP, 4, 2, 1), DEEP), nn.Flatten(), dense(last, MEMORY))
        self.take = dense(LATENT, MEMORY)
        self.cell = nn.GRUCell(MEMORY, MEMORY)
        self.before = nn.Sequential(dense(MEMORY, MEMORY), nn.Linear(MEMORY, LATENT))
        self.after = nn.Sequential(dense(2 * MEMORY, MEMORY), nn.Linear(MEMORY, LATENT))
        self.draw = nn.Sequential(
            dense(STATE, last), nn.Unflatten(1, (DEEP, CELLS // 4, CELLS // 4)),
            block(nn.ConvTranspose2d(DEEP, DEEP, 4, 2, 1), DEEP), block(nn.ConvTranspose2d(DEEP, WIDE, 4, 2, 1), WIDE),
            nn.Conv2d(WIDE, PIXELS, 1))

    def next(self, h, z):
        """The memory at the next picture, before it is seen."""
        return self.cell(self.take(z), h)

    @staticmethod
    def log_probabilities(logits):
        p = logits.unflatten(-1, (GROUPS, CLASSES)).softmax(-1)
        return ((1 - UNIFORM) * p + UNIFORM / CLASSES).log()

    def prior(self, h):
        return self.log_probabilities(self.before(h))

    def posterior(self, h, seen):
        return self.log_probabilities(self.after(torch.cat([h, seen], -1)))


def divergence(p, q):
    """Kullback-Leibler divergence of q from p, nats: log probabilities [...,GROUPS,CLASSES] to [...]."""
    return (p.exp() * (p - q)).sum((-2, -1))


class Encoder(nn.Module):
    """pixel_values [B,3,S,S] in [-1,1] to tokens [B,1,MEMORY], the embedding, and maps [B,PIXELS,CELLS,CELLS], the picture
    in [-0.5,0.5]."""

    def __init__(self, net: Rssm):
        super().__init__()
        self.net = net

    def forward(self, pixel_values):
        maps = patches(pixel_values / 2)
        return self.net.embed(maps)[:, None], maps


class Predictor(nn.Module):
    """A step of B streams in the form of a model of objects (src/model/objects/mod.rs), with one file, one token and no
    things. The energies of the file: the divergence of the latent as seen from the latent as expected, and half the squared
    error of the picture as drawn from the former, both in nats; their sum is the negative evidence bound. The latent is the
    likeliest choice, nothing is drawn at random."""

    def __init__(self, net: Rssm):
        super().__init__()
        self.net = net

    def forward(self, state, tokens, maps):
        h = self.net.next(*state.split((MEMORY, LATENT), 1))
        prior, posterior = self.net.prior(h), self.net.posterior(h, tokens[:, 0])
        choice = posterior.argmax(-1, keepdim=True) == torch.arange(CLASSES)
        z = choice.to(state.dtype).flatten(1)
        gap = self.net.draw(torch.cat([h, z], 1)) - maps
        energy = torch.stack([divergence(posterior, prior).clamp(min=0), gap.square().sum((1, 2, 3)) / 2], 1)
        rows = F.pad(energy[:, None], (0, 0, 0, 1))
        nothing = torch.zeros_like(state[:, :26]).unflatten(1, (2, 13))
        return torch.cat([h, z], 1), rows, nothing, nothing
