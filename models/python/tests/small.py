"""A small model and the helpers that several test files share."""

from __future__ import annotations

from pathlib import Path

import torch

from startle_models import bundle, export
from startle_models.checkpoints import ModelConfig
from startle_models.random_model import random_weights

CONFIG = ModelConfig(
    crop_size=24, patch_size=8, frames_per_clip=8,
    hidden_size=40, num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.5,
    pred_hidden_size=36, pred_num_attention_heads=2, pred_num_hidden_layers=2, pred_num_mask_tokens=3,
)  # fmt: skip
"""Head sizes 20 and 18: one with a rest that is not rotated, one that divides by 3 but not by 6."""

WEIGHTS = random_weights(CONFIG, seed=3)


def run(source: Path, out: Path, *options: str) -> dict:
    """Exports and returns the manifest."""
    assert export.main([str(source), "--out", str(out), *options]) == 0
    return bundle.read_manifest(out)


def clips(batch: int, frames: int, seed: int = 0) -> torch.Tensor:
    """Normalised noise [batch, frames, 3, 24, 24]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, 3, CONFIG.crop_size, CONFIG.crop_size, generator=generator)
