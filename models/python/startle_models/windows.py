"""Windows on which a reduced precision is compared with float32: from video files, or drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import reference


class WindowsError(ValueError):
    """Files that do not give the windows that were asked for."""


def moving_windows(manifest: dict[str, Any], count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` windows uint8 [T, crop, crop, 3]: discs and squares that fly over cloudy grounds.

    Speed, size, number, contrast and noise differ, and in every second window a thing vanishes or jumps, so that
    windows differ in surprise.
    """
    frames, side = manifest["clip"]["frames_per_clip"], manifest["clip"]["crop_size"]
    for index in range(count):
        yield _moving_window(np.random.default_rng([seed, index]), frames, side, eventful=index % 2 == 1)


def _moving_window(rng: np.random.Generator, frames: int, side: int, eventful: bool) -> np.ndarray:
    from PIL import Image

    clouds = rng.integers(0, 256, (rng.integers(2, 9), rng.integers(2, 9), 3), dtype=np.uint8)
    ground = np.asarray(Image.fromarray(clouds).resize((side, side), Image.Resampling.BILINEAR), np.float32)
    ground = 128 + (ground - 128) * rng.uniform(0.1, 1.0)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    things = rng.integers(1, 5)
    place, speed = rng.uniform(0.1, 0.9, (things, 2)), rng.normal(0, rng.uniform(0, 0.08), (things, 2))
    size, round_ = rng.uniform(0.05, 0.25, things), rng.random(things) < 0.5
    colour, noise = rng.uniform(0, 255, (things, 3)), rng.choice([0.0, 4.0])
    when, vanishes = rng.integers(frames // 4, frames), rng.random() < 0.5
    pictures = []
    for n in range(frames):
        picture = ground.copy()
        for i in range(things):
            here = place[i] + n * speed[i]
            if eventful and i == 0 and n >= when:
                here = here + (9.0 if vanishes else 0.4)
            dx, dy = x - here[0], y - here[1]
            inside = dx**2 + dy**2 < size[i] ** 2 if round_[i] else np.maximum(abs(dx), abs(dy)) < size[i]
            picture[inside] = colour[i]
        picture += rng.normal(0, noise, picture.shape) if noise else 0.0
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return np.stack(pictures)


def video_windows(manifest: dict[str, Any], files: list[Path], count: int) -> Iterator[np.ndarray]:
    """`count` windows uint8 [T, crop, crop, 3] from video files, as many from each as divide best, evenly placed.

    Frames are taken at the model's rate by presentation time. A file that is too short, or one too few of them, is an
    error.
    """
    clip, pre = manifest["clip"], manifest["preprocess"]
    sizes = {"crop_size": clip["crop_size"], "resize": pre["resize"], "resize_size": pre["resize_size"]}
    frames = clip["frames_per_clip"]
    for index, path in enumerate(files):
        share = count * (index + 1) // len(files) - count * index // len(files)
        if share == 0:
            continue
        pictures = [reference.preprocess(p, **sizes) for p in _frames_at(path, clip["model_fps"])]
        last = len(pictures) - frames
        if last < share - 1:
            raise WindowsError(f"{path}: {len(pictures)} frames at {clip['model_fps']:g} per second are too few for "
                             f"{share} windows of {frames}; give more or longer --clips")  # fmt: skip
        for k in range(share):
            start = last * k // max(1, share - 1)
            yield np.stack(pictures[start : start + frames])


def _frames_at(path: Path, fps: float) -> Iterator[np.ndarray]:
    """RGB pictures uint8 [H, W, 3] of a file, the first one at or after each tick of 1/fps seconds."""
    import av

    with av.open(str(path)) as container:
        first, tick = None, 0
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            if frame.time - first + 1e-6 >= tick / fps:
                yield frame.to_ndarray(format="rgb24")
                tick += 1
