"""What the objects of a scene do: initial states of free objects, ledges, ramps, blocks, impacts, pendulums.

All functions change the scene in place, in the rows where they apply. Lengths in world units, `seconds` is the length
of the video.
"""

from __future__ import annotations

import torch

from .sampling import Rng
from .shapes import width
from .state import BLOCK, RAMP

DEEPEST, NEAREST = 10.7, 6.5  # z between which single objects may roam
STAGED = 0.45  # largest half extent of objects on a ledge or ramp
WIDE, ASIDE = (0.4, 0.6), 0.75  # of screens to linger behind: width, and how far they reach at most, shares of the view
MORE_HEIGHT = 0.25  # of them over what they must hide
LINGERS = (1.0, 3.0)
FREE, LEDGE, RAMP_STAGE, BARRIER, IMPACT = range(5)


def _put(target, on, value):
    """Write value [B,...] into target [B,...] where on [B]."""
    mask = on.view(-1, *[1] * (target.dim() - 1))
    target[:] = torch.where(mask, value.to(target.dtype), target)


def reach(scene):
    """Half the width of the view [B,N] at the objects' depths."""
    return scene.look.cam_tan[:, :1] * scene.pos[..., 2]


def free_motion(scene, r: Rng, spec, seconds, alone):
    """Rolling or sliding, airborne, resting, or entering by an edge; the only object (alone [B]) also in depth."""
    b, n = scene.kind.shape
    wide, half, z = reach(scene), scene.half, scene.pos[..., 2]
    resting = r.chance(spec.resting, b, n)
    airborne = r.chance(spec.airborne, b, n) & ~resting
    entering = r.chance(spec.entering, b, n) & ~resting
    side = r.sign(b, n)
    speed = torch.where(airborne, r.uniform(0.0, 3.0, b, n), r.uniform(0.7, 3.4, b, n))
    speed = torch.where(entering, speed.clamp(min=0.9), speed)
    x_in = r.uniform(-0.75, 0.75, b, n) * wide
    delay = r.uniform(-0.2, 0.7, b, n).clamp(min=0) * seconds
    x = torch.where(entering, side * (wide + half[..., 0] + speed * delay), x_in)
    vx = torch.where(entering, -side, torch.where(x_in.abs() > 0.4 * wide, -x_in.sign(), side)) * speed * ~resting
    # what enters later is thrown so that it is at its height when it comes into view
    drop = r.uniform(0.5, 2.9, b, n)
    vy = r.uniform(-0.6, 2.8, b, n) * airborne
    scene.pos[..., 0], scene.pos[..., 1] = x, half[..., 1] + drop * airborne
    scene.vel[..., 0], scene.vel[..., 1] = vx, vy
    roams = (alone & r.chance(spec.depth, b))[:, None] & ~resting
    scene.vel[..., 2] = torch.where(roams, (r.uniform(NEAREST, DEEPEST, b, n) - z) / seconds, 0.0)
    _tumble(scene, r, airborne & r.chance(spec.tumbling, b, n))


def linger(scene, r: Rng, spec, seconds):
    """Object 0 of a share of the scenes [B] passes behind a wide screen, evenly and so slowly that it is out of sight for
    LINGERS seconds."""
    b, look = len(scene), scene.look
    if not spec.linger:
        return torch.zeros(b, dtype=torch.bool)
    on = r.chance(spec.linger, b) & scene.active[:, 0]
    eye, z, h, a = scene.cam_place, scene.pos[:, 0, 2], scene.half[:, 0, 1], width(scene)[:, 0]
    ahead = scene.screen_place[:, 0, 2] - eye[:, 2]
    scale, view, share = (z - eye[:, 2]) / ahead, look.cam_tan[:, 0] * ahead, r.uniform(*WIDE, b)
    x, half = eye[:, 0] + r.uniform(-1, 1, b) * (ASIDE - share) * view, share * view
    above = eye[:, 1] + (2 * h - eye[:, 1]) / scale + MORE_HEIGHT  # the line of sight over the object
    _put(look.screen_half[:, 0], on, torch.stack([half, look.screen_half[:, 0, 1].maximum(above)], -1))
    _put(look.screen_tilt[:, 0], on, torch.zeros(b, 2))
    _put(scene.screen_place[:, 0, :2], on, torch.stack([x, torch.zeros(b)], -1))
    _put(scene.screen_move[:, 0, 0], on, torch.zeros(b))
    look.screen_on[:, 0] |= on
    look.screen_on[:, 1] &= ~on
    side, lasts = r.sign(b), r.uniform(*LINGERS, b)
    middle, reach = eye[:, 0] + (x - eye[:, 0]) * scale, half * scale - a
    speed = 2 * reach / lasts
    before = reach + speed * r.uniform(0.25, 0.75, b) * (seconds - lasts).clamp(min=0.5)
    stand(scene, on, 0, middle - side * before, side * speed, torch.zeros(b))
    _put(scene.friction[:, 0], on, torch.zeros(b))
    return on


def _tumble(scene, r: Rng, on):
    """Let airborne objects turn in the air, such that they are upright when they come down for the first time."""
    y, vy, g = scene.pos[..., 1] - scene.half[..., 1], scene.vel[..., 1], scene.gravity[:, None]
    landing = (vy + (vy * vy + 2 * g * y).sqrt()) / g
    scene.rate[:] = r.uniform(1.0, 5.0, *on.shape) * r.sign(*on.shape) * on
    scene.turn[:] = -scene.rate * landing


def stand(scene, on, o, pos_x, vel_x, low):
    """Object o stands at pos_x on a surface of height `low` and moves along x [B each]."""
    h, zero = scene.half[:, o, 1], torch.zeros_like(pos_x)
    _put(scene.pos[:, o], on, torch.stack([pos_x, low + h, scene.pos[:, o, 2]], -1))
    _put(scene.vel[:, o], on, torch.stack([vel_x, zero, zero], -1))
    _put(scene.rate[:, o], on, zero)
    _put(scene.turn[:, o], on, zero)


def _shrink(scene, on, o, largest):
    """Scale object o down where one of its half extents is above `largest`."""
    factor = (largest / scene.half[:, o].amax(-1)).clamp(max=1)
    _put(scene.half[:, o], on, scene.half[:, o] * factor[:, None])


def _solid(scene, on, o, s, kind, x, half_width, height, side, clear, r: Rng):
    """Solid s in the lane of object o."""
    depth = (scene.half[:, o, [0, 2]].norm(dim=-1) + r.uniform(0.03, 0.3, len(x))).minimum(clear)
    look = scene.look
    _put(look.solid_box[:, s], on, torch.stack([x, scene.pos[:, o, 2], half_width, depth, height], -1))
    _put(look.solid_kind[:, s], on, torch.full_like(look.solid_kind[:, s], kind))
    _put(look.solid_side[:, s], on, side)
    _put(look.solid_on[:, s], on, torch.ones_like(on))
    _put(scene.solid[:, o], on, torch.full_like(scene.solid[:, o], s))


def _approach(scene, o, speed, time):
    """Distance before a point and speed there with which friction leaves `speed` after `time` s on the floor."""
    slowing = scene.friction[:, o] * scene.gravity
    return speed * time + 0.5 * slowing * time**2, speed + slowing * time


def ledge(scene, r: Rng, on, o, s, seconds, clear):
    """Object o moves along the top of block s and off its edge, fast enough to clear it."""
    b, side = len(on), r.sign(len(on))
    _shrink(scene, on, o, STAGED)
    a, h, g = width(scene)[:, o], scene.half[:, o, 1], scene.gravity
    least = torch.where(scene.rolls[:, o], 1.02 * (g * h).sqrt(), a * (g / 0.16).sqrt())
    distance, speed = _approach(scene, o, least + r.uniform(0, 1.0, b), r.uniform(0.15, 0.75, b) * seconds)
    edge, height = side * r.uniform(-0.5, 0.05, b) * reach(scene)[:, o], r.uniform(0.6, 1.7, b)
    half_width = (distance + a + r.uniform(0.1, 0.9, b)) / 2
    _solid(scene, on, o, s, BLOCK, edge - side * half_width, half_width, height, side, clear, r)
    stand(scene, on, o, edge - side * distance, side * speed, height)


def ramp(scene, r: Rng, on, o, s, seconds, clear):
    """Object o starts on ramp s and comes down, or rolls up to it along the floor."""
    b, side = len(on), r.sign(len(on))
    _shrink(scene, on, o, STAGED)
    h = scene.half[:, o, 1]
    angle, height = r.uniform(0.25, 0.5, b), r.uniform(0.7, 1.6, b)
    half_width = height / angle.tan() / 2
    foot = -side * r.uniform(-0.45, 0.45, b) * reach(scene)[:, o]
    _solid(scene, on, o, s, RAMP, foot + side * half_width, half_width, height, side, clear, r)
    up = scene.rolls[:, o] & r.chance(0.5, b)
    distance, speed = _approach(scene, o, r.uniform(1.0, 3.2, b), r.uniform(0.1, 0.4, b) * seconds)
    stand(scene, on & up, o, foot - side * distance, side * speed, torch.zeros(b))
    along = r.uniform(0.5, 0.97, b) * 2 * half_width
    low = along * angle.tan() + h / angle.cos() - h
    along_speed = r.uniform(-0.4, 1.0, b) * r.chance(0.5, b)
    stand(scene, on & ~up, o, foot + side * along, -side * along_speed * angle.cos(), low)
    _put(scene.vel[:, o, 1], on & ~up, -along_speed * angle.sin())


def barrier(scene, r: Rng, on, o, s, seconds, clear):
    """Object o rolls or slides along the floor into block s."""
    b, side = len(on), r.sign(len(on))
    a, h = width(scene)[:, o], scene.half[:, o, 1]
    distance, speed = _approach(scene, o, r.uniform(1.0, 3.0, b), r.uniform(0.15, 0.75, b) * seconds)
    face, half_width = side * r.uniform(-0.4, 0.4, b) * reach(scene)[:, o], r.uniform(0.12, 0.5, b)
    _solid(scene, on, o, s, BLOCK, face + side * half_width, half_width, 2 * h * r.uniform(0.9, 1.8, b), side, clear, r)
    stand(scene, on, o, face - side * (a + distance), side * speed, torch.zeros(b))


def impact(scene, r: Rng, on):
    """Object 0 runs into object 1, which rests or comes towards it; at times object 2 stands behind that one."""
    on = on & scene.active[:, 1]
    b, side, a = len(on), r.sign(len(on)), width(scene)
    third = on & scene.active[:, 2] & r.chance(0.35, b)
    for o, which in ((1, on), (2, third)):
        nearer = (scene.pos[:, 0, 2] / scene.pos[:, o, 2]).clamp(max=1)
        _put(scene.half[:, o], which, scene.half[:, o] * nearer[:, None])
        _put(scene.pos[:, o, 2], which, scene.pos[:, 0, 2])
    x1 = -side * r.uniform(-0.1, 0.45, b) * reach(scene)[:, 0]
    x0 = x1 + side * (a[:, 0] + a[:, 1] + r.uniform(0.6, 4.0, b))
    x2 = x1 - side * (a[:, 1] + a[:, 2] + r.uniform(0.1, 0.9, b))
    towards = r.uniform(0.3, 1.5, b) * r.chance(0.5, b) * ~third
    zero = torch.zeros(b)
    stand(scene, on, 0, x0, -side * r.uniform(1.2, 3.4, b), zero)
    stand(scene, on, 1, x1, side * towards, zero)
    stand(scene, third, 2, x2, zero, zero)
    scene.collide[:, 0, 1] |= on
    for i in (0, 1):
        scene.collide[:, i, 2] |= third


def stages(scene, r: Rng, spec, seconds, clear, lingers):
    """Give objects 0 and 2 of some scenes a ledge, a ramp, a block or another object to run into; not object 0 where it
    lingers [B]."""
    b = len(scene)
    first = r.choice(list(spec.stages), b)
    first = torch.where(scene.active[:, 0] & ~lingers, first, FREE)
    impact(scene, r, first == IMPACT)
    second = r.choice([1.0, 1.0, 1.0], b) + LEDGE
    free = scene.active[:, 2] & ~scene.collide[:, 0, 2]
    second = torch.where(r.chance(spec.second_stage, b) & free, second, FREE)
    for o, s, stage in ((0, 0, first), (2, 1, second)):
        for which, build in ((LEDGE, ledge), (RAMP_STAGE, ramp), (BARRIER, barrier)):
            build(scene, r, stage == which, o, s, seconds, clear)


def pendulums(scene, r: Rng, spec, lingers):
    """Hang some of the objects that are free on strings, swinging; a share widely. Not object 0 where it lingers [B]."""
    b, n = scene.kind.shape
    tied = scene.collide.any(1) | scene.collide.any(2) | (scene.solid >= 0)
    hung = r.chance(spec.hung, b, n) & scene.active & ~tied
    hung[:, 0] &= ~lingers
    wide = r.chance(0.35, b, n)
    amplitude = torch.where(wide, r.uniform(0.6, 1.2, b, n), r.uniform(0.12, 0.6, b, n))
    low = scene.half[..., 1] + r.uniform(0.15, 1.2, b, n)
    pivot = torch.stack([r.uniform(-0.55, 0.55, b, n) * reach(scene), r.uniform(4.2, 5.6, b, n), scene.pos[..., 2]], -1)
    length = pivot[..., 1] - low
    angle = amplitude * r.uniform(-1, 1, b, n)
    omega = (2 * scene.gravity[:, None] / length * (angle.cos() - amplitude.cos())).clamp(min=0).sqrt() * r.sign(b, n)
    zero = torch.zeros(b, n)
    bob = pivot + length[..., None] * torch.stack([angle.sin(), -angle.cos(), zero], -1)
    velocity = (omega * length)[..., None] * torch.stack([angle.cos(), angle.sin(), zero], -1)
    scene.look.hung[:] = hung
    scene.look.pivot[:] = pivot
    scene.pos[:] = torch.where(hung[..., None], bob, scene.pos)
    scene.vel[:] = torch.where(hung[..., None], velocity, scene.vel)
    scene.rate[:] = torch.where(hung, 0.0, scene.rate)
