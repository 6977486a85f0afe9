"""Procedural 3-D worlds: lawful video for training, and violations of physics for testing.

Everything is batched PyTorch: one call makes B videos. Units: lengths in world units (the view is
about 8 units wide where the objects are), seconds, world axes x right, y up, z away from the camera.
"""

import torch

from .controls import sample_controls
from .events import events
from .pairs import Pairs, render_pairs, sample_pairs
from .physics import Edit, simulate
from .render import project, render, visibility
from .scene import VARIED, Scene, SceneSpec, sample_scenes
from .state import Look, Trajectory
from .violations import ADDS_MOTION, HIDDEN, KEPT_BACK, NEUTRAL, REMOVES_MOTION, VIOLATIONS

__all__ = [
    "ADDS_MOTION", "HIDDEN", "KEPT_BACK", "NEUTRAL", "REMOVES_MOTION", "VIOLATIONS", "Edit", "Look", "Pairs", "Scene",
    "SceneSpec", "Trajectory", "VARIED", "events", "frame_times", "lawful_video",
    "lawful_video_with_events", "project", "render", "render_pairs", "sample_controls",
    "sample_pairs", "sample_scenes", "simulate", "visibility",
]


def frame_times(frames, fps, source_fps=None):
    """Times [frames] in s, float64, of a model clock at `fps` that takes the latest frame of a source at
    `source_fps` at or before each of its own times (None: the very moments)."""
    times = torch.arange(frames, dtype=torch.float64) / fps
    return times if source_fps is None else (times * source_fps + 1e-6).floor() / source_fps


def _film(batch, frames, fps, height, width, generator, spec, source_fps, device):
    scene = sample_scenes(batch, frames / fps, generator, spec).to(device)
    track = simulate(scene, frame_times(frames, fps, source_fps))
    return scene.look, track, render(scene.look, track, height, width, generator)


def lawful_video(batch, frames, fps, height, width, generator, spec=None, source_fps=None, device="cpu"):
    """Lawful video, uint8 [batch, frames, height, width, 3], sampled with a CPU torch.Generator."""
    return _film(batch, frames, fps, height, width, generator, spec, source_fps, device)[2]


def lawful_video_with_events(batch, frames, fps, height, width, generator, spec=None, source_fps=None, device="cpu"):
    """lawful_video and the frames [batch, frames, 2] bool at which something happens (see events)."""
    look, track, video = _film(batch, frames, fps, height, width, generator, spec, source_fps, device)
    return video, events(look, track)
