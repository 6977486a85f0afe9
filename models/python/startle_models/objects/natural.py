"""Real footage of fixed cameras: shots, and what in them differs from the background.

    python -m startle_models.objects.natural FOOTAGE      prints the files of the shots to learn from, one a line
"""

from __future__ import annotations

import csv
import pathlib

import av
import numpy as np
from scipy import ndimage

from .labels import SIDE

FPS = 10.0
DIFFERENT = 0.11  # from the background, grey levels in [0,1], at least
TEST_SOURCES = ("sam2", "opencv", "balls", "class", "kwiver", "zamba", "mdn", "lpose")  # never trained on


def shots(folder):
    """Name and file of each shot of a fixed camera in real time or assumed to be; manifest.csv says which."""
    folder = pathlib.Path(folder)
    with (folder / "manifest.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["camera"] == "fixed" and "lapse" not in r["realtime"]]
    return [(r["name"], folder / r["name"]) for r in rows]


def is_test(name: str) -> bool:
    """Whether a shot's source is kept for tests."""
    return name.split("_")[0] in TEST_SOURCES


def load(file, side: int | None = SIDE, fps: float = FPS):
    """uint8 [F,H,W,3] at `fps`: the latest picture at or before each tick; squashed into a square unless side is None."""
    frames, times = [], []
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            size = {} if side is None else {"width": side, "height": side, "interpolation": "AREA"}
            frames.append(frame.reformat(format="rgb24", **size).to_ndarray())
            times.append(frame.time)
    times = np.array(times) - times[0]
    ticks = np.arange(0, times[-1] + 1e-6, 1 / fps)
    return np.stack(frames)[np.searchsorted(times, ticks + 1e-4, "right") - 1]


def background(video):
    """Median picture [H,W,3] float in [0,1]."""
    step = max(1, len(video) // 60)
    return np.median(video[::step], 0).astype(np.float32) / 255


def masks(video, empty):
    """bool [F,H,W]: what differs from the background by more than noise does."""
    x = np.abs(video.astype(np.float32) / 255 - empty).max(-1)
    noise = np.median(x, 0)
    side = video.shape[2]
    x = ndimage.gaussian_filter(x, (0, 0.006 * side, 0.006 * side))
    out = x > np.maximum(DIFFERENT, 4 * noise)
    out = ndimage.binary_closing(out, np.ones((1, 3, 3)))
    return ndimage.binary_opening(out, np.ones((1, 3, 3)))


if __name__ == "__main__":
    import sys
    print(*(file for name, file in shots(sys.argv[1]) if not is_test(name)), sep="\n")
