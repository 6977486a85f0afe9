"""How the camera and the screens move: closed forms of time."""

from __future__ import annotations

import math

import torch

from .sampling import Rng


def sample_camera(b, r: Rng, spec, seconds):
    """place, angles (yaw, pitch, roll), pan (rad/s of each), dolly (units/s) [B,3]; shake [B,3,3] = amplitude (rad),
    frequency (Hz), phase of each angle; moves [B] bool."""
    place = torch.stack([r.uniform(-0.3, 0.3, b), r.uniform(*spec.camera_height, b), r.uniform(-0.4, 0.4, b)], -1)
    # aim so that the floor meets the objects' lanes in the lower third of the picture
    pitch = torch.atan2(place[:, 1] - r.uniform(*spec.aim, b), torch.full((b,), 8.0))
    angles = torch.stack([r.uniform(-0.04, 0.04, b), pitch, r.uniform(-0.015, 0.015, b)], -1)
    moves, shakes = r.chance(spec.camera_moves, b), r.chance(spec.shake, b)
    turns = moves & r.chance(0.6, b)
    rides = moves & (~turns | r.chance(0.3, b))
    pan = torch.stack([r.uniform(-0.16, 0.16, b), r.uniform(-0.04, 0.04, b), torch.zeros(b)], -1) / seconds
    dolly = torch.stack([r.uniform(-0.7, 0.7, b), r.uniform(-0.2, 0.2, b), r.uniform(-0.5, 0.5, b)], -1) / seconds
    shake = torch.stack([r.uniform(0.001, 0.005, b, 3), r.uniform(0.5, 2.5, b, 3), r.uniform(0, 2 * math.pi, b, 3)], -1)
    shake[..., 0] *= shakes[:, None]
    return place, angles, pan * turns[:, None], dolly * rides[:, None], shake, moves | shakes


def rotation(angles):
    """Camera rotation [...,3,3] (columns: right, up, forward) from yaw, pitch (down), roll [...,3]."""
    yaw, pitch, roll = angles.unbind(-1)
    forward = torch.stack([yaw.sin() * pitch.cos(), -pitch.sin(), yaw.cos() * pitch.cos()], -1)
    right = torch.stack([yaw.cos(), torch.zeros_like(yaw), -yaw.sin()], -1)
    up = torch.linalg.cross(forward, right)
    c, s = roll.cos()[..., None], roll.sin()[..., None]
    return torch.stack([c * right + s * up, c * up - s * right, forward], -1)


def camera_path(scene, times):
    """cam_pos [B,F,3] and cam_rot [B,F,3,3] at times [F]."""
    t = times[None, :, None]
    amplitude, frequency, phase = (v[:, None] for v in scene.cam_shake.unbind(-1))
    shake = amplitude * torch.sin(2 * math.pi * frequency * t + phase)
    angles = scene.cam_angles[:, None] + scene.cam_pan[:, None] * t + shake
    return scene.cam_place[:, None] + scene.cam_dolly[:, None] * t, rotation(angles)


def _smooth(x):
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def screen_path(scene, times):
    """Screens' x, y of the lower edge, z [B,F,K,3] at times [F]."""
    travel, start, back, takes, period = (v[:, None] for v in scene.screen_move.unbind(-1))
    t = torch.remainder(times[None, :, None], period)
    share = _smooth((t - start) / takes) - _smooth((t - back) / takes)
    place = scene.screen_place[:, None].expand(-1, len(times), -1, -1)
    return torch.stack([place[..., 0], place[..., 1] + travel * share, place[..., 2]], -1)
