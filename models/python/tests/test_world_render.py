"""The pictures of the world against closed forms, and what rendering must keep: depth order, twins, colours."""

import math

import pytest
import torch

from startle_models.world import codec
from startle_models.world.render import project, render, visibility
from startle_models.world.state import (
    BLOCK, BOX, CHECKER, CONE, CYLINDER, N_LIGHTS, N_OBJECTS, N_SCREENS, N_SOLIDS, PLAIN, RAMP, SPHERE, STRIPES,
    ASPECT, Look, Surfaces, Trajectory,
)

TAN = 0.5
WHITE, RED, GREEN, BLUE = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def surfaces(b, m, grey=0.0):
    params = torch.tensor([1.0, 0.0, 0.25, 0.25]).repeat(b, m, 1)
    return Surfaces(torch.full((b, m), PLAIN), torch.full((b, m, 2, 3), grey), params)


def look_of(b=1):
    """A black room, white ambient light only, no noise."""
    def zero(*shape):
        return torch.zeros(b, *shape)
    light = torch.tensor([0.0, 1.0, 0.0]).repeat(b, N_LIGHTS, 1)
    return Look(
        torch.tensor([[TAN, TAN * ASPECT]]).repeat(b, 1), zero() + 20, zero() + 1e3, surfaces(b, 3),
        surfaces(b, N_SCREENS, 0.5), surfaces(b, N_SOLIDS, 0.5), surfaces(b, N_OBJECTS), light, zero(N_LIGHTS),
        zero() + 1, zero(N_SOLIDS).long(), zero(N_SOLIDS, 5) + 1, zero(N_SOLIDS).bool(), zero(N_SOLIDS) + 1,
        zero(N_SCREENS, 2) + 1, zero(N_SCREENS).bool(), zero(N_OBJECTS).bool(), zero(N_OBJECTS, 3),
        zero(), zero(), zero(), zero() + 1, zero(), zero())


def track_of(b=1, f=1):
    """No object active; a level camera at height 2."""
    def zero(*shape):
        return torch.zeros(b, f, *shape)
    eye = torch.eye(3).expand(b, f, 3, 3)
    pos = zero(N_OBJECTS, 3) + torch.tensor([0.0, 2.0, 8.0])
    colour = zero(N_OBJECTS, 2, 3)
    colour[..., 0, :] = 1
    return Trajectory(
        pos, zero(N_OBJECTS, 3), torch.eye(3).expand(b, f, N_OBJECTS, 3, 3).clone(), zero(N_OBJECTS).bool(),
        zero(N_OBJECTS).long(), zero(N_OBJECTS, 3) + 0.5, colour, zero(N_SCREENS, 3) + torch.tensor([0.0, 0.0, 5.0]),
        zero(3) + torch.tensor([0.0, 2.0, 0.0]), eye.clone(), torch.arange(f).expand(b, f) / 10.0)


def put(track, k, kind, pos, half=(0.5, 0.5, 0.5), colour=WHITE):
    track.active[:, :, k] = True
    track.kind[:, :, k] = kind
    track.pos[:, :, k] = torch.tensor(pos)
    track.half[:, :, k] = torch.tensor(half)
    track.colour[:, :, k, 0] = torch.tensor(colour)
    track.colour[:, :, k, 1] = 1 - torch.tensor(colour)


def turn(axis, angle):
    """Rotation matrix about a world axis."""
    c, s = math.cos(angle), math.sin(angle)
    m = torch.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m
