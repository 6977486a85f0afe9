"""Write a picture and what the papers' code makes of it, for the tests of `--pixels paper`.

    python -m startle_models.golden_pixels --out tests/data/golden/paper

The steps are those of `VideoTransform` and `random_resized_crop` in facebookresearch/jepa-intuitive-physics
(`src/utils/transforms.py`, `src/utils/video/transforms.py`) and facebookresearch/IntPhys2, with a scale of 1: the centre
square of the picture (`centre`; for InfLevel the whole of it, `squash`), `torch.nn.functional.interpolate` without
antialiasing, and the normalisation on the scale of 255, all in float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from .reference import IMAGENET_MEAN, IMAGENET_STD

WIDTH, HEIGHT, CROP = 61, 40, 16


def resized(frame: np.ndarray, crop: int, squash: bool) -> np.ndarray:
    """RGB uint8 [H, W, 3] → normalised float32 [3, crop, crop]."""
    buffer = torch.tensor(frame[None], dtype=torch.float32).permute(3, 0, 1, 2)
    height, width = buffer.shape[2:]
    side = min(height, width)
    h, w = (height, width) if squash else (side, side)
    i, j = (height - h) // 2, (width - w) // 2
    cut = buffer[:, :, i : i + h, j : j + w]
    small = torch.nn.functional.interpolate(cut, size=(crop, crop), mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(x, dtype=torch.float32) * 255.0 for x in (IMAGENET_MEAN, IMAGENET_STD))
    flat = small.reshape(3, -1).permute(1, 0).sub(mean).div(std)
    return flat.permute(1, 0).reshape(3, crop, crop).numpy()


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    frame = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(frame).save(args.out / "frame.png")
    for name in ("centre", "squash"):
        np.save(args.out / f"{name}.npy", np.ascontiguousarray(resized(frame, CROP, name == "squash")))


if __name__ == "__main__":
    main()
