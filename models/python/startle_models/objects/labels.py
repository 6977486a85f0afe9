"""What a generated scene is: privileged labels of every picture, from the generator's own state."""

from __future__ import annotations

import dataclasses

import torch

from ..world.bodies import Bodies, objects, screens, solids
from ..world.render import _cast, _size_classes, _windows
from ..world.room import Eye, Grid, _surfaces, grid_directions
from ..world.state import N_OBJECTS, Look, Trajectory
from ..world.textures import mean_share
from ..world.view import project

CELLS = 24  # of the maps, a side
PER_CELL = 4  # rays per cell and axis
SIDE = CELLS * PER_CELL
MAPS = 3  # objects, screens, solids
LAYERS = MAPS + 1  # of what the encoder passes on: those, and where things are centred
SHAPES = 4  # groups of shapes alike in outline: ball, box, cylinder or cone, composite
GROUP = torch.tensor([0, 1, 2, 2] + [3] * 11)
ATTRIBUTES = 14  # of a token: see Labels.things
SHARE, X, Y, HALF_W, HALF_H, NEAR = range(1, 7)
COLOUR, SHAPE = slice(7, 10), slice(10, 14)
PLACE = slice(2, 4)  # x, y
GEOMETRY = slice(2, 7)  # x, y, half width, half height, nearness
LEAST_RAYS = 5  # of SIDE x SIDE: less of a thing is not seen
LEAST_SHARE = 0.2
NEAR_UNIT = 4.0  # nearness is 1 at this distance, world units


@dataclasses.dataclass
class Labels:
    """Of B videos of F frames.

    things [B,F,N,14]: seen (1), hardly seen (0.5: neither there nor not) or unseen (0); share of its silhouette
    within the picture that is seen; centre x, y, half width and half height of the amodal box, in shares; nearness
    (4 / distance); red, green, blue - 0.5 (mean of the texture's two tones); one-hot shape group.
    maps uint8 [B,F,CELLS,CELLS,3]: share x 255 of each cell that objects, screens, solids cover.
    front bool [B,F,SIDE,SIDE]: rays that meet any of them.
    """

    things: torch.Tensor
    maps: torch.Tensor
    front: torch.Tensor


@torch.no_grad()
def label(look: Look, track: Trajectory, chunk: int = 256) -> Labels:
    """Labels of trajectories; chunk: pictures at once."""
    b, f = track.kind.shape[:2]
    rows = look[torch.arange(b).repeat_interleave(f)]
    flat = track.map(lambda t: t.flatten(0, 1))
    parts = [_rays(rows[s:s + chunk], flat[s:s + chunk]) for s in range(0, b * f, chunk)]
    seen, whole, maps, front = (torch.cat(p) for p in zip(*parts))
    things = _things(look, track, seen.view(b, f, -1), whole.view(b, f, -1))
    return Labels(things, maps.view(b, f, CELLS, CELLS, MAPS), front.view(b, f, SIDE, SIDE))


def _things(look, track, seen, whole):
    x, y, half_w, half_h = project(look, track, 1, 1)
    share = seen / whole.clamp(min=1)
    there = (seen >= LEAST_RAYS) & (share >= LEAST_SHARE) & track.active
    hardly = (seen > 0) & track.active & ~there
    near = NEAR_UNIT / (track.pos - track.cam_pos[:, :, None]).norm(dim=-1).clamp(min=0.5)
    tones = track.colour
    second = mean_share(look.objects.kind)[:, None, :, None]
    colour = tones[..., 0, :] * (1 - second) + tones[..., 1, :] * second - 0.5
    shape = torch.nn.functional.one_hot(GROUP[track.kind], SHAPES).float()
    state = there.float() + 0.5 * hardly.float()
    numbers = torch.stack([state, share, x, y, half_w, half_h, near], -1)
    out = torch.cat([numbers, colour, shape], -1)
    return torch.where((state > 0)[..., None], out, 0.0)


def _silhouettes(bodies: Bodies, eye: Eye, look, track, grid: Grid):
    """All rays that meet a body, with their depth: ray, depth, body [Q] (flat)."""
    window = _windows(bodies, eye, look, track, grid).flatten(0, 1)
    side = window[:, 2:] - window[:, :2]
    drawn = (side > 0).all(-1).nonzero()[:, 0]
    kind = bodies.kind.flatten()[drawn]
    group = (_size_classes(side[drawn, 0]) * 16 + _size_classes(side[drawn, 1])) * 128 + kind
    found = [_cast(g % 128, bodies, eye, window, drawn[group == g], grid) for g in torch.unique(group).tolist()]
    if not found:
        return drawn, torch.zeros(0), drawn
    return tuple(torch.cat([getattr(h, n) for h in found]) for n in ("ray", "t", "body"))


def _rays(look: Look, track: Trajectory):
    """Rays seen and rays of the whole silhouette [R,N], maps uint8 [R,CELLS,CELLS,3], front [R,SIDE,SIDE]."""
    grid = Grid(SIDE, SIDE, 1)
    eye = Eye.of(track.cam_pos, track.cam_rot, look.cam_tan)
    parts = [objects(look, track), screens(look, track), solids(look)]
    bodies = Bodies.join(parts)
    firsts = (parts[0].on.shape[1], parts[0].on.shape[1] + parts[1].on.shape[1])
    room, _ = _surfaces(look, eye, grid_directions(eye, grid))
    r = room.shape[0]
    depth = room.reshape(-1).contiguous()
    ray, t, body = _silhouettes(bodies, eye, look, track, grid)
    slots = bodies.on.shape[1]
    picture, which = body // slots, body % slots
    thing = which // 2  # an object has two parts
    is_object = which < firsts[0]
    layer = torch.where(is_object, 0, torch.where(which < firsts[1], 1, 2))
    depth.scatter_reduce_(0, ray, t, "amin")
    first = t <= depth[ray]
    key = (picture * N_OBJECTS + thing) * grid.rays + (ray - picture * grid.rays)

    def count(mask):
        owner = torch.unique(key[mask & is_object]) // grid.rays
        return torch.bincount(owner, minlength=r * N_OBJECTS).view(r, N_OBJECTS).float()
    cover = torch.zeros(MAPS, r * grid.rays, dtype=torch.bool)
    for m in range(MAPS):
        cover[m, ray[first & (layer == m)]] = True
    square = cover.view(MAPS, r, CELLS, PER_CELL, CELLS, PER_CELL).float().mean((3, 5)) * 255
    maps = square.round().to(torch.uint8).permute(1, 2, 3, 0)
    return count(first), count(torch.ones_like(first)), maps, cover.any(0).view(r, SIDE, SIDE)
