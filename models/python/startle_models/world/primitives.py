"""Intersection of rays with unit primitives, and their normals.

All primitives fill [-1, 1] on each axis of their own frame: the unit sphere, the cube, a cylinder and a cone
along y (apex at y = 1), and a wedge that rises from y = -1 at x = -1 to y = 1 at x = 1. Rays are o + t d with
d of any length, so t means the same in every affine frame. Points and directions are triples of tensors.
"""

from __future__ import annotations

import torch

from .state import BOX, CONE, CYLINDER, SPHERE

WEDGE = 100
KINDS = (SPHERE, BOX, CYLINDER, CONE, WEDGE)
TINY = 1e-9


def dot(a, b):
    """Scalar product of triples."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def apply(matrix, v):
    """matrix [...,3,3] times the triple v: a triple. Written out, so that it rounds alike in every batch."""
    return [matrix[..., i, 0] * v[0] + matrix[..., i, 1] * v[1] + matrix[..., i, 2] * v[2] for i in range(3)]


def take(t, index):
    """Rows of t [I,...] at index [Q]: [Q,...], with the rows' components each laid out in one piece."""
    columns = t.reshape(t.shape[0], -1).T.contiguous()
    out = torch.empty(columns.shape[0], index.shape[0], dtype=t.dtype, device=t.device)
    for column, place in zip(columns, out):
        torch.index_select(column, 0, index, out=place)
    return out.view(*t.shape[1:], -1).movedim(-1, 0)


def _roots(a, b, c):
    """Smaller and larger root of a t^2 + 2 b t + c for a > 0; (inf, -inf) where there is none."""
    disc = b * b - a * c
    root = disc.clamp(min=0).sqrt()
    miss = (disc <= 0).to(a.dtype) * 1e9
    inv = 1 / a
    return (-b - root) * inv + miss, (root - b) * inv - miss


def _slab(o, d, low=-1.0, high=1.0):
    """Where o + t d lies within [low, high]."""
    inv = 1 / (d + TINY)
    p, q = (low - o) * inv, (high - o) * inv
    return torch.minimum(p, q), torch.maximum(p, q)


def _both(a, b):
    """Intersection of two intervals."""
    return torch.maximum(a[0], b[0]), torch.minimum(a[1], b[1])


def _sphere(o, d):
    return _roots(dot(d, d), dot(o, d), dot(o, o) - 1)


def _box(o, d):
    return _both(_both(_slab(o[0], d[0]), _slab(o[1], d[1])), _slab(o[2], d[2]))


def _cylinder(o, d):
    side = _roots(d[0] * d[0] + d[2] * d[2] + TINY, o[0] * d[0] + o[2] * d[2], o[0] * o[0] + o[2] * o[2] - 1)
    return _both(side, _slab(o[1], d[1]))


def _cone(o, d):
    """x^2 + z^2 < ((1 - y) / 2)^2: only the part below the apex lies within the slab."""
    oy, dy = (1 - o[1]) * 0.5, d[1] * -0.5
    a = d[0] * d[0] + d[2] * d[2] - dy * dy
    b = o[0] * d[0] + o[2] * d[2] - oy * dy
    c = o[0] * o[0] + o[2] * o[2] - oy * oy
    steep = a < 0
    low, high = _roots(torch.where(a.abs() < TINY, TINY, a), b, c)
    # a steep ray is within the double cone outside its roots: in the lower half above the root that it reaches last
    # when it falls, below the root that it leaves first when it rises; there `low` is the larger root
    big = torch.full_like(a, 1e9)
    first, last = torch.minimum(low, high), torch.maximum(low, high)
    falls = dy > 0
    low = torch.where(steep, torch.where(falls, last, -big), low)
    high = torch.where(steep, torch.where(falls, big, first), high)
    return _both((low, high), _slab(o[1], d[1]))


def _wedge(o, d):
    near, far = _box(o, d)
    height, slope = o[1] - o[0], d[1] - d[0]
    t = -height / (slope + TINY)
    # within the half-space height + t slope <= 0
    enters = (slope < 0).to(t.dtype) * 2e9 - 1e9
    return torch.maximum(near, torch.minimum(t, enters)), torch.minimum(far, torch.maximum(t, enters))


_INTERVAL = {SPHERE: _sphere, BOX: _box, CYLINDER: _cylinder, CONE: _cone, WEDGE: _wedge}


def interval(kind: int, o, d):
    """Entry and exit of rays: (near, far), near >= far where a ray misses."""
    return _INTERVAL[kind](o, d)


def _axis(p, axis: int):
    return [torch.sign(p[i]) if i == axis else torch.zeros_like(p[i]) for i in range(3)]


def _pick(mask, a, b):
    return [torch.where(mask, x, y) for x, y in zip(a, b)]


def normal(kind: int, p):
    """Outward normal (any length) in the unit frame at surface points p."""
    x, y, z = p
    if kind == SPHERE:
        return p
    zero = torch.zeros_like(x)
    if kind == CYLINDER:
        return _pick(x * x + z * z > y * y, [x, zero, z], _axis(p, 1))
    if kind == CONE:
        radius = (x * x + z * z).sqrt()
        return _pick(y > -0.9999, [x, radius * 0.5, z], _axis(p, 1))
    ax, ay, az = x.abs(), y.abs(), z.abs()
    face = _pick((ay >= ax) & (ay >= az), _axis(p, 1), _pick(ax >= az, _axis(p, 0), _axis(p, 2)))
    if kind == WEDGE:
        one = torch.ones_like(x)
        slope = (y - x).abs() < torch.minimum(torch.minimum(1 - az, 1 + y), 1 - x).clamp(min=1e-3)
        return _pick(slope, [-one, one, zero], face)
    return face
