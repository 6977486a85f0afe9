"""What a reduced precision does to surprise: to its size, and to the order in which it puts windows.

Surprise is used to rank and to compare with a threshold, so a precision that keeps features to a per cent but changes
the order of windows is worth nothing. The graphs of a bundle are compared with PyTorch float32 on many windows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import bundle, reference
from .checkpoints import Weights
from .parity import ParityError, relative

WINDOWS = 64
"""Fewest windows from which a rank correlation is stated."""


@dataclass(frozen=True)
class Tolerance:
    """The most that a precision may change: `surprise` of any window, as a part of the windows' mean surprise; `rank`,
    Spearman's correlation of the windows' surprise with that of float32, at the context length where it is least."""

    surprise: float
    rank: float


TOLERANCES = {"fp16": Tolerance(5e-3, 0.999), "bf16": Tolerance(5e-2, 0.999), "int8": Tolerance(1e-1, 0.99)}
"""fp16 and bf16 must keep the order of windows; int8 may swap neighbours. Measured for startle-s1 on 64 windows of its
samples: fp16 1e-3 and 1.0000, bf16 2.4e-2 and 0.9995, int8 8.6e-2 and 0.9974."""


@dataclass(frozen=True)
class Deviation:
    """Measured over `windows` windows of `clips`, and the worst of the context lengths: largest relative difference of
    features; largest difference of a window's surprise, as a part of the windows' mean surprise (that of a still window
    is near zero, and no measure); least rank correlation."""

    windows: int
    clips: str
    features_max_rel: float
    window_surprise_max_rel: float
    rank_correlation: float


def measure(
    weights: Weights,
    target: Weights | None,
    manifest: bundle.Manifest,
    folder: Path,
    mask_index: int,
    windows: Iterable[np.ndarray],
    clips: str,
) -> Deviation:
    """Runs `windows` (uint8 [T, crop, crop, 3]) one by one through the graphs in `folder` and through PyTorch."""
    clip, pre = manifest["clip"], manifest["preprocess"]
    model, session = reference.load_model(weights, mask_index), bundle.Session(folder, manifest)
    separate = reference.load_encoder(target) if target else None
    exact: dict[int, list[float]] = {length: [] for length in clip["context_lengths"]}
    found: dict[int, list[float]] = {length: [] for length in clip["context_lengths"]}
    features, count, conditions = 0.0, 0, bundle.self_test_conditions(manifest)
    given = {"horizon": clip.get("horizon"), "conditions": conditions}
    for window in windows:
        pixels = reference.normalise(window, pre["mean"], pre["std"])[None]
        whole = reference.encode(separate or model.encoder, torch.from_numpy(pixels))
        lengths = clip["context_lengths"]
        stages = reference.surprise(model, torch.from_numpy(pixels), lengths, whole=whole, **given)
        tokens, ours = session.stages(pixels, conditions)
        features, count = max(features, relative(tokens, whole)), count + 1
        for length, stage in stages.items():
            features = max(features, relative(ours[length].context, stage.context))
            exact[length].append(float(stage.surprise[0]))
            found[length].append(ours[length].surprise)
    if count < WINDOWS:
        raise ParityError(f"{count} windows to compare on: at least {WINDOWS} are wanted")
    surprise = max(change(found[length], exact[length]) for length in exact)
    rank = min(rank_correlation(found[length], exact[length]) for length in exact)
    return Deviation(count, clips, features, surprise, rank)


def change(found: list[float], exact: list[float]) -> float:
    """Largest difference of two lists, as a part of the mean of `exact`."""
    return float(np.abs(np.subtract(found, exact)).max() / np.mean(exact))


def rank_correlation(found: list[float], exact: list[float]) -> float:
    """Spearman's correlation of two lists; −1, which no limit lets through, where one of them is constant."""
    from scipy.stats import spearmanr

    if len(set(found)) < 2 or len(set(exact)) < 2:
        return -1.0
    return float(spearmanr(found, exact).statistic)


def check(deviation: Deviation, precision: str, tolerance: Tolerance) -> None:
    """Raises `ParityError`, with both figures, if one is beyond the tolerance."""
    surprise, rank = deviation.window_surprise_max_rel, deviation.rank_correlation
    if not (surprise <= tolerance.surprise and rank >= tolerance.rank):
        raise ParityError(
            f"{precision} changes surprise too much: a window's by up to {surprise:.2e} of the mean (limit "
            f"{tolerance.surprise:.0e}), rank correlation {rank:.5f} (at least {tolerance.rank}) over "
            f"{deviation.windows} windows ({deviation.clips}); no bundle was written; use a higher precision"
        )
