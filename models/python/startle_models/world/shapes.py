"""Measures of the shapes: how wide they stand, how heavy they are."""

from __future__ import annotations

import functools
import math

import torch

from .state import BOX, CONE, CYLINDER, PARTS, PEG, SPHERE

ROUND = (SPHERE, CYLINDER, CONE, PEG)  # round about the vertical where both horizontal extents are alike
FILL = {SPHERE: math.pi / 6, BOX: 1.0, CYLINDER: math.pi / 4, CONE: math.pi / 12}  # share of the bounding box


@functools.cache
def _fill_table(device: str):
    """Volume [shapes] of the shapes with unit half extents (overlaps of parts count twice)."""
    volume = [sum(8 * FILL[kind] * math.prod(half) for kind, _, half in PARTS[shape]) for shape in range(len(PARTS))]
    return torch.tensor(volume, device=device)


def mass(scene):
    """Masses [B,N]: volumes, at density 1."""
    return _fill_table(str(scene.kind.device))[scene.kind] * scene.half.prod(-1)


def width(scene):
    """Half extents [B,N] along x of the upright objects."""
    x, z = scene.half[..., 0], scene.half[..., 2]
    kinds = torch.tensor(ROUND, device=x.device)
    turned = x * scene.yaw.cos().abs() + z * scene.yaw.sin().abs()
    return torch.where(torch.isin(scene.kind, kinds) & (x == z), x, turned)
