"""Real footage of fixed cameras: what differs from the background that runs along is a thing (pseudo-labels)."""

from __future__ import annotations

import csv
import pathlib

import av
import numpy as np
import torch
from scipy import ndimage

from .labels import ATTRIBUTES, SHAPES, SIDE
from ..world.state import N_OBJECTS

FPS = 10.0
SHORTEST = 16  # pictures of a shot that is used
DIFFERENT = 0.11  # from the background, grey levels in [0,1], at least
SMALLEST, LARGEST = 0.0025, 0.3  # area of a thing, share of the picture
UNKNOWN_NEAR = 0.5
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


def things(video, mask, most: int = N_OBJECTS):
    """things [F,most,14] as labels.Labels has them; nearness and shape unknown."""
    f, h, w = mask.shape
    out = np.zeros((f, most, ATTRIBUTES), np.float32)
    for t in range(f):
        label, count = ndimage.label(mask[t])
        if not count:
            continue
        area = np.bincount(label.ravel(), minlength=count + 1)[1:] / (h * w)
        boxes = ndimage.find_objects(label)
        order = [i for i in np.argsort(-area) if area[i] > SMALLEST / 3][:most]
        for slot, i in enumerate(order):
            rows, columns = boxes[i]
            state = 1.0 if SMALLEST < area[i] < LARGEST else 0.5
            colour = video[t][label == i + 1].mean(0) / 255 - 0.5
            out[t, slot] = [
                state, 1.0, (columns.start + columns.stop) / 2 / w, (rows.start + rows.stop) / 2 / h,
                (columns.stop - columns.start) / 2 / w, (rows.stop - rows.start) / 2 / h, UNKNOWN_NEAR,
                *colour, *[1 / SHAPES] * SHAPES,
            ]
    return out


class Natural:
    """Pictures of the shots to train on, and their things."""

    def __init__(self, folder):
        pictures, found = [], []
        for name, file in shots(folder):
            if is_test(name):
                continue
            video = load(file)
            if len(video) < SHORTEST:
                continue
            mask = masks(video, background(video))
            said = things(video, mask)
            keep = (said[..., 0] == 1).any(1) & (mask.mean((1, 2)) < 0.5)
            stride = max(1, len(video) // 60)  # no shot dominates
            pictures.append(torch.from_numpy(video[keep][::stride]))
            found.append(torch.from_numpy(said[keep][::stride]))
        self.pictures, self.things = torch.cat(pictures), torch.cat(found)

    def batch(self, size: int):
        at = torch.randint(len(self.pictures), (size,))
        return self.pictures[at], self.things[at]
