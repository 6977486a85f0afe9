"""Where objects appear in the picture, and how much of them can be seen."""

from __future__ import annotations

import torch

from .bodies import extent, screen_axes
from .primitives import WEDGE, apply, dot, interval
from .state import BOX, RAMP, SPHERE, Look, Trajectory


def project(look: Look, track: Trajectory, height: int, width: int):
    """Centre x, y and half width, half height in pixels of the objects' projected bounding boxes: four [B,F,N]."""
    x0, x1, y0, y1 = extent(track.kind, track.pos, track.rot, track.half, track.cam_pos[:, :, None],
                            track.cam_rot[:, :, None], look.cam_tan[:, None, None])
    return (x0 + x1) / 2 * width, (y0 + y1) / 2 * height, (x1 - x0) / 2 * width, (y1 - y0) / 2 * height


def _points(track: Trajectory):
    """Nine points over each object as the camera sees it, relative to the camera: triple of [B,F,N,9]."""
    grid = torch.tensor([[x, y] for x in (-0.95, 0.0, 0.95) for y in (-0.95, 0.0, 0.95)], device=track.pos.device)
    centre = track.pos - track.cam_pos[:, :, None]
    point = [c[..., None].expand(*c.shape, 9) for c in centre.unbind(-1)]
    for axis in range(2):
        direction = track.cam_rot[:, :, None, :, axis]
        along = [dot(direction.unbind(-1), track.rot[..., j].unbind(-1)) * track.half[..., j] for j in range(3)]
        box = along[0].abs() + along[1].abs() + along[2].abs()
        reach = torch.where(track.kind == SPHERE, dot(along, along).sqrt(), box)
        point = [p + (direction[..., i] * reach)[..., None] * grid[:, axis] for i, p in enumerate(point)]
    return point


def _behind_screens(look: Look, track: Trajectory, ray):
    """Which of the segments cam_pos + ray [B,F,N,P] cross a screen."""
    hidden = torch.zeros_like(ray[0], dtype=torch.bool)
    axes = screen_axes(look)
    for k in range(look.screen_on.shape[1]):
        edge = [track.screen[:, :, k, i, None, None] for i in range(3)]
        eye = [track.cam_pos[:, :, i, None, None] for i in range(3)]
        along, up, away = ([axes[:, k, i, j].view(-1, 1, 1, 1) for i in range(3)] for j in range(3))
        t = dot([a - b for a, b in zip(edge, eye)], away) / dot(ray, away)
        met = [e + t * d - s for e, d, s in zip(eye, ray, edge)]
        half, high = (look.screen_half[:, k, i].view(-1, 1, 1, 1) for i in range(2))
        over = dot(met, up)
        inside = (dot(met, along).abs() < half) & (over > 0) & (over < high) & (t > 0) & (t < 1)
        hidden |= inside & look.screen_on[:, k].view(-1, 1, 1, 1)
    return hidden


def _behind_solids(look: Look, track: Trajectory, ray):
    """Which of the segments enter a solid farther before their end than the object reaches (an object may stand on
    a solid or lean against it)."""
    hidden = torch.zeros_like(ray[0], dtype=torch.bool)
    slack = (track.half.norm(dim=-1) / (track.pos - track.cam_pos[:, :, None]).norm(dim=-1))[..., None]
    for k in range(look.solid_on.shape[1]):
        if not bool(look.solid_on[:, k].any()):
            continue
        x, z, wide, deep, high = (v.view(-1, 1, 1, 1) for v in look.solid_box[:, k].unbind(-1))
        ramp = (look.solid_kind[:, k] == RAMP).view(-1, 1, 1, 1)
        wide = torch.where(ramp, wide * look.solid_side[:, k].view(-1, 1, 1, 1), wide)
        eye = [track.cam_pos[:, :, i, None, None] for i in range(3)]
        o = [(eye[0] - x) / wide, (eye[1] - high / 2) / (high / 2), (eye[2] - z) / deep]
        d = [ray[0] / wide, ray[1] / (high / 2), ray[2] / deep]
        for kind, which in ((BOX, ~ramp), (WEDGE, ramp)):
            near, far = interval(kind, o, d)
            hit = (near < far) & (near > 0) & (near < 1 - slack)
            hidden |= hit & which & look.solid_on[:, k].view(-1, 1, 1, 1)
    return hidden


def visibility(look: Look, track: Trajectory):
    """Share of each object inside the frame and not behind a screen or solid, and share inside the frame: two
    [B,F,N] in {0, 1/9 .. 1}. Objects do not hide each other here."""
    ray = _points(track)
    x, y, z = apply(track.cam_rot.transpose(-1, -2)[:, :, None, None], ray)
    tan = look.cam_tan[:, None, None, None]
    inside = (z > 0.1) & (x.abs() < z * tan[..., 0] * 0.98) & (y.abs() < z * tan[..., 1] * 0.98)
    free = ~(_behind_screens(look, track, ray) | _behind_solids(look, track, ray))
    return (inside & free).float().mean(-1), inside.float().mean(-1)
