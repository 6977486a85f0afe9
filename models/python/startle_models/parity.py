"""How far exported graphs are from PyTorch, and what is let through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import bundle, reference
from .checkpoints import Weights


@dataclass(frozen=True)
class Limits:
    """Largest relative differences from PyTorch float32 with which a bundle is let through.

    `features`: max |a − b| / max |b| of encoder and predictor outputs. `surprise`: of the window
    surprise on the self-test clip. `self_test`: the tolerance written into the manifest, wider, for
    other processors and execution providers.
    """

    features: float
    surprise: float
    self_test: float


LIMITS = {
    "fp32": Limits(1e-4, 1e-5, 1e-4),
    "fp16": Limits(5e-2, 2e-3, 5e-3),
    "bf16": Limits(1e-1, 1e-2, 2e-2),
    "int8": Limits(1e-1, 1e-2, 2e-2),
}
"""Chosen from measurements: fp32 graphs differ by about 1e-6 and 1e-7, fp16 by about 1e-3 and 1e-5, bf16 by about 1e-2
and 1e-4. int8 differs by some per cent in features; its limit is on surprise, and a processor without the same integer
kernels rounds otherwise. What reduced precisions do to the order of windows is limited in `deviation.py`."""


class ParityError(RuntimeError):
    """An exported graph whose numbers are not those of the model it was made from."""


@dataclass(frozen=True)
class Parity:
    """Measured relative differences, graphs against PyTorch, and the surprise PyTorch gives."""

    encoder_max_rel: float
    predictor_max_rel: float
    surprise_max_rel: float
    surprise: dict[int, float]


def measure(
    weights: Weights, target: Weights | None, manifest: bundle.Manifest, folder: Path, mask_index: int
) -> Parity:
    """Runs the self-test clip, its prefixes and a batch of two through both; see `Parity`."""
    clip = manifest["clip"]
    inputs = bundle.self_test_input(manifest)
    pixels, conditions = torch.from_numpy(inputs), bundle.self_test_conditions(manifest)
    session = bundle.Session(folder, manifest)
    model = reference.load_model(weights, mask_index)
    separate = reference.load_encoder(target) if target else None
    whole = reference.encode(separate or model.encoder, pixels)
    found, found_stages = session.stages(inputs, conditions)
    encoder = relative(found, whole)
    shortest = inputs[:, : min(clip["context_lengths"])]
    pair = np.concatenate([shortest, shortest[:, ::-1]])
    encoder = max(encoder, relative(session.encode(pair), reference.encode(model.encoder, torch.from_numpy(pair))))
    horizon = clip.get("horizon")
    given = {"horizon": horizon, "whole": whole, "conditions": conditions}
    stages = reference.surprise(model, pixels, clip["context_lengths"], **given)
    predictor, surprise, values = 0.0, 0.0, {}
    for length, stage in stages.items():
        known, unknown = stage.context.shape[1], stage.prediction.shape[1]
        places = np.arange(known + unknown)[None]
        if conditions is None:
            predicted = session.predict(stage.context.numpy(), places[:, :known].copy(), places[:, known:].copy())
        else:
            predicted = session.predict_given(stage.context.numpy(), *(x[:, :length].copy() for x in conditions))
        predictor = max(predictor, relative(predicted, stage.prediction))
        encoder = max(encoder, relative(found_stages[length].context, stage.context))
        values[length] = float(stage.surprise[0])
        surprise = max(surprise, abs(found_stages[length].surprise - values[length]) / values[length])
    return Parity(encoder, predictor, surprise, values)


def relative(found: np.ndarray, expected: torch.Tensor) -> float:
    """max |found − expected| / max |expected|, in float64; NaN anywhere gives infinity."""
    want = expected.numpy().astype(np.float64)
    if found.shape != want.shape:
        raise ParityError(f"output has shape {found.shape}, expected {want.shape}")
    difference = np.abs(found - want).max() / np.abs(want).max()
    return float(difference) if np.isfinite(difference) else float("inf")


def check_parity(parity: Parity, limits: Limits) -> None:
    """Raises `ParityError`, with all three figures, if one is over its limit."""
    figures = (
        ("encoder features", parity.encoder_max_rel, limits.features),
        ("predictor features", parity.predictor_max_rel, limits.features),
        ("surprise", parity.surprise_max_rel, limits.surprise),
    )
    if not all(value <= limit for _, value, limit in figures):
        text = ", ".join(f"{name} {value:.2e} (limit {limit:.0e})" for name, value, limit in figures)
        raise ParityError(f"the graphs differ from PyTorch: {text}; no bundle was written")
