"""Rigid-body motion: ballistic flight, bounces, rolling and sliding friction, sphere-sphere impacts.

Flight and friction are integrated exactly within a step (constant acceleration) and the floor is hit at
the exact time, so that trajectories match closed forms to float precision.
"""

from __future__ import annotations

import dataclasses

import torch

from .scene import BOX, SPHERE, Scene

REST_SPEED = 0.12  # units/s: a slower bounce ends in contact
NONE = "none"


@dataclasses.dataclass
class Edit:
    """One violation: `kind` applied to object `obj` from frame `onset` on.

    kind is a list of B names (see violations.VIOLATIONS; "none" leaves a video lawful), obj [B] and
    onset [B] integers, arg [B,3]: displacement (teleport), new RGB (colour) or half extents (shape).
    """

    kind: list[str]
    obj: torch.Tensor
    onset: torch.Tensor
    arg: torch.Tensor


@dataclasses.dataclass
class Trajectory:
    """States over F frames: pos, vel [B,F,N,3], roll [B,F,N] radians, active, kind [B,F,N],
    half [B,F,N,3], colour [B,F,N,2,3]; fps."""

    pos: torch.Tensor
    vel: torch.Tensor
    roll: torch.Tensor
    active: torch.Tensor
    kind: torch.Tensor
    half: torch.Tensor
    colour: torch.Tensor
    fps: float

    def frames(self, sl) -> "Trajectory":
        names = ("pos", "vel", "roll", "active", "kind", "half", "colour")
        return Trajectory(*(getattr(self, n)[:, sl] for n in names), self.fps)


class _State:
    def __init__(self, scene: Scene):
        self.pos, self.vel = scene.pos.double(), scene.vel.double()
        self.roll = torch.zeros_like(self.pos[..., 0])
        self.active, self.kind = scene.active.clone(), scene.kind.clone()
        self.half, self.colour = scene.half.clone(), scene.colour.clone()
        self.frozen = torch.zeros_like(self.active)


def _fly(y, vy, g, h, e, dt):
    """Exact vertical motion over dt with at most one bounce on the floor (centre height h)."""
    y1, v1 = y + vy * dt - 0.5 * g * dt * dt, vy - g * dt
    hit = y1 < h
    disc = (vy * vy + 2 * g * (y - h)).clamp(min=0).sqrt()
    t = ((vy + disc) / g).clamp(min=0).minimum(torch.as_tensor(dt, dtype=y.dtype, device=y.device))
    up = e * disc
    rest = hit & (up < REST_SPEED)
    left = dt - t
    yb, vb = h + up * left - 0.5 * g * left * left, up - g * left
    y1, v1 = torch.where(hit, yb.maximum(h), y1), torch.where(hit, vb, v1)
    return torch.where(rest, h, y1), torch.where(rest, torch.zeros_like(v1), v1)


def _slide(v, decel, dt):
    """Speed loss by friction over dt; returns (mean velocity over dt, new velocity), v [...,2]."""
    speed = v.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    time = (speed / decel.clamp(min=1e-9)[..., None]).clamp(max=dt)
    new = v * ((speed - decel[..., None] * time) / speed).clamp(min=0)
    return (v + new) * 0.5 * time / dt, new


def _impacts(state: _State, scene: Scene):
    """Impulses between spheres that touch and approach (mass = radius cubed)."""
    n = state.pos.shape[1]
    for i in range(n):
        for j in range(i + 1, n):
            pair = scene.collide[:, i, j] & state.active[:, i] & state.active[:, j]
            if not bool(pair.any()):
                continue
            d = state.pos[:, j] - state.pos[:, i]
            dist = d.norm(dim=-1).clamp(min=1e-9)
            normal = d / dist[:, None]
            rate = ((state.vel[:, j] - state.vel[:, i]) * normal).sum(-1)
            touch = pair & (dist < (state.half[:, i, 0] + state.half[:, j, 0])) & (rate < 0)
            mi, mj = state.half[:, i, 0].double() ** 3, state.half[:, j, 0].double() ** 3
            e = torch.minimum(scene.restitution[:, i], scene.restitution[:, j]).double()
            impulse = -(1 + e) * rate / (1 / mi + 1 / mj) * touch
            state.vel[:, i] -= (impulse / mi)[:, None] * normal
            state.vel[:, j] += (impulse / mj)[:, None] * normal


def _step(state: _State, scene: Scene, dt: float):
    pos, vel = state.pos, state.vel
    g = scene.gravity.double()[:, None].expand_as(state.roll)
    h, e = state.half[..., 1].double(), scene.restitution.double()
    grounded = (pos[..., 1] <= h + 1e-6) & (vel[..., 1].abs() < 1e-6)
    y, vy = _fly(pos[..., 1], vel[..., 1], g, h, e, dt)
    flat = vel[..., [0, 2]]
    mean, slid = _slide(flat, torch.where(grounded, scene.friction.double() * g, torch.zeros_like(g)), dt)
    y, vy = torch.where(grounded, h, y), torch.where(grounded, torch.zeros_like(vy), vy)
    free = ~state.frozen
    dx = mean * dt * free[..., None]
    state.roll = state.roll - torch.where(state.kind == SPHERE, dx[..., 0] / h, torch.zeros_like(h))
    new_pos = torch.stack([pos[..., 0] + dx[..., 0], torch.where(free, y, pos[..., 1]), pos[..., 2] + dx[..., 1]], -1)
    new_vel = torch.stack([slid[..., 0], vy, slid[..., 1]], -1)
    state.pos, state.vel = new_pos, torch.where(free[..., None], new_vel, torch.zeros_like(vel))
    _impacts(state, scene)


def _apply(state: _State, edit: Edit, frame: int):
    """Edit the state of the videos whose onset is this frame."""
    for i in (edit.onset == frame).nonzero()[:, 0].tolist():
        o, arg = int(edit.obj[i]), edit.arg[i]
        match edit.kind[i]:
            case "vanish" | "vanish_hidden":
                state.active[i, o] = False
            case "appear":
                state.active[i, o] = True
            case "teleport":
                state.pos[i, o] += arg.double()
            case "colour":
                state.colour[i, o] = arg
            case "shape":
                state.kind[i, o] = BOX if state.kind[i, o] == SPHERE else SPHERE
                foot = state.pos[i, o, 1] - state.half[i, o, 1]
                state.half[i, o] = arg
                state.pos[i, o, 1] = foot + state.half[i, o, 1]
            case "float":
                state.frozen[i, o] = True
            case "reverse":
                state.vel[i, o, 0] *= -1
            case "stop":
                state.vel[i, o] = 0
            case "none":
                pass
            case other:
                raise ValueError(f"unknown violation {other!r}")


def simulate(scene: Scene, frames: int, fps: float, edit: Edit | None = None, substeps: int = 4) -> Trajectory:
    """Run the scenes for `frames` frames at `fps` (frame 0 = initial state), applying `edit` if given.

    Objects touch only the floor and the spheres that `scene.collide` pairs them with; other objects keep
    to lanes that do not meet. A violation holds from the frame of its onset on.
    """
    state, dt = _State(scene), 1.0 / fps / substeps
    out: dict[str, list[torch.Tensor]] = {k: [] for k in ("pos", "vel", "roll", "active", "kind", "half", "colour")}
    for f in range(frames):
        if f:
            for _ in range(substeps):
                _step(state, scene, dt)
        if edit is not None:
            _apply(state, edit, f)
        for k, v in out.items():
            value = getattr(state, k)
            v.append(value.float() if value.dtype == torch.float64 else value.clone())
    return Trajectory(*(torch.stack(v, 1) for v in out.values()), fps)
