"""Write the committed checkpoint that `startle models add` is tested with, and the surprise that it must give.

    python -m startle_models.golden_checkpoint --out tests/data/checkpoints/vjepa2

A V-JEPA 2 with random weights in the layout of `VJEPA2Model.save_pretrained`, and `expected.json`: the surprise of the
self-test clip by `transformers.VJEPA2Model` (context encoded alone, mask token 0). A head of the encoder has 14 features,
of which 12 turn; one of the predictor 9, of which 6 do.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from . import reference
from .checkpoints import ModelConfig
from .random_model import random_weights, save_hugging_face

CONFIG = ModelConfig(
    crop_size=24, patch_size=8, frames_per_clip=8,
    hidden_size=28, num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.5,
    pred_hidden_size=18, pred_num_attention_heads=2, pred_num_hidden_layers=2, pred_num_mask_tokens=3,
)  # fmt: skip
SEED = 17
CONTEXTS = (2, 4, 6)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    weights = random_weights(CONFIG, SEED)
    save_hugging_face(weights, args.out)
    pixels = reference.normalise(reference.lcg_pixels(1, CONFIG.frames_per_clip, CONFIG.crop_size))
    stages = reference.surprise(reference.load_model(weights, 0), torch.from_numpy(pixels)[None], list(CONTEXTS))
    values = {str(length): float(stage.surprise[0]) for length, stage in stages.items()}
    (args.out / "expected.json").write_text(json.dumps({"seed": 1, "surprise": values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
