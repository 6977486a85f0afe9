"""Rigid-body motion: flight, bounces, rolling and sliding, ledges, ramps, blocks, impacts, pendulums.

Objects move in vertical planes, so that a state is a place along the plane's heading, a height, and one angle. All is
integrated on a fixed grid of RATE steps per second: flight and friction exactly within a step (constant acceleration),
with exact times of hitting the floor and of leaving an edge; the string by velocity Verlet. Frames are interpolated
between the steps, so that they do not depend on which other frames are asked for.
"""

from __future__ import annotations

import dataclasses
import math

import torch

from .camera import camera_path, screen_path
from .contacts import Contacts
from .pose import rotations
from .scene import Scene
from .state import RAMP, Trajectory

RATE = 120.0  # steps per second
REST_SPEED = 0.12  # units/s: a slower bounce ends in contact
TINY = 1e-6
NONE = "none"
STATE_EDITS = ("stop", "reverse", "float", "unsupported", "solidity", "rise")


@dataclasses.dataclass
class Edit:
    """Breaks of physics: `kind` (B names of STATE_EDITS; "none" leaves a video lawful) happens to object `obj` [B]
    at `time` [B] s."""

    kind: list[str]
    obj: torch.Tensor
    time: torch.Tensor


class Ground:
    """What objects [B,N] stand on and run into: the floor, and the top and sides of one solid each.

    Over the solid the centre of a standing object is at `top + slope * (x - x of the solid)`. All in float64."""

    def __init__(self, scene: Scene):
        look, h = scene.look, scene.half[..., 1].double()
        index = scene.solid.clamp(min=0)
        box = look.solid_box.double().gather(1, index[..., None].expand(-1, -1, 5))
        ramp = look.solid_kind.gather(1, index) == RAMP
        on = (scene.solid >= 0) & look.solid_on.gather(1, index)
        self.any_solid, self.any_ramp = bool(on.any()), bool((on & ramp).any())
        self.x, _, self.reach, _, self.height = box.unbind(-1)
        self.side = look.solid_side.gather(1, index).double()
        self.h, self.ramp = h, ramp & on
        self.slope = torch.where(self.ramp, self.side * self.height / (2 * self.reach), 0.0)
        stretch = (1 + self.slope**2).sqrt()
        self.top = torch.where(self.ramp, self.height / 2, self.height) + h * stretch
        self.low = torch.where(self.ramp & (self.side > 0), -math.inf, -self.reach)
        self.high = torch.where(self.ramp & (self.side < 0), math.inf, self.reach)
        self.high = torch.where(on, self.high, -math.inf)
        self.walls = on

    def level(self, x):
        """Height of the centre of an object that stands at x, and the slope there."""
        if not self.any_solid:
            return self.h, torch.zeros_like(x)
        d = x - self.x
        over = self.top + self.slope * d
        on = (d > self.low) & (d < self.high) & (over > self.h)
        return torch.where(on, over, self.h), torch.where(on, self.slope, 0.0)

    def ignore(self, mask):
        """Objects in mask [B,N] no longer meet their solid."""
        self.high = torch.where(mask, -math.inf, self.high)
        self.walls = self.walls & ~mask


def _along(s, push, drag, dt):
    """Motion along a surface over dt with a driving acceleration and friction: way and new speed.

    Friction stops an object for good where the push is weaker."""
    towards = torch.where(s == 0, push.sign(), s.sign())
    a = push - drag * towards
    a = torch.where((s == 0) & (push.abs() <= drag), 0.0, a)
    stops = (s * a < 0) & (s.abs() < a.abs() * dt)
    t = torch.where(stops, s.abs() / a.abs().clamp(min=1e-12), dt)
    new = torch.where(stops, 0.0, s + a * t)
    return (s + new) * 0.5 * t, new


class Motion:
    """State of all objects [B,N], float64: x along the heading, y, velocities w, v, angle of rotation and its rate in
    the air, string angle and its rate; whether on the ground; weight: share of gravity that acts."""

    def __init__(self, scene: Scene):
        self.scene, self.dt = scene, 1.0 / RATE
        pos, vel = scene.pos.double(), scene.vel.double()
        flat = vel[..., [0, 2]]
        straight = vel[..., 2] == 0
        speed = torch.where(straight, vel[..., 0], flat.norm(dim=-1))
        towards = flat / flat.norm(dim=-1, keepdim=True).clamp(min=TINY)
        self.heading = torch.where(straight[..., None], torch.tensor([1.0, 0.0]).to(flat), towards)
        self.x, self.y, self.w, self.v = pos[..., 0], pos[..., 1], speed, vel[..., 1]
        self.angle, self.rate = scene.turn.double(), scene.rate.double()
        self.g = scene.gravity.double()[:, None].expand_as(self.x)
        self.e, self.friction, self.ease = (t.double() for t in (scene.restitution, scene.friction, scene.ease))
        self.rolls, self.weight = scene.rolls, torch.ones_like(self.x)
        self.ground_of = Ground(scene)
        self.contacts = Contacts(scene)
        level, self.slope = self.ground_of.level(self.x)
        climb = (self.v - self.slope * self.w).abs()
        self.ground = (self.y <= level + 1e-4) & (climb < 1e-3)
        self.y = torch.where(self.ground, level, self.y)
        self._hang(scene, pos, vel)

    def _hang(self, scene, pos, vel):
        self.any_hung = bool(scene.look.hung.any())
        line = pos - scene.look.pivot.double()
        self.length = line[..., :2].norm(dim=-1).clamp(min=TINY)
        self.theta = torch.atan2(line[..., 0], -line[..., 1])
        self.omega = (vel[..., 0] * self.theta.cos() + vel[..., 1] * self.theta.sin()) / self.length
        if self.any_hung:  # they swing instead of falling
            self.ground = self.ground & ~scene.look.hung

    def values(self):
        """What is kept of every step: [8,B,N]."""
        return torch.stack([self.x, self.y, self.w, self.v, self.angle, self.theta, self.omega, self.slope])

    def edit(self, kind: str, on):
        """Break physics for the objects in mask on [B,N]."""
        def where(new, old):
            return torch.where(on, new, old)
        if kind in ("stop", "float"):
            self.w, self.v, self.omega = where(0.0, self.w), where(0.0, self.v), where(0.0, self.omega)
            self.rate = where(0.0, self.rate)
        if kind == "reverse":
            self.w, self.omega = where(-self.w, self.w), where(-self.omega, self.omega)
            self.rate = where(-self.rate, self.rate)
            self.v = torch.where(on & self.ground, -self.v, self.v)
        if kind in ("float", "unsupported"):
            self.weight, self.v = where(0.0, self.weight), where(0.0, self.v)
        if kind == "rise":
            self.weight = where(-1.0, self.weight)
        if kind in ("float", "unsupported", "rise"):
            self.ground = self.ground & ~on
        if kind in ("float", "unsupported", "solidity"):
            self.ground_of.ignore(on)

    def step(self):
        """Advance by one step."""
        x0, y0, w0 = self.x, self.y, self.w
        ground, g = self.ground, self.g * self.weight
        flat = not self.ground_of.any_ramp
        stretch = 1.0 if flat else (1 + self.slope**2).sqrt()
        push = torch.zeros_like(w0) if flat else -self.ease * self.g * self.slope / stretch
        way, speed = _along(w0 * stretch, push, self.friction * self.g / stretch, self.dt)
        dx = torch.where(ground, way / stretch, w0 * self.dt)
        self.x = x0 + dx
        level, slope = self.ground_of.level(self.x)
        line = y0 if flat else y0 + self.slope * dx
        left = ground & (level < line - TINY)
        self._turn(ground, way, speed)
        self._fall(ground, left, line, level, slope, g)
        stays = ground & ~left
        if not flat:
            speed = self._bend(speed, w0 * stretch, stays & (slope != self.slope), level - y0)
            stretch = (1 + slope**2).sqrt()
        self.y = torch.where(stays, level, self.y)
        self.w = torch.where(stays, speed / stretch, self.w)
        self.v = torch.where(stays, self.w * slope, self.v)
        self.ground = self.ground & ~left
        self.slope = torch.where(self.ground, slope, 0.0)
        if self.ground_of.any_solid:
            self._walls(dx)
        if self.any_hung:
            self._swing()
        self.contacts.resolve(self)

    def _bend(self, speed, before, bent, climbed):
        """Speed after a bend of the surface: no energy is lost there."""
        square = before**2 - 2 * self.ease * self.g * climbed
        return torch.where(bent & (square > 0), before.sign() * square.clamp(min=0).sqrt(), speed)

    def _turn(self, ground, way, speed):
        """Rolling without slipping on the ground, steady rotation in the air."""
        rolling = ground & self.rolls
        h = self.ground_of.h
        self.angle = self.angle + torch.where(rolling, way / h, torch.where(ground, 0.0, self.rate * self.dt))
        self.rate = torch.where(rolling, speed / h, self.rate)

    def _fall(self, ground, left, line, level, slope, g):
        """Flight over the step, with at most one bounce; `left`: objects that went over an edge within the step."""
        o, dt, w = self.ground_of, self.dt, self.w
        beyond = ((self.x - o.x).abs() - o.reach) / w.abs().clamp(min=TINY)
        t = torch.where(left, beyond.clamp(0, dt), dt)
        v0 = torch.where(left, self.slope * w, self.v)
        y1 = torch.where(left, line, self.y + v0 * dt) - 0.5 * g * t * t
        v1 = v0 - g * t
        hit = ~ground & (y1 < level) & (v1 < slope * w)
        root = (v0 * v0 + 2 * g * (self.y - level)).clamp(min=0).sqrt()
        at = ((v0 + root) / g.abs().clamp(min=TINY)).clamp(0, dt)
        up, rest = self.e * root, dt - at
        bounced, faster = (level + up * rest - 0.5 * g * rest * rest).maximum(level), up - g * rest
        settles = hit & (up < REST_SPEED)
        self.y = torch.where(hit, torch.where(settles, level, bounced), y1)
        self.v = torch.where(hit, torch.where(settles, 0.0, faster), v1)
        if o.any_ramp:
            settles = self._fall_on_slope(hit & (slope != 0), settles, slope, v1, level)
        self.ground = ground | settles
        self.angle = torch.where(hit & ~self.rolls, 0.0, self.angle)
        self.rate = torch.where(hit, torch.where(self.rolls, self.w / o.h, 0.0), self.rate)

    def _fall_on_slope(self, hit, settles, slope, v, level):
        """Bounce off a slope: the velocity's part across it turns back, the part along it stays."""
        square = 1 + slope**2
        along, across = (self.w + slope * v) / square, (v - slope * self.w) / square
        back = torch.where(-across * square.sqrt() * self.e < REST_SPEED, 0.0, -across * self.e)
        self.w = torch.where(hit, along - slope * back, self.w)
        self.v = torch.where(hit, slope * along + back, self.v)
        self.y = torch.where(hit, level, self.y)
        return torch.where(hit, back == 0, settles)

    def _walls(self, dx):
        """Turn back what runs into the sides of blocks and the high ends of ramps."""
        o, d = self.ground_of, self.x - self.ground_of.x
        deep = o.reach + self.contacts.width - d.abs()
        hit = o.walls & (deep > 0) & (d.abs() > o.reach) & (self.w * d < 0) & (self.y - o.h < o.height - 0.02)
        hit = hit & ~(o.ramp & (d * o.side < 0))
        fresh = hit & (deep <= dx.abs() + TINY)
        self.x = torch.where(fresh, self.x + d.sign() * deep * (1 + self.e), self.x)
        self.w = torch.where(hit, -self.e * self.w, self.w)

    def _swing(self):
        """Velocity Verlet of the strings."""
        k = self.g * self.weight / self.length
        half = self.omega - 0.5 * self.dt * k * self.theta.sin()
        self.theta = self.theta + self.dt * half
        self.omega = half - 0.5 * self.dt * k * self.theta.sin()


def _run(scene: Scene, last: float, edit: Edit | None):
    """States at all steps up to `last` s: [steps,8,B,N], and the Motion."""
    motion = Motion(scene)
    steps = math.ceil(last * RATE - TINY) + 1
    todo: dict[tuple[int, str], torch.Tensor] = {}
    if edit is not None:
        at = (edit.time.double() * RATE + TINY).floor().long().tolist()
        for i, (step, kind) in enumerate(zip(at, edit.kind)):
            if kind != NONE:
                mask = todo.setdefault((step, kind), torch.zeros_like(scene.active))
                mask[i, edit.obj[i]] = True
    first = motion.values()
    out = torch.empty(steps + 1, *first.shape, dtype=first.dtype, device=first.device)
    for k in range(steps + 1):
        out[k] = motion.values()
        for (step, kind), mask in todo.items():
            if step == k:
                motion.edit(kind, mask)
        motion.step()
    return out, motion


@torch.no_grad()
def simulate(scene: Scene, times, edit: Edit | None = None) -> Trajectory:
    """States at `times` [F] (increasing seconds from 0 on, alike for all scenes), with `edit` if given.

    An edit acts from the step at or before its time on: frames at that time or later show it."""
    times = torch.as_tensor(times, dtype=torch.float64)
    out, motion = _run(scene, float(times[-1]), edit)
    place = times * RATE
    step = (place + TINY).floor().clamp(max=len(out) - 2)
    share = (place - step).clamp(min=0).to(out.device)[:, None, None, None]
    step = step.long().to(out.device)
    states = torch.lerp(out[step], out[step + 1], share).permute(1, 2, 0, 3)  # [8,B,F,N]
    x, y, w, v, angle, theta, omega, _ = states
    return _trajectory(scene, motion, times.to(out.device), x, y, w, v, angle, theta, omega)


def _trajectory(scene: Scene, motion: Motion, times, x, y, w, v, angle, theta, omega) -> Trajectory:
    """Places, velocities and rotations in space from the planar states [B,F,N]."""
    f = len(times)
    start, (ax, az) = scene.pos.double()[:, None], motion.heading[:, None].unbind(-1)
    pos = torch.stack([start[..., 0] + (x - start[..., 0]) * ax, y, start[..., 2] + (x - start[..., 0]) * az], -1)
    vel = torch.stack([w * ax, v, w * az], -1)
    hung = scene.look.hung[:, None]
    if motion.any_hung:
        pivot, length = scene.look.pivot.double()[:, None], motion.length[:, None]
        sin, cos, zero = theta.sin(), theta.cos(), torch.zeros_like(theta)
        bob = pivot + length[..., None] * torch.stack([sin, -cos, zero], -1)
        swing = (length * omega)[..., None] * torch.stack([cos, sin, zero], -1)
        pos, vel = torch.where(hung[..., None], bob, pos), torch.where(hung[..., None], swing, vel)
    rot = rotations(scene, motion.heading, pos, torch.where(hung, theta, angle))
    cam_pos, cam_rot = camera_path(scene, times.float())

    def every(t):
        return t[:, None].expand(-1, f, *t.shape[1:]).clone()
    return Trajectory(
        pos.float(), vel.float(), rot.float(), every(scene.active), every(scene.kind), every(scene.half),
        every(scene.colour), screen_path(scene, times.float()), cam_pos, cam_rot,
        times.float().expand(len(scene), -1).clone(),
    )
