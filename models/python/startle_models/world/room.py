"""The empty room and the pictures that everything else is drawn on."""

from __future__ import annotations

import dataclasses

import torch

from .state import Batch, Look
from .textures import present, weight

FAR = 1e6


@dataclasses.dataclass(frozen=True)
class Grid:
    """Rays of a picture: `ss` x `ss` per pixel. The picture always holds the whole 16:9 view."""

    height: int
    width: int
    ss: int

    @property
    def rows(self) -> int:
        return self.height * self.ss

    @property
    def columns(self) -> int:
        return self.width * self.ss

    @property
    def rays(self) -> int:
        return self.rows * self.columns


@dataclasses.dataclass
class Eye(Batch):
    """Cameras of R pictures: place [R,3]; aim [R,3,3]: the direction of the ray at u, v in [-1, 1] (right, up) is
    aim @ (u, v, 1), its length such that ray parameters are depths along the optical axis."""

    place: torch.Tensor
    aim: torch.Tensor

    @classmethod
    def of(cls, place, rot, tan) -> Eye:
        """From place [R,3], rotation [R,3,3] and tangents [R,2]."""
        return cls(place, torch.cat([rot[..., :2] * tan[:, None], rot[..., 2:]], -1))


@dataclasses.dataclass
class Canvas(Batch):
    """R pictures at ray resolution: depth [R,rays], colour as three [R,rays] (red, green, blue), share [R,rays]: of
    the key light in the brightness."""

    depth: torch.Tensor
    red: torch.Tensor
    green: torch.Tensor
    blue: torch.Tensor
    share: torch.Tensor

    @property
    def colour(self):
        return self.red, self.green, self.blue


def screen_u(column, columns: int):
    """Horizontal ray coordinate in [-1, 1] of (fractional) ray columns."""
    return (column + 0.5) * (2 / columns) - 1


def screen_v(row, rows: int):
    return 1 - (row + 0.5) * (2 / rows)


def directions(aim, u, v):
    """Components [R,rows,columns] of ray directions at u [R or 1,columns], v [R or 1,rows]."""
    return [(aim[:, i, 0, None] * u)[:, None, :] + (aim[:, i, 1, None] * v + aim[:, i, 2, None])[:, :, None]
            for i in range(3)]


def grid_directions(eye: Eye, grid: Grid, step: int = 1):
    """Directions [R,rows,columns] of all rays, or of one per pixel for step = ss."""
    device = eye.aim.device
    u = screen_u(torch.arange(step // 2, grid.columns, step, device=device), grid.columns)
    v = screen_v(torch.arange(step // 2, grid.rows, step, device=device), grid.rows)
    return directions(eye.aim, u[None], v[None])


def _light(look: Look):
    """Brightness from the key light and from all light [R,3] of floor, back wall and side walls."""
    up, back, side = look.light[..., 1], -look.light[..., 2], look.light[..., 0].abs() * 0.5
    lambert = torch.stack([up, back, side], 1).clamp(min=0) * look.power[:, None]
    key = lambert[..., 0]
    return key, look.ambient[:, None] + key + lambert[..., 1] + lambert[..., 2]


def coefficients(params, colour):
    """Rows of a look-up table: texture coordinates' a = t0 u + t1 v + t2, b = t0 v - t1 u + t3, then the first colour
    and the difference of the second: ten [...]."""
    scale, angle, ou, ov = params.unbind(-1)
    angle = angle.double()
    first, second = colour[..., 0, :], colour[..., 1, :]
    return [scale * angle.cos().float(), scale * angle.sin().float(), ou, ov,
            *first.unbind(-1), *(second - first).unbind(-1)]


def albedo(table, index, kind, kinds, u, v):
    """Colour of surface points: three [Q]. table: of `coefficients`, flat; index [Q] into it; kind [Q]."""
    c, s, ou, ov = (t.index_select(0, index) for t in table[:4])
    w = weight(kind, u * c + v * s + ou, v * c - u * s + ov, kinds) if kinds else None
    first = [t.index_select(0, index) for t in table[4:7]]
    if w is None:
        return first
    return [f.add_(t.index_select(0, index).mul_(w)) for f, t in zip(first, table[7:])]


def _surfaces(look: Look, eye: Eye, dirs):
    """Depth of the walls' and the floor's hits, and which of the three surfaces (0 floor, 1 back, 2 sides)."""
    place = [eye.place[:, i, None, None] for i in range(3)]
    depth = (look.wall_z[:, None, None] - place[2]) / dirs[2].clamp(min=1e-4)
    floor = -place[1] / dirs[1].clamp(max=-1e-6)
    which = (depth < floor).long()
    depth = torch.minimum(depth, floor)
    # side walls are in view only if the picture's left or right edge meets them
    wide = look.side_x[:, None, None]
    edge = [0, -1]
    if bool(((place[0] + depth[..., edge] * dirs[0][..., edge]).abs() > wide).any()):
        side = (torch.sign(dirs[0]) * wide - place[0]) / (dirs[0] + 1e-9)
        which = torch.where(side < depth, 2, which)
        depth = torch.minimum(depth, side)
    return depth, which


def room(look: Look, eye: Eye, grid: Grid) -> Canvas:
    """The empty room, lit without shadows; one row of look per picture."""
    dirs = grid_directions(eye, grid)
    depth, which = _surfaces(look, eye, dirs)
    r = depth.shape[0]
    index = (which + 3 * torch.arange(r, device=depth.device)[:, None, None]).flatten()
    which = which.flatten()
    x, y, z = ((depth * d + eye.place[:, i, None, None]).flatten() for i, d in enumerate(dirs))
    u = torch.where(which == 2, z, x)
    v = torch.where(which == 0, z, y)
    key, total = _light(look)
    kind = look.room.kind.flatten()
    table = [t.flatten() for t in coefficients(look.room.params, look.room.colour * total[..., None, None])]
    colour = albedo(table, index, kind.index_select(0, index), present(kind), u, v)
    fade = 1 - 0.03 * y.clamp(0, 8)  # walls are darker towards the top
    share = (key / total).flatten().index_select(0, index)
    return Canvas(*(t.view(r, -1) for t in (depth, *(c.mul_(fade) for c in colour), share)))
