"""Analytic ray casting of scenes: perspective, Lambert shading, cast shadows, sensor.

The room is cast once per video where the camera does not move, else once per picture. Everything in it is cast in
small windows around its projection, with one depth test per ray; shadows by rays to the key light.
"""

from __future__ import annotations

import dataclasses

import torch

from .bodies import Bodies, extent, objects, screens, solids, strings
from .primitives import KINDS, apply, dot, interval, normal, take
from .room import Canvas, Eye, Grid, albedo, coefficients, directions, grid_directions, room, screen_u, screen_v
from .sensor import noise_seeds, sensor
from .state import Look, Trajectory
from .textures import present
from .view import project, visibility

__all__ = ["project", "render", "visibility"]

SOFT = 0.3  # length of a light ray within a body from which its shadow is full: soft edges
GLOSS = 0.6  # brightness of highlights, as a share of the key light's
NEAR = 0.05  # depth from which bodies are drawn
BLUR_STEPS = (1.0, 0.5, 0.0)  # moments of an exposure, in shares of the shutter time before the frame


@dataclasses.dataclass
class Hits:
    """Q rays that meet a body: ray (flat index into the canvas), t depth, body (flat index into Bodies)."""

    ray: torch.Tensor
    t: torch.Tensor
    body: torch.Tensor

    def at(self, index) -> Hits:
        return Hits(self.ray[index], self.t[index], self.body[index])


def _windows(bodies: Bodies, eye: Eye, look: Look, track: Trajectory, grid: Grid):
    """First ray column, row and last ray column, row (exclusive) of every body, clipped to the picture: [R,K,4];
    empty where nothing is to be drawn."""
    x0, x1, y0, y1 = extent(bodies.kind, bodies.centre, bodies.axes, bodies.half.abs(), eye.place[:, None],
                            track.cam_rot[:, None], look.cam_tan[:, None])
    low = torch.stack([x0 * grid.columns, y0 * grid.rows], -1).floor()
    high = torch.stack([x1 * grid.columns, y1 * grid.rows], -1).ceil()
    size = torch.tensor([grid.columns, grid.rows], device=low.device)
    low, high = low.clamp(min=0).minimum(size), high.clamp(min=0).minimum(size)
    high = torch.where(bodies.on[..., None], high, low)
    return torch.cat([low, high], -1).long()


def _size_classes(side, start: int = 8):
    """Class [I] of window sides: up to 8, 16, 32 ... rays."""
    return (side.clamp(min=start).float() / start).log2().ceil().long()


def _cast(kind: int, bodies: Bodies, eye: Eye, window, which, grid: Grid) -> Hits:
    """Hits of the bodies `which` [I] (flat), all of primitive `kind`, in windows of one size."""
    x0, y0, x1, y1 = window[which].T
    w, h = int((x1 - x0).max()), int((y1 - y0).max())
    x0, y0 = x0.clamp(max=grid.columns - w), y0.clamp(max=grid.rows - h)
    picture = which // bodies.on.shape[1]
    unit = bodies.to_unit.flatten(0, 1)[which]
    centre = bodies.centre.flatten(0, 1)[which]
    o = [c[:, None, None] for c in apply(unit, (eye.place[picture] - centre).unbind(-1))]
    aim = torch.stack([torch.stack(apply(unit, eye.aim[picture][..., j].unbind(-1)), -1) for j in range(3)], -1)
    u = screen_u(x0[:, None] + torch.arange(w, device=x0.device), grid.columns)
    v = screen_v(y0[:, None] + torch.arange(h, device=x0.device), grid.rows)
    near, far = interval(kind, o, directions(aim, u, v))
    hit = ((near < far) & (near > NEAR)).flatten().nonzero()[:, 0]
    i = hit // (w * h)
    within = hit - i * (w * h)
    row = within // w
    start = picture * grid.rays + y0 * grid.columns + x0
    return Hits(start[i] + row * grid.columns + within - row * w, near.flatten()[hit], which[i])


def _hits(canvas: Canvas, bodies: Bodies, eye: Eye, look: Look, track: Trajectory, grid: Grid) -> Hits:
    """Rays whose first hit is a body; lowers the canvas's depth there."""
    window = _windows(bodies, eye, look, track, grid).flatten(0, 1)
    side = window[:, 2:] - window[:, :2]
    drawn = (side > 0).all(-1).nonzero()[:, 0]
    kind = bodies.kind.flatten()[drawn]
    group = (_size_classes(side[drawn, 0]) * 16 + _size_classes(side[drawn, 1])) * 128 + kind
    depth, found = canvas.depth.view(-1), []
    for g in torch.unique(group).tolist():
        hits = _cast(g % 128, bodies, eye, window, drawn[group == g], grid)
        found.append(hits.at((hits.t < depth[hits.ray]).nonzero()[:, 0]))
    if not found:
        return Hits(drawn, depth[:0], drawn)
    hits = Hits(*(torch.cat([getattr(f, n) for f in found]) for n in ("ray", "t", "body")))
    depth.scatter_reduce_(0, hits.ray, hits.t, "amin")
    return hits.at((hits.t == depth[hits.ray]).nonzero()[:, 0])


def _darkness(point, picture, light, bodies: Bodies):
    """Share of the key light that bodies keep from points. point: triple [R,P], picture None, or triple [Q] with
    picture [Q]; light [R,3]. A convex body takes none from the points of its own surface that face the light."""
    def spread(x):
        return x[:, None] if picture is None else x.index_select(0, picture)
    clear = torch.ones_like(point[0])
    to_light = [spread(c) for c in light.unbind(-1)]
    local_light = torch.stack(apply(bodies.to_unit, [c[:, None] for c in light.unbind(-1)]), -1)
    reach2 = torch.where(bodies.on & bodies.casts, bodies.half.square().sum(-1), -torch.ones_like(bodies.half[..., 0]))
    for k in range(bodies.on.shape[1]):
        if not bool((reach2[:, k] > 0).any()):
            continue
        away = [spread(bodies.centre[:, k, i].contiguous()) - point[i] for i in range(3)]
        along = dot(away, to_light)
        near = (dot(away, away) - along * along < spread(reach2[:, k].contiguous())) & (along > -1)
        at = near.flatten().nonzero()[:, 0]
        if not at.numel():
            continue
        row = at // point[0].shape[1] if picture is None else picture[at]
        offset = [-a.reshape(-1)[at] for a in away]
        dark = _blocked(bodies, k, row, offset, local_light)
        clear.view(-1)[at] *= 1 - dark
    return 1 - clear


def _blocked(bodies: Bodies, k: int, row, offset, local_light):
    """Darkness [C] by body k of pictures row [C] at offsets (triple [C]) from its centre."""
    o = apply(take(bodies.to_unit[:, k], row), offset)
    d = take(local_light[:, k], row).unbind(-1)
    soft = (2 * bodies.half[:, k].abs().amin(-1)).clamp(max=SOFT)[row]
    kind = bodies.kind[:, k]
    dark = torch.zeros_like(soft)
    for g in KINDS:
        if bool((kind == g).any()):
            near, far = interval(g, o, d)
            chord = ((far - near.clamp(min=0)) / soft).clamp(0, 1)
            dark = torch.where(kind[row] == g, chord, dark)
    return dark


def _normals(bodies: Bodies, hits: Hits, unit, p):
    """World normals (triple [Q], unit length) at points p of the unit frames."""
    kind = bodies.kind.flatten()[hits.body]
    n = [torch.zeros_like(c) for c in p]
    for k in torch.unique(bodies.kind).tolist():
        at = (kind == k).nonzero()[:, 0]
        for c, part in zip(n, normal(k, [x[at] for x in p])):
            c[at] = part
    n = apply(unit.transpose(-1, -2), n)
    inv = 1 / dot(n, n).clamp(min=1e-12).sqrt()
    return [c * inv for c in n]


def _gloss(bodies: Bodies, eye: Eye, look: Look, hits: Hits, picture, point, n):
    """Highlight of the key light [Q] on the bodies whose texture's offset makes them glossy (two in five)."""
    glossy = (bodies.params[..., 3] * 7 % 1 > 0.6).to(point[0].dtype) * GLOSS
    strength = glossy.flatten().index_select(0, hits.body) * look.power[:, 0].index_select(0, picture)
    to_eye = [e - p for e, p in zip(take(eye.place, picture).unbind(-1), point)]
    scale = 1 / dot(to_eye, to_eye).sqrt()
    middle = [e * scale + c for e, c in zip(to_eye, take(look.light[:, 0], picture).unbind(-1))]
    shine = dot(n, middle).clamp(min=0).square() / dot(middle, middle).clamp(min=1e-6)
    for _ in range(4):
        shine = shine * shine
    return shine * strength


def _shade(bodies: Bodies, casters: Bodies, eye: Eye, look: Look, hits: Hits, grid: Grid):
    """Colour (triple [Q]) at hits, and the key light's share in it [Q]."""
    picture = hits.body // bodies.on.shape[1]
    within = hits.ray - picture * grid.rays
    row = within // grid.columns
    u, v = screen_u(within - row * grid.columns, grid.columns), screen_v(row, grid.rows)
    aim, place = take(eye.aim, picture), take(eye.place, picture)
    point = [place[:, i] + hits.t * (aim[:, i, 0] * u + (aim[:, i, 1] * v + aim[:, i, 2])) for i in range(3)]

    unit, centre, half, offset = (take(t.flatten(0, 1), hits.body) for t in (
        bodies.to_unit, bodies.centre, bodies.half, bodies.offset))
    p = apply(unit, [point[i] - centre[:, i] for i in range(3)])
    n = _normals(bodies, hits, unit, p)
    light, power = take(look.light, picture), take(look.power, picture)
    lambert = [dot(n, light[:, j].unbind(-1)).clamp(min=0) * power[:, j] for j in range(light.shape[1])]
    clear = 1 - _darkness(point, picture, look.light[:, 0], casters)
    key = lambert[0] * clear
    bright = look.ambient.index_select(0, picture) + key + sum(lambert[1:])

    x, y, z = (p[i] * half[:, i] + offset[:, i] for i in range(3))
    kind = bodies.texture.flatten()
    table = [t.flatten() for t in coefficients(bodies.params, bodies.colour)]
    # the texture is solid: it runs obliquely through the body, so that it shows on all its faces
    colour = albedo(table, hits.body, kind[hits.body], present(kind), x + 0.5 * z, y - 0.5 * z)
    shine = _gloss(bodies, eye, look, hits, picture, point, n) * clear
    return [c * bright + shine for c in colour], key / bright


def _paint(canvas: Canvas, bodies: Bodies, casters: Bodies, eye: Eye, look: Look, track: Trajectory, grid: Grid):
    """Draw bodies over the canvas, in place."""
    if not bodies.on.shape[1]:
        return
    hits = _hits(canvas, bodies, eye, look, track, grid)
    if not hits.ray.numel():
        return
    colour, share = _shade(bodies, casters, eye, look, hits, grid)
    for plane, value in zip((*canvas.colour, canvas.share), (*colour, share)):
        plane.view(-1)[hits.ray] = value


def _seen_points(canvas: Canvas, eye: Eye, grid: Grid):
    """What is seen at the pixels' centres: triple of [R,pixels] in the world."""
    mid, (r, _) = grid.ss // 2, canvas.depth.shape
    depth = canvas.depth.view(r, grid.rows, grid.columns)[:, mid::grid.ss, mid::grid.ss]
    dirs = grid_directions(eye, grid, grid.ss)
    return [(eye.place[:, i, None, None] + depth * d).flatten(1) for i, d in enumerate(dirs)]


def _cast_shadows(canvas: Canvas, point, look: Look, casters: Bodies, grid: Grid):
    """Take the key light from what the canvas shows where casters stand in its way: one shadow ray per pixel."""
    if not casters.on.shape[1]:
        return
    dark = _darkness(point, None, look.light[:, 0], casters)
    at = (dark.flatten() > 0).nonzero()[:, 0]
    value = dark.flatten()[at]
    pixels = grid.height * grid.width
    picture, pixel = at // pixels, at % pixels
    first = (picture * grid.rows + pixel // grid.width * grid.ss) * grid.columns + pixel % grid.width * grid.ss
    share = canvas.share.view(-1)
    for dy in range(grid.ss):
        for dx in range(grid.ss):
            ray = first + dy * grid.columns + dx
            lost = share[ray] * value
            for plane in canvas.colour:
                plane.view(-1)[ray] *= 1 - lost
            share[ray] = (share[ray] - lost) / (1 - lost).clamp(min=1e-6)


def _pictures(canvas: Canvas, grid: Grid):
    """Means over each pixel's rays: [3,R,height,width]."""
    out = []
    for plane in canvas.colour:
        p = plane.view(-1, grid.height, grid.ss, grid.columns)
        p = sum(p[:, :, i] for i in range(1, grid.ss)) + p[:, :, 0] if grid.ss > 1 else p[:, :, 0]
        p = p.view(-1, grid.height, grid.width, grid.ss)
        out.append(sum(p[..., i] for i in range(1, grid.ss)) + p[..., 0] if grid.ss > 1 else p[..., 0])
    return torch.stack(out).div_(grid.ss**2)


STILL, SCREENS_MOVE, CAMERA_MOVES = range(3)


def _motion(look: Look, track: Trajectory, together: int):
    """STILL, SCREENS_MOVE or CAMERA_MOVES [B]; alike in each group of `together` videos, so that twins are drawn
    alike."""
    def moves(t):
        return (t != t[:, :1]).flatten(1).any(1)
    camera = moves(track.cam_pos) | moves(track.cam_rot)
    motion = torch.where(camera, CAMERA_MOVES, moves(track.screen * look.screen_on[:, None, :, None]).long())
    return motion.view(-1, together).amax(1).repeat_interleave(together)


def _moments(track: Trajectory, shutter):
    """Trajectories of the moments of one exposure: the objects between their last and this place. Where an object
    came to be otherwise than by moving, its place stays: it is not smeared along a jump."""
    step = track.pos.diff(dim=1, prepend=track.pos[:, :1])
    time = track.time.diff(dim=1, prepend=track.time[:, :1])[..., None]
    speed = track.vel.norm(dim=-1)
    fastest = torch.maximum(speed, torch.cat([speed[:, :1], speed[:, :-1]], 1))
    moved = (step.norm(dim=-1) < 1.5 * fastest * time + 0.1)[..., None]
    back = step * moved * shutter[:, None, None, None]
    return [dataclasses.replace(track, pos=track.pos - back * share) for share in BLUR_STEPS]


def _fixed(look: Look, track: Trajectory, motion: int) -> Bodies:
    """What belongs to the backdrop."""
    parts = [solids(look)] if motion == SCREENS_MOVE else [solids(look), screens(look, track)]
    return Bodies.join(parts).pruned()


def _moving(look: Look, track: Trajectory, motion: int, grid: Grid) -> Bodies:
    """What is drawn in every picture anew."""
    parts = [objects(look, track), strings(look, track, 1 / grid.columns)]
    return Bodies.join(parts + [screens(look, track)] * (motion == SCREENS_MOVE)).pruned()


def _backdrop(look: Look, track: Trajectory, grid: Grid, motion: int):
    """Canvas of room and fixed bodies with their shadows, and what is seen at the pixels' centres: triple of
    [R,pixels]; look and track: one row per picture."""
    eye = Eye.of(track.cam_pos, track.cam_rot, look.cam_tan)
    fixed = _fixed(look, track, motion)
    canvas = room(look, eye, grid)
    _cast_shadows(canvas, _seen_points(canvas, eye, grid), look, fixed, grid)
    _paint(canvas, fixed, fixed, eye, look, track, grid)
    return canvas, _seen_points(canvas, eye, grid)


def _draw(look: Look, track: Trajectory, grid: Grid, motion: int, canvas: Canvas, points):
    """Pictures [3,R,height,width] of rows of look and track over a backdrop of as many rows, which is used up."""
    eye = Eye.of(track.cam_pos, track.cam_rot, look.cam_tan)
    moving = _moving(look, track, motion, grid)
    casters = Bodies.join([moving, _fixed(look, track, motion)])
    _cast_shadows(canvas, points, look, moving, grid)
    _paint(canvas, moving, casters, eye, look, track, grid)
    return _pictures(canvas, grid)


def _block(look: Look, moments: list[Trajectory], grid: Grid, motion: int, seeds, at_once: int):
    """uint8 [V,F,height,width,3] of V videos of one kind of motion; moments: of their exposures, the last one their
    trajectory itself; seeds [V] or None; at_once: frames per step."""
    v, frames = moments[-1].kind.shape[:2]
    if motion != CAMERA_MOVES:
        canvas, points = _backdrop(look, moments[-1].map(lambda t: t[:, 0]), grid, motion)
    out = []
    for start in range(0, frames, at_once):
        f = min(at_once, frames - start)
        rows = look[torch.arange(v, device=look.power.device).repeat_interleave(f)]
        parts = [m.frames(slice(start, start + f)).map(lambda t: t.flatten(0, 1)) for m in moments]
        if motion == CAMERA_MOVES:
            canvas, points = _backdrop(rows, parts[-1], grid, motion)
        times = 1 if motion == CAMERA_MOVES else f
        seen = [p.repeat_interleave(times, 0) for p in points]
        pictures = sum(_draw(rows, part, grid, motion, canvas.map(lambda t, times=times: t.repeat_interleave(times, 0)), seen)
                       for part in parts) / len(parts)
        noise = seeds and [(seeds[i], start + j) for i in range(v) for j in range(f)]
        made = sensor(pictures, rows, parts[-1].time, noise)
        out.append(made.view(v, f, grid.height, grid.width, 3))
    return torch.cat(out, 1)


@torch.no_grad()
def render(look: Look, track: Trajectory, height: int, width: int, generator=None, ss: int = 2, noise_rows: int = 1,
           chunk: int | None = None):
    """Render trajectories to uint8 video [B,F,height,width,3], RGB.

    The camera always sees a 16:9 view: a square picture holds it squashed, as startle's resize does.
    ss: rays per pixel and axis. generator: CPU generator of the sensor noise, None = no noise. noise_rows:
    consecutive videos that share their noise and are drawn alike (2 for twins). chunk: rays cast at once. No video
    depends on the others, but for the noise's seeds.
    """
    b, frames = track.kind.shape[:2]
    device, grid = track.pos.device, Grid(height, width, ss)
    chunk = chunk or (2**21 if device.type == "cpu" else 2**24)
    videos = max(1, chunk // (frames * grid.rays))
    at_once = max(1, chunk // (videos * grid.rays))
    seeds = None
    if generator is not None:
        seeds = [s for s in noise_seeds(b // noise_rows, generator) for _ in range(noise_rows)]
    out = torch.empty(b, frames, height, width, 3, dtype=torch.uint8, device=device)
    group = _motion(look, track, noise_rows) * 2 + (look.shutter > 0)
    for g in torch.unique(group).tolist():
        for rows in (group == g).nonzero()[:, 0].split(videos):
            part = track[rows]
            moments = _moments(part, look.shutter[rows]) if g % 2 else [part]
            noise = seeds and [seeds[i] for i in rows.tolist()]
            out[rows] = _block(look[rows], moments, grid, g // 2, noise, at_once)
    return out
