"""The camera's sensor: exposure drift, optical blur, noise, quantisation."""

from __future__ import annotations

import math

import torch

from .state import Look


def noise_seeds(groups: int, generator):
    """One seed per group of videos that share their noise."""
    return torch.randint(2**40, (groups,), generator=generator).tolist()


def _spread(image, a, dim):
    """Mix every pixel with its two neighbours along dim; a: share of each neighbour."""
    n = image.shape[dim]
    first, last = image.narrow(dim, 0, 1), image.narrow(dim, n - 1, 1)
    out = image * (1 - 2 * a)
    out += torch.cat([first, image.narrow(dim, 0, n - 1)], dim) * a
    out += torch.cat([image.narrow(dim, 1, n - 1), last], dim) * a
    return out


def _noise(shape, rows):
    """Standard normal noise [R,*shape]; rows: (seed, frame) of every picture."""
    out, made = torch.empty(len(rows), *shape), {}
    g = torch.Generator()
    for i, (seed, frame) in enumerate(rows):
        if (seed, frame) in made:
            out[i] = out[made[seed, frame]]
        else:
            torch.randn(shape, generator=g.manual_seed(seed + frame), out=out[i])
            made[seed, frame] = i
    return out


def sensor(image, look: Look, time, seeds=None):
    """uint8 [R,H,W,3] from linear pictures [3,R,H,W] in [0, 1]; look: one row per picture; time [R] s;
    seeds: (seed, frame) per picture, None = no noise."""
    def per_picture(x):
        return x.view(1, -1, 1, 1)
    phase = (2 * math.pi * look.gain_freq * time + look.gain_phase).double()
    image = image * per_picture(1 + look.gain_amp * phase.sin().float())  # float64: rounds alike in every batch
    if bool((look.blur > 0).any()):
        image = _spread(_spread(image, per_picture(look.blur), 2), per_picture(look.blur), 3)
    if seeds is not None and bool((look.noise > 0).any()):
        _, r, h, w = image.shape
        noise = _noise((3, h, w), seeds).to(image.device)
        image = image + noise.transpose(0, 1) * per_picture(look.noise)
    return image.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 3, 0)
