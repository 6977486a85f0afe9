"""Procedural 3-D worlds: lawful video for training, and violations of physics for testing.

Everything is batched PyTorch: one call makes B videos. Units: lengths in world units (the view is
about 8 units wide where the objects are), seconds, world axes x right, y up, z away from the camera.
"""

from .physics import Edit, Trajectory, simulate
from .render import project, render
from .scene import Scene, SceneSpec, sample_scenes
from .violations import VIOLATIONS, Pairs, render_pairs, sample_pairs, visibility

__all__ = [
    "VIOLATIONS", "Edit", "Pairs", "Scene", "SceneSpec", "Trajectory", "lawful_video", "project",
    "render", "render_pairs", "sample_pairs", "sample_scenes", "simulate", "visibility",
]


def lawful_video(batch, frames, fps, height, width, generator, spec=None, device="cpu"):
    """Lawful video, uint8 [batch, frames, height, width, 3], sampled with a CPU torch.Generator."""
    scene = sample_scenes(batch, frames / fps, generator, spec).to(device)
    track = simulate(scene, frames, fps)
    return render(scene, track, height, width, generator)
