"""Random looks: surfaces, lights, screens and the sensor. What the stories need is put in afterwards."""

from __future__ import annotations

import math

import torch

from .sampling import Rng, hsv
from .state import (
    ASPECT, BANK, BLOCK, HELD_OUT_TEXTURES, N_LIGHTS, N_OBJECTS, N_SCREENS, N_SOLIDS, PLAIN, TRAINING_TEXTURES, Look,
    Surfaces,
)

FAR_SIDE = 1e3  # side walls there are never seen
NEVER = 1e6  # seconds
SCREEN_Z = (4.9, 5.3)  # in front of all objects
LEAN, ROLL = (-0.8, 0.1), (-0.25, 0.25)  # of panels, radians: with the upper edge towards the camera, mostly
PANEL_HALF, PANEL_HEIGHT = (0.6, 1.6), (0.5, 1.3)  # half width, height of the middle of the upper edge


def _surfaces(b, m, r: Rng, spec, share, scale, saturation=0.45) -> Surfaces:
    """M surfaces per scene, textured with probability `share` (a number or [B,1]); two colours of moderate contrast."""
    shape = (b, m)
    base = hsv(r.uniform(0, 1, *shape), r.uniform(0, saturation, *shape), r.uniform(0.25, 0.9, *shape))
    contrast = r.uniform(0.08, 0.35, b, m, 1) * r.sign(b, m, 1)
    other = (base + contrast + r.uniform(-0.05, 0.05, b, m, 3)).clamp(0.05, 1)
    kinds = HELD_OUT_TEXTURES if spec.held_out else TRAINING_TEXTURES[1:]
    kind = torch.where(torch.rand(shape, generator=r.g) < share, r.pick(kinds, *shape), PLAIN)
    if spec.variety:
        banked = r.chance(spec.variety, *shape) & (kind != PLAIN)
        kind = torch.where(banked, torch.randint(*spec.tiles, shape, generator=r.g) + BANK, kind)
        stronger = other + r.uniform(-0.3, 0.3, b, m, 1) + r.uniform(-0.2, 0.2, b, m, 3)
        other = torch.where(banked[..., None], stronger.clamp(0.03, 1), other)
    params = torch.stack([r.uniform(*scale, *shape), r.uniform(0, math.pi, *shape),
                          r.uniform(0, 50, *shape), r.uniform(0, 50, *shape)], -1)
    return Surfaces(kind, torch.stack([base, other], 2), params)


def object_colours(r: Rng, *shape):
    """Two tones [...,2,3] of objects."""
    c0 = hsv(r.uniform(0, 1, *shape), r.uniform(0.25, 1, *shape), r.uniform(0.25, 1, *shape))
    c1 = hsv(r.uniform(0, 1, *shape), r.uniform(0, 1, *shape), r.uniform(0.15, 1, *shape))
    return torch.stack([c0, c1], -2)


def _lights(b, r: Rng, spec):
    """Directions [B,L,3], powers [B,L] and ambient light [B]; the second and third light are on in a share."""
    az = r.uniform(-2.6, 2.6, b, N_LIGHTS)  # 0: from the camera's side
    el = r.uniform(*spec.light_height, b, N_LIGHTS)
    light = torch.stack([az.sin() * el.cos(), el.sin(), -az.cos() * el.cos()], -1)
    more = r.uniform(0.05, 0.25, b, N_LIGHTS - 1) * r.chance(spec.more_lights, b, N_LIGHTS - 1)
    return light, torch.cat([r.uniform(0.45, 0.75, b, 1), more], 1), r.uniform(*spec.ambient, b)


def screens(b, r: Rng, spec, seconds):
    """Screens: half width and height, tilt [B,K,2], on [B,K], place [B,K,3], move [B,K,5] (see Scene, Look)."""
    on = r.chance(spec.screens, b)
    on = torch.stack([on, on & r.chance(0.25, b)], -1)
    shape = (b, N_SCREENS)
    half, height = r.uniform(0.5, 1.1, *shape), r.uniform(1.1, 2.6, *shape)
    x = r.uniform(-1.6, 1.6, *shape)
    x[:, 1] = x[:, 0] - x[:, 0].sign() * r.uniform(2.2, 3.0, b)
    place = torch.stack([x, torch.zeros(shape), r.uniform(*SCREEN_Z, *shape)], -1)
    moving = r.chance(spec.moving_screens, *shape)
    sunk = r.chance(0.5, *shape)  # at first in the floor, to rise out of it; else it sinks or lifts away
    lifts = r.chance(0.3, *shape)
    travel = torch.where(lifts & ~sunk, r.uniform(1.0, 2.5, *shape), -height)
    place[..., 1] = torch.where(moving & sunk, -height, place[..., 1])
    travel = torch.where(sunk, height, travel) * moving
    start, takes = r.uniform(0.05, 0.5, *shape) * seconds, r.uniform(0.25, 0.8, *shape)
    back = torch.where(r.chance(0.6, *shape), start + takes + r.uniform(0.4, 1.4, *shape), NEVER)
    again = r.chance(0.5, *shape) & (back < NEVER)
    period = torch.where(again, back + takes + r.uniform(0.1, 0.8, *shape), NEVER)
    size, tilt = torch.stack([half, height], -1), torch.zeros(*shape, 2)
    if spec.panels:
        _panels(r, r.chance(spec.panels, *shape), size, tilt, place, travel)
    return size, tilt, on, place, torch.stack([travel, start, back, takes, period], -1)


def _panels(r: Rng, panel, size, tilt, place, travel):
    """Makes the screens where panel [B,K] low, tilted and still; one that is rolled stands so deep in the floor that no
    corner is above it."""
    lean, roll, half = (r.uniform(*ends, *panel.shape) for ends in (LEAN, ROLL, PANEL_HALF))
    sunk = half * roll.sin().abs()
    height = (r.uniform(*PANEL_HEIGHT, *panel.shape) + sunk) / (lean.cos() * roll.cos())
    for target, value in ((size, torch.stack([half, height], -1)), (tilt, torch.stack([lean, roll], -1))):
        target[:] = torch.where(panel[..., None], value, target)
    place[..., 1] = torch.where(panel, -sunk, place[..., 1])
    travel *= ~panel


def sample_look(b, r: Rng, spec, screen_half, screen_tilt, screen_on, moving_camera) -> Look:
    """Looks of b scenes without solids or strings. moving_camera [B]: side walls stay out of its view."""
    tan = r.uniform(*spec.view, b)
    share, pattern = (0.95, 0.9) if spec.held_out else (spec.textured, spec.pattern)
    textured = r.chance(share, b).float()[:, None]
    near = r.chance(spec.side_walls, b) & ~moving_camera
    light, power, ambient = _lights(b, r, spec)
    zero = torch.zeros(b)
    return Look(
        torch.stack([tan, tan * ASPECT], -1), r.uniform(12.8, 17.0, b),
        torch.where(near, r.uniform(6.9, 8.5, b), FAR_SIDE),
        _surfaces(b, 3, r, spec, textured * torch.tensor([1.0, 0.6, 0.4]), (0.5, 1.6)),
        _surfaces(b, N_SCREENS, r, spec, 0.5 * share, (0.6, 2.0), 0.7),
        _surfaces(b, N_SOLIDS, r, spec, 0.5 * share, (0.6, 2.0), 0.7),
        _surfaces(b, N_OBJECTS, r, spec, pattern, (0.8, 2.5)),
        light, power, ambient,
        torch.full((b, N_SOLIDS), BLOCK), torch.tensor([0.0, 8.0, 0.5, 0.5, 1.0]).repeat(b, N_SOLIDS, 1),
        torch.zeros(b, N_SOLIDS, dtype=torch.bool), torch.ones(b, N_SOLIDS),
        screen_half, screen_on, screen_tilt,
        torch.zeros(b, N_OBJECTS, dtype=torch.bool), torch.zeros(b, N_OBJECTS, 3),
        r.uniform(0.0, spec.noise, b), r.uniform(0, spec.blur, b),
        r.uniform(0, spec.drift, b), r.uniform(0.1, 0.6, b), r.uniform(0, 2 * math.pi, b),
        torch.where(r.chance(spec.shutter, b), r.uniform(0.2, 0.8, b), zero),
    )
