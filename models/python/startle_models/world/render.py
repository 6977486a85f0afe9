"""Analytic ray casting of scenes: perspective, Lambert shading, cast shadows, screens, sensor.

The still background is cast once per video; moving objects are cast in small windows around their
projections, their shadows by a ray from each background point to the key light.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .physics import Trajectory
from .scene import BOX, CHECKER, NOISE, SPHERE, STRIPES, Scene

FAR = 1e6


def _rays(scene: Scene, px, py, height, width):
    """Unit ray directions in world axes at pixel coordinates px, py [B,...] (pixel i spans [i, i+1])."""
    shape = (-1,) + (1,) * (px.dim() - 1)
    u = (px / width * 2 - 1) * scene.cam_tan[:, 0].view(shape)
    v = (1 - py / height * 2) * scene.cam_tan[:, 1].view(shape)
    norm = (u * u + v * v + 1).rsqrt()
    rot = scene.cam_rot
    axes = [rot[:, i, 0].view(shape) * u + rot[:, i, 1].view(shape) * v + rot[:, i, 2].view(shape) for i in range(3)]
    return [a * norm for a in axes]


def _hash(ix, iy):
    """Lattice noise in [0, 1)."""
    h = torch.sin(ix * 12.9898 + iy * 78.233) * 43758.5453
    return h - torch.floor(h)


def _value_noise(u, v):
    iu, iv = torch.floor(u), torch.floor(v)
    fu, fv = u - iu, v - iv
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    top = _hash(iu, iv) * (1 - fu) + _hash(iu + 1, iv) * fu
    bottom = _hash(iu, iv + 1) * (1 - fu) + _hash(iu + 1, iv + 1) * fu
    return top * (1 - fv) + bottom * fv


def _texture(kind, colour, params, u, v):
    """Albedo [B,P,3] of a surface with plane coordinates u, v [B,P]."""
    scale, angle, ou, ov = (params[:, i, None] for i in range(4))
    a = (u * angle.cos() + v * angle.sin()) * scale + ou
    b = (v * angle.cos() - u * angle.sin()) * scale + ov
    kind = kind[:, None]
    checker = ((torch.floor(a) + torch.floor(b)) % 2)
    stripes = (torch.sin(a * math.pi) * 4).clamp(-1, 1) * 0.5 + 0.5
    noise = 0.65 * _value_noise(a * 1.3, b * 1.3) + 0.35 * _value_noise(a * 3.1 + 7, b * 3.1 + 3)
    w = torch.zeros_like(a)
    for k, t in ((CHECKER, checker), (STRIPES, stripes), (NOISE, noise)):
        w = torch.where(kind == k, t, w)
    return colour[:, None, 0] * (1 - w[..., None]) + colour[:, None, 1] * w[..., None]


def _background(scene: Scene, height: int, width: int, ss: int):
    """Colour [B,H,W,3] (mean of ss x ss rays), depth per ray [B,H*ss,W*ss], and at pixel centres the
    hit points [B,H,W,3] and the share of the key light in the surface's brightness [B,H,W]."""
    b, dev = len(scene), scene.kind.device
    hh, ww = height * ss, width * ss
    rows, columns = (torch.arange(hh, device=dev) + 0.5) / ss, (torch.arange(ww, device=dev) + 0.5) / ss
    py, px = torch.meshgrid(rows, columns, indexing="ij")
    px, py = px.reshape(1, -1).expand(b, -1), py.reshape(1, -1).expand(b, -1)
    dx, dy, dz = _rays(scene, px, py, height, width)
    ox, oy, oz = (scene.cam_pos[:, i, None] for i in range(3))
    t_floor = torch.where(dy < -1e-4, -oy / dy.clamp(max=-1e-4), FAR)
    t_wall = (scene.wall_z[:, None] - oz) / dz.clamp(min=1e-4)
    floor = t_floor < t_wall
    t = torch.where(floor, t_floor, t_wall)
    x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
    albedo = torch.where(
        floor[..., None],
        _texture(scene.floor_kind, scene.floor_colour, scene.floor_params, x, z),
        _texture(scene.wall_kind, scene.wall_colour, scene.wall_params, x, y) * (1.0 - 0.03 * y.clamp(0, 8))[..., None],
    )
    up, back = scene.light[..., 1], -scene.light[..., 2]
    key = torch.where(floor, up[:, :1], back[:, :1].clamp(min=0)) * scene.power[:, :1]
    fill = torch.where(floor, up[:, 1:], back[:, 1:].clamp(min=0)) * scene.power[:, 1:]
    for k in range(scene.screen_on.shape[1]):
        sx, sz, hw, sh = (scene.screen_box[:, k, i, None] for i in range(4))
        ts = (sz - oz) / dz.clamp(min=1e-4)
        hx, hy = ox + ts * dx, oy + ts * dy
        hit = scene.screen_on[:, k, None] & ((hx - sx).abs() < hw) & (hy < sh) & (hy >= 0) & (ts < t)
        t = torch.where(hit, ts, t)
        albedo = torch.where(hit[..., None], scene.screen_colour[:, k, None], albedo)
        key = torch.where(hit, back[:, :1].clamp(min=0) * scene.power[:, :1], key)
        fill = torch.where(hit, back[:, 1:].clamp(min=0) * scene.power[:, 1:], fill)
    light = scene.ambient[:, None] + key + fill
    colour = (albedo * light[..., None]).reshape(b, height, ss, width, ss, 3).mean((2, 4))
    share = (key / light).reshape(b, height, ss, width, ss).mean((2, 4))
    mid = ss // 2
    point = torch.stack([ox + t * dx, oy + t * dy, oz + t * dz], -1).reshape(b, hh, ww, 3)
    return colour, t.reshape(b, hh, ww), point[:, mid::ss, mid::ss], share


def _local(vec, yaw):
    """Rotate x, z components by -yaw (object axes)."""
    c, s = yaw.cos(), yaw.sin()
    return c * vec[0] - s * vec[2], vec[1], s * vec[0] + c * vec[2]


def _slabs(o, d, half):
    """Entry and exit distance of rays against boxes centred at the origin."""
    near, far = None, None
    for i in range(3):
        inv = 1.0 / torch.where(d[i].abs() < 1e-6, torch.full_like(d[i], 1e-6), d[i])
        a, b = (-half[i] - o[i]) * inv, (half[i] - o[i]) * inv
        lo, hi = torch.minimum(a, b), torch.maximum(a, b)
        near = lo if near is None else torch.maximum(near, lo)
        far = hi if far is None else torch.minimum(far, hi)
    return near, far


def _shadow(scene: Scene, track: Trajectory, point):
    """Share of the key light blocked at background points [B,H,W,3], per frame: [B,F,H*W]."""
    b, f, n = track.kind.shape
    p = point.reshape(b, 1, -1, 3)
    light = [scene.light[:, 0, i].view(b, 1, 1) for i in range(3)]
    clear = torch.ones(b, f, p.shape[2], device=p.device)
    for k in range(n):
        on = track.active[:, :, k]
        if not bool(on.any()):
            continue
        oc = [track.pos[:, :, k, i, None] - p[..., i] for i in range(3)]
        radius = track.half[:, :, k, 0, None]
        along = oc[0] * light[0] + oc[1] * light[1] + oc[2] * light[2]
        dist2 = (oc[0] ** 2 + oc[1] ** 2 + oc[2] ** 2 - along ** 2).clamp(min=0)
        dark = ((radius - dist2.sqrt()) / 0.12 + 0.5).clamp(0, 1)
        if bool((track.kind[:, :, k] == BOX).any()):
            yaw = scene.yaw[:, k].view(b, 1, 1)
            o = _local([-c for c in oc], yaw)
            d = _local([c.expand_as(oc[0]) for c in light], yaw)
            near, far = _slabs(o, d, [track.half[:, :, k, i, None] for i in range(3)])
            box = ((far - near.clamp(min=0)) / 0.15).clamp(0, 1)
            dark = torch.where((track.kind[:, :, k] == BOX)[..., None], box, dark)
        dark = dark * (along > 0) * on[..., None]
        clear = clear * (1 - dark)
    return 1 - clear


def project(scene: Scene, track: Trajectory, height: int, width: int):
    """Centre x, y and half width, half height in pixels of every object's bounding box: four [B,F,N]."""
    rel = track.pos - scene.cam_pos[:, None, None]
    cam = torch.einsum("bfni,bij->bfnj", rel, scene.cam_rot)
    z = cam[..., 2].clamp(min=1.0)
    tx, ty = (scene.cam_tan[:, i, None, None] for i in range(2))
    sphere = track.kind == SPHERE
    rx = torch.where(sphere, track.half[..., 0], track.half[..., [0, 2]].norm(dim=-1)) * 1.06
    # a box seen from above also shows its top
    ry = torch.where(sphere, track.half[..., 0], track.half[..., 1] + 0.35 * track.half[..., 2]) * 1.06
    x = (cam[..., 0] / z / tx + 1) * 0.5 * width
    y = (1 - cam[..., 1] / z / ty) * 0.5 * height
    return x, y, rx / z / tx * 0.5 * width, ry / z / ty * 0.5 * height


def _windows(scene: Scene, track: Trajectory, k: int, height: int, width: int):
    """Window origins x0, y0 [B,F] and a common size (w, h) that holds object k's projection."""
    cx, cy, rx, ry = (v[..., k] for v in project(scene, track, height, width))
    rx, ry = rx * 1.15, ry * 1.15  # perspective stretches towards the corners
    seen = track.active[:, :, k] & (cx + rx > 0) & (cx - rx < width) & (cy + ry > 0) & (cy - ry < height)
    if not bool(seen.any()):
        return None
    w = min(width, int(math.ceil(float((rx * seen).max()) * 2)) + 2)
    h = min(height, int(math.ceil(float((ry * seen).max()) * 2)) + 2)
    x0 = torch.floor(cx - w / 2).clamp(0, width - w).long()
    y0 = torch.floor(cy - h / 2).clamp(0, height - h).long()
    return x0, y0, w, h, seen


def _object(scene: Scene, track: Trajectory, k: int, px, py, depth, height, width):
    """Coverage [B,F,P] and colour [B,F,P,3] of object k at rays px, py [B,F,P]; depth: background."""
    dirs = _rays(scene, px, py, height, width)
    cam = [scene.cam_pos[:, i].view(-1, 1, 1) for i in range(3)]
    rel = [cam[i] - track.pos[:, :, k, i, None] for i in range(3)]
    radius = track.half[:, :, k, 0, None]
    bq = rel[0] * dirs[0] + rel[1] * dirs[1] + rel[2] * dirs[2]
    disc = bq * bq - (rel[0] ** 2 + rel[1] ** 2 + rel[2] ** 2 - radius ** 2)
    t = -bq - disc.clamp(min=0).sqrt()
    hit = disc > 0
    normal = [(rel[i] + t * dirs[i]) / radius for i in range(3)]
    roll = track.roll[:, :, k, None]
    band = normal[0] * roll.cos() + normal[1] * roll.sin()  # turns with the rolling sphere
    box = (track.kind[:, :, k] == BOX)[..., None]
    if bool(box.any()):
        yaw = scene.yaw[:, k].view(-1, 1, 1)
        half = [track.half[:, :, k, i, None] for i in range(3)]
        o, d = _local([r.expand_as(t) for r in rel], yaw), _local(dirs, yaw)
        near, far = _slabs(o, d, half)
        at = [(o[i] + near * d[i]) / half[i] for i in range(3)]
        face = torch.stack([a.abs() for a in at], -1).argmax(-1)
        local = [torch.where(face == i, at[i].sign(), torch.zeros_like(near)) for i in range(3)]
        back = _local(local, -yaw)
        hit = torch.where(box, (far > near) & (near > 0), hit)
        t = torch.where(box, near, t)
        normal = [torch.where(box, back[i], normal[i]) for i in range(3)]
        band = torch.where(box, at[1], band)
    bright = scene.ambient.view(-1, 1, 1).expand_as(t).clone()
    for j in range(2):
        lam = sum(normal[i] * scene.light[:, j, i].view(-1, 1, 1) for i in range(3)).clamp(min=0)
        bright += lam * scene.power[:, j].view(-1, 1, 1)
    pattern = scene.pattern[:, k].view(-1, 1, 1)
    stripes = (torch.sin(band * pattern * math.pi) * 6).clamp(-1, 1) * 0.5 + 0.5
    mix = torch.where(pattern > 0, stripes, torch.zeros_like(t))
    colour = track.colour[:, :, None, k, 0] * (1 - mix[..., None]) + track.colour[:, :, None, k, 1] * mix[..., None]
    return (hit & (t < depth)).float(), colour * bright[..., None]


def _draw(image, scene, track, k, depth, ss, height, width):
    """Composite object k over image [B,F,H*W,3] in place."""
    found = _windows(scene, track, k, height, width)
    if found is None:
        return
    x0, y0, w, h, seen = found
    b, f = x0.shape
    dev = image.device
    iy, ix = torch.meshgrid(torch.arange(h, device=dev), torch.arange(w, device=dev), indexing="ij")
    pix_x, pix_y = x0[..., None] + ix.reshape(1, 1, -1), y0[..., None] + iy.reshape(1, 1, -1)
    index = (pix_y * width + pix_x)
    alpha = torch.zeros(b, f, h * w, device=dev)
    colour = torch.zeros(b, f, h * w, 3, device=dev)
    flat = depth.reshape(b, -1)
    for sy in range(ss):
        for sx in range(ss):
            ray = (pix_y * ss + sy) * (width * ss) + pix_x * ss + sx
            d = flat.gather(1, ray.reshape(b, -1)).reshape(b, f, -1)
            px, py = pix_x + (sx + 0.5) / ss, pix_y + (sy + 0.5) / ss
            cov, col = _object(scene, track, k, px, py, d, height, width)
            alpha += cov
            colour += col * cov[..., None]
    alpha, colour = alpha / ss**2 * seen[..., None], colour / ss**2 * seen[..., None, None]
    index3 = index[..., None].expand(-1, -1, -1, 3)
    image.scatter_(2, index3, image.gather(2, index3) * (1 - alpha[..., None]) + colour)


def _sensor(image, scene: Scene, fps: float, generator, start: int, noise_rows):
    """Exposure drift, slight blur, noise and quantisation: uint8 [B,F,H,W,3]."""
    b, f, h, w, _ = image.shape
    t = (torch.arange(f, device=image.device) + start) / fps
    phase = 2 * math.pi * scene.gain_freq[:, None] * t + scene.gain_phase[:, None]
    image = image * (1 + scene.gain_amp[:, None] * torch.sin(phase)).view(b, f, 1, 1, 1)
    a = scene.blur.view(b, 1, 1, 1, 1)
    for dim in (2, 3):
        n = image.shape[dim]
        first, last = image.narrow(dim, 0, 1), image.narrow(dim, n - 1, 1)
        before = torch.cat([first, image.narrow(dim, 0, n - 1)], dim)
        after = torch.cat([image.narrow(dim, 1, n - 1), last], dim)
        image = image * (1 - 2 * a) + (before + after) * a
    if generator is not None:
        # one draw per group of `noise_rows` equal videos keeps twins identical before the onset
        noise = torch.randn(b // noise_rows, f, h, w, 3, generator=generator).to(image.device)
        image = image + noise.repeat_interleave(noise_rows, 0) * scene.noise.view(b, 1, 1, 1, 1)
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


@torch.no_grad()
def render(scene: Scene, track: Trajectory, height: int, width: int, generator=None, ss: int = 2,
           chunk: int = 64, noise_rows: int = 1):
    """Render trajectories to uint8 video [B,F,height,width,3], RGB.

    The camera always sees a 16:9 view: a square picture holds it squashed, as startle's resize does.
    ss: rays per pixel and axis. generator: CPU generator of the sensor noise, None = no noise.
    noise_rows: consecutive videos that share their noise (2 for twins).
    """
    b, frames, n = track.kind.shape
    colour, depth, point, share = _background(scene, height, width, ss)
    perm = scene.pos[..., 2].argsort(-1, descending=True)
    scene, track = _reorder(scene, track, perm)
    out = []
    for s in range(0, frames, chunk):
        part = track.frames(slice(s, min(frames, s + chunk)))
        f = part.kind.shape[1]
        dark = _shadow(scene, part, point) * share.reshape(b, 1, -1)
        image = colour.reshape(b, 1, -1, 3) * (1 - dark)[..., None]
        for k in range(n):
            _draw(image, scene, part, k, depth, ss, height, width)
        out.append(_sensor(image.reshape(b, f, height, width, 3), scene, track.fps, generator, s, noise_rows))
    return torch.cat(out, 1)


def _reorder(scene: Scene, track: Trajectory, perm):
    """Sort objects far to near (for compositing), per scene."""
    def take(x, dim):
        index = perm.view(perm.shape[0], *([1] * (dim - 1)), -1, *([1] * (x.dim() - dim - 1)))
        return x.gather(dim, index.expand(*x.shape[:dim], -1, *x.shape[dim + 1:]))
    scene = scene.clone()
    scene.yaw, scene.pattern = take(scene.yaw, 1), take(scene.pattern, 1)
    names = ("pos", "vel", "roll", "active", "kind", "half", "colour")
    return scene, Trajectory(*(take(getattr(track, n), 2) for n in names), track.fps)
