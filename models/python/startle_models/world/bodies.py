"""Everything that is drawn over the empty room, as primitives in space: objects' parts, strings, solids, screens."""

from __future__ import annotations

import dataclasses
import functools

import torch

from .primitives import WEDGE, apply, dot
from .state import BOX, CYLINDER, PARTS, PLAIN, RAMP, SPHERE, Batch, Look, Trajectory

SCREEN_DEPTH = 0.03  # half the thickness of a screen
STRING = 0.015  # radius of a string; drawn wider where a ray would miss it
STRING_COLOUR = 0.12


@dataclasses.dataclass
class Bodies(Batch):
    """K primitives in each of R pictures.

    on [R,K] bool; casts [R,K] bool: throws a shadow; kind [R,K] primitive; centre [R,K,3]; axes [R,K,3,3] body to
    world; half [R,K,3]; offset [R,K,3]: of the primitive from its owner's centre, in body axes (textures start
    there); texture [R,K]; colour [R,K,2,3]; params [R,K,4] as in Surfaces.
    """

    on: torch.Tensor
    casts: torch.Tensor
    kind: torch.Tensor
    centre: torch.Tensor
    axes: torch.Tensor
    half: torch.Tensor
    offset: torch.Tensor
    texture: torch.Tensor
    colour: torch.Tensor
    params: torch.Tensor

    @property
    def to_unit(self):
        """World to the primitive's unit frame [R,K,3,3]."""
        return self.axes.transpose(-1, -2) / self.half[..., :, None]

    def pruned(self) -> Bodies:
        """Without the slots that are empty in all pictures."""
        return self.map(lambda t: t[:, self.on.any(0)])

    @classmethod
    def join(cls, parts: list[Bodies]) -> Bodies:
        """Side by side in the same pictures."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts], 1) for f in dataclasses.fields(cls)})


@functools.cache
def _part_table(device: str):
    """on, kind [shapes,2], centre, half [shapes,2,3]: PARTS as tensors."""
    rows = [PARTS[shape] + ((SPHERE, (0, 0, 0), (1, 1, 1)),) * (2 - len(PARTS[shape])) for shape in range(len(PARTS))]
    on = torch.tensor([[True, len(PARTS[shape]) > 1] for shape in range(len(PARTS))])
    kind, centre, half = (torch.tensor([[part[i] for part in row] for row in rows]) for i in range(3))
    return tuple(t.to(device) for t in (on, kind, centre.float(), half.float()))


def objects(look: Look, track: Trajectory) -> Bodies:
    """Parts of the objects; look and track lead with R pictures (no frame dimension)."""
    on, kind, centre, half = (t[track.kind] for t in _part_table(str(track.kind.device)))
    r, n = track.kind.shape

    def two(t):
        return t[:, :, None].expand(r, n, 2, *t.shape[2:])
    offset = centre * track.half[:, :, None]
    axes = two(track.rot)
    place = torch.stack(apply(axes, offset.unbind(-1)), -1) + two(track.pos)
    on = on & two(track.active)
    bodies = Bodies(on, on, kind, place, axes, half * track.half[:, :, None], offset,
                    two(look.objects.kind), two(track.colour), two(look.objects.params))
    return bodies.map(lambda t: t.flatten(1, 2))


def _plain(on, kind, centre, axes, half, **change) -> Bodies:
    """Bodies without texture, all of which cast shadows, except for what `change` says."""
    r, k = on.shape
    fields = {
        "casts": on, "offset": torch.zeros_like(centre),
        "texture": torch.full_like(kind, PLAIN), "colour": torch.full((r, k, 2, 3), STRING_COLOUR, device=on.device),
        "params": torch.zeros(r, k, 4, device=on.device),
    }
    return Bodies(on=on, kind=kind, centre=centre, axes=axes, half=half, **(fields | change))


def strings(look: Look, track: Trajectory, ray_width: float) -> Bodies:
    """Strings from pivots to centres; ray_width: distance of neighbouring rays as a share of the picture's width."""
    line = look.pivot - track.pos
    length = line.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    y = line / length
    side = torch.stack([y[..., 1], -y[..., 0], torch.zeros_like(y[..., 0])], -1)
    x = side / side.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    axes = torch.stack([x, y, torch.linalg.cross(x, y)], -1)
    distance = (track.pos - track.cam_pos[:, None]).norm(dim=-1, keepdim=True)
    radius = (1.2 * ray_width * look.cam_tan[:, None, :1] * distance).clamp(min=STRING)
    on = look.hung & track.active
    return _plain(on, torch.full_like(track.kind, CYLINDER), track.pos + line / 2, axes,
                  torch.cat([radius, length / 2, radius], -1), casts=torch.zeros_like(on))


def _upright(centre):
    return torch.eye(3, device=centre.device).expand(*centre.shape[:-1], 3, 3)


def solids(look: Look) -> Bodies:
    """Blocks and ramps."""
    x, z, wide, deep, high = look.solid_box.unbind(-1)
    centre = torch.stack([x, high / 2, z], -1)
    ramp = look.solid_kind == RAMP
    turn = torch.where(ramp, look.solid_side.to(wide.dtype), torch.ones_like(wide))  # the wedge, mirrored
    s = look.solids
    return _plain(look.solid_on, torch.where(ramp, WEDGE, BOX), centre, _upright(centre),
                  torch.stack([wide * turn, high / 2, deep], -1),
                  texture=s.kind, colour=s.colour, params=s.params)


def screen_axes(look: Look):
    """Axes [B,K,3,3] of the screens (columns: along the lower edge, up the screen, away from its front)."""
    (lean_cos, roll_cos), (lean_sin, roll_sin) = (t.unbind(-1) for t in (look.screen_tilt.cos(), look.screen_tilt.sin()))
    along = torch.stack([roll_cos, roll_sin, torch.zeros_like(roll_cos)], -1)
    up = torch.stack([-roll_sin * lean_cos, roll_cos * lean_cos, lean_sin], -1)
    away = torch.stack([roll_sin * lean_sin, -roll_cos * lean_sin, lean_cos], -1)
    return torch.stack([along, up, away], -1)


def screens(look: Look, track: Trajectory) -> Bodies:
    """Screens as thin boxes."""
    high, axes = look.screen_half[..., 1], screen_axes(look)
    centre = track.screen + axes[..., 1] * (high / 2)[..., None]
    half = torch.stack([look.screen_half[..., 0], high / 2, torch.full_like(high, SCREEN_DEPTH)], -1)
    s = look.screens
    return _plain(look.screen_on, torch.full_like(s.kind, BOX), centre, axes, half,
                  texture=s.kind, colour=s.colour, params=s.params)


def extent(kind, centre, axes, half, cam_pos, cam_rot, cam_tan):
    """Bounds x0, x1, y0, y1 of projections in shares of the picture (may lie outside [0, 1]): four [...].

    kind [...], centre, half [...,3], axes [...,3,3]; camera tensors broadcast against them. Ellipsoids exactly,
    everything else by the corners of its box. Where a body reaches behind the camera: the whole picture.
    """
    at = apply(cam_rot.transpose(-1, -2), (centre - cam_pos).unbind(-1))
    edge = [apply(cam_rot.transpose(-1, -2), (axes[..., j] * half[..., j, None]).unbind(-1)) for j in range(3)]
    signs = [(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    corner = [torch.stack([at[i] + a * edge[0][i] + b * edge[1][i] + c * edge[2][i] for a, b, c in signs])
              for i in range(3)]
    deep = corner[2].clamp(min=1e-3)
    bounds = []
    for i, sign in ((0, 1), (1, -1)):
        ratio = corner[i] / deep
        low, high = ratio.amin(0), ratio.amax(0)
        # tangent planes of the ellipsoid through the eye
        xx, xz, zz = (dot([e[p] for e in edge], [e[q] for e in edge]) - at[p] * at[q]
                      for p, q in ((i, i), (i, 2), (2, 2)))
        root = (xz * xz - xx * zz).clamp(min=0).sqrt()
        round_ = kind == SPHERE
        low, high = torch.where(round_, (xz + root) / zz, low), torch.where(round_, (xz - root) / zz, high)
        ends = [(sign * v / cam_tan[..., i] + 1) / 2 for v in (low, high)]
        bounds += ends[::sign]
    behind = corner[2].amin(0) < 0.05
    return [torch.where(behind, torch.full_like(b, float(i % 2)), b) for i, b in enumerate(bounds)]
