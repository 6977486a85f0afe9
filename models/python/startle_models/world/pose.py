"""Rotations of the objects."""

from __future__ import annotations

import torch

from .state import RAMP


def _about(axis, angle):
    """Rotation matrices [...,3,3] about unit axes [...,3] by angles [...] (Rodrigues)."""
    x, y, z = axis.unbind(-1)
    c, s = angle.cos(), angle.sin()
    k = 1 - c
    rows = [c + x * x * k, x * y * k - z * s, x * z * k + y * s,
            y * x * k + z * s, c + y * y * k, y * z * k - x * s,
            z * x * k - y * s, z * y * k + x * s, c + z * z * k]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _tilt(scene, pos):
    """Angle [B,F,N] by which objects that slide on a ramp lean with it, from level to the slope around its foot."""
    look, index = scene.look, scene.solid.clamp(min=0)
    on = (scene.solid >= 0) & (look.solid_kind.gather(1, index) == RAMP) & ~scene.rolls
    x, _, reach, _, height = look.solid_box.gather(1, index[..., None].expand(-1, -1, 5)).unbind(-1)
    side = look.solid_side.gather(1, index)
    past = (pos[..., 0] - x[:, None]) * side[:, None] + reach[:, None]  # distance up the ramp from its foot
    share = (past / scene.half[:, None, :, 0] / 2 + 0.5).clamp(0, 1)
    return torch.where(on[:, None], side[:, None] * (height / 2 / reach).atan()[:, None] * share, 0.0)


def rotations(scene, heading, pos, angle):
    """Object to world [B,F,N,3,3], columns = object axes. heading [B,N,2] in x and z; angle [B,F,N] about the
    rolling axis (spheres), along z (on strings) or scene.axis."""
    zero, one = torch.zeros_like(heading[..., 0]), torch.ones_like(heading[..., 0])
    rolling = torch.stack([heading[..., 1], zero, -heading[..., 0]], -1)
    along_z, upright = torch.stack([zero, zero, one], -1), torch.stack([zero, one, zero], -1)
    axis = torch.where(scene.rolls[..., None], rolling, scene.axis.to(rolling))
    axis = torch.where(scene.look.hung[..., None], along_z, axis)[:, None].expand(*angle.shape, 3)
    turned = _about(axis, angle) @ _about(upright, scene.yaw.to(zero))[:, None]
    if bool((scene.solid >= 0).any()):
        turned = _about(along_z[:, None].expand_as(axis), _tilt(scene, pos).to(zero)) @ turned
    return turned
