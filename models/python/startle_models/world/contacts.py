"""Impacts between objects: impulses that keep momentum, with restitution."""

from __future__ import annotations

import torch

from .shapes import mass, width
from .state import SPHERE


class Contacts:
    """The pairs of objects that may touch. Objects count as spheres of radius `width` in the air; on the ground they
    touch with their sides."""

    def __init__(self, scene):
        self.width = width(scene).double()
        i, j = scene.collide.any(0).nonzero().T
        self.i, self.j = i, j
        if not len(i):
            return
        self.mass, self.e = mass(scene).double(), scene.restitution.double()
        self.on = scene.collide[:, i, j] & scene.active[:, i] & scene.active[:, j]
        a, h = self.width, scene.half[..., 1].double()
        both_round = (scene.kind[:, i] == SPHERE) & (scene.kind[:, j] == SPHERE)
        self.apart = a[:, i] + a[:, j]
        beside = (self.apart**2 - (h[:, i] - h[:, j]) ** 2).clamp(min=0).sqrt()
        self.apart_on_ground = torch.where(both_round, beside, self.apart)

    def resolve(self, m):
        """Impulses between the objects of the Motion m that touch and approach each other."""
        if not len(self.i):
            return
        i, j = self.i, self.j
        level = m.ground[:, i] & m.ground[:, j]
        dx, dy = m.x[:, j] - m.x[:, i], m.y[:, j] - m.y[:, i]
        dy = torch.where(level, 0.0, dy)
        distance = (dx * dx + dy * dy).sqrt().clamp(min=1e-9)
        nx, ny = dx / distance, dy / distance
        rate = (m.w[:, j] - m.w[:, i]) * nx + (m.v[:, j] - m.v[:, i]) * ny * ~level
        deep = torch.where(level, self.apart_on_ground, self.apart) - distance
        touch = self.on & (deep > 0) & (rate < 0)
        if not bool(touch.any()):
            return
        mi, mj = self.mass[:, i], self.mass[:, j]
        e = torch.minimum(self.e[:, i], self.e[:, j])
        impulse = torch.where(touch, -(1 + e) * rate / (1 / mi + 1 / mj), 0.0)
        since = torch.where(touch, deep / -rate.clamp(max=-1e-9), 0.0).clamp(max=m.dt)
        before = m.v
        for k, sign, heavy in ((i, -1, mi), (j, 1, mj)):
            dw, dv = sign * impulse * nx / heavy, sign * impulse * ny / heavy
            m.w, m.v = m.w.index_add(1, k, dw), m.v.index_add(1, k, dv)
            m.x, m.y = m.x.index_add(1, k, dw * since), m.y.index_add(1, k, dv * since)
        m.ground = m.ground & (m.v <= before + 1e-9)
        m.v = torch.where(m.ground, m.slope * m.w, m.v)
