"""Small helpers for random numbers and colours."""

from __future__ import annotations

import math

import torch


class Rng:
    """Thin sampling helper over a CPU torch.Generator."""

    def __init__(self, generator: torch.Generator):
        self.g = generator

    def uniform(self, lo, hi, *shape):
        return lo + (hi - lo) * torch.rand(*shape, generator=self.g)

    def chance(self, p, *shape):
        return torch.rand(*shape, generator=self.g) < p

    def choice(self, weights, *shape):
        """Indices drawn with the given weights."""
        flat = torch.multinomial(torch.tensor(weights), math.prod(shape), True, generator=self.g)
        return flat.reshape(shape)

    def pick(self, values, *shape):
        """Values drawn uniformly from a tuple."""
        return torch.tensor(values)[torch.randint(len(values), shape, generator=self.g)]

    def sign(self, *shape):
        return torch.where(self.chance(0.5, *shape), 1.0, -1.0)


def hsv(h, s, v):
    """HSV in [0,1] to RGB [...,3]."""
    k = (torch.tensor([5.0, 3.0, 1.0], device=h.device) + h[..., None] * 6) % 6
    return v[..., None] * (1 - s[..., None] * torch.clamp(torch.minimum(k, 4 - k), 0, 1))
