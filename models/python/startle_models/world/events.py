"""Moments of lawful video at which something happens that has to be understood: contacts, and what comes into view."""

from __future__ import annotations

import torch

from .state import Look, Trajectory
from .view import visibility

JERK = 2.5  # change of acceleration, units/s^2: leaving a ledge is one of the gravity's size, a bounce a larger one


def events(look: Look, track: Trajectory):
    """[B,F,2] bool: frames at which an object comes out from behind something; and at which one changes how it moves
    (impact, bounce, start of a fall) in view."""
    seen, inside = visibility(look, track)
    seen = seen * track.active
    emerges, turns = torch.zeros_like(seen, dtype=torch.bool), torch.zeros_like(seen, dtype=torch.bool)
    emerges[:, 1:] = (seen[:, :-1] == 0) & (seen[:, 1:] > 0) & (inside[:, :-1] > 0.99)
    step = track.time.diff(dim=1).clamp(min=1e-3)[..., None, None]
    pull = track.vel.diff(dim=1) / step
    jerk = pull.diff(dim=1).norm(dim=-1) > JERK
    turns[:, 2:] = jerk & (seen[:, 2:] > 0.5)
    return torch.stack([emerges.any(-1), turns.any(-1)], -1)
