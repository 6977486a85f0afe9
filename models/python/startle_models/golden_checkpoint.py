"""Write the committed checkpoints that `startle models add` is tested with, and the surprise that each must give.

    python -m startle_models.golden_checkpoint --out tests/data/checkpoints

`vjepa2`, `dinov2`, `dinov3` and those with gated perceptrons (`-gated`): random weights in the layouts of `VJEPA2Model`, `Dinov2Model` and `DINOv3ViTModel`, and
`expected.json`: the surprise of the self-test clip by those classes. Of V-JEPA 2 the context is encoded alone and the mask
token is 0; a head of the encoder has 14 features, of which 12 turn, one of the predictor 9, of which 6 do. Of the encoders of
pictures the layer-normed features are expected to go on in a straight line; DINOv2's positions are interpolated.
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


DINOV2 = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "patch_size": 8,
          "image_size": 40}  # fmt: skip
DINOV3 = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "patch_size": 8,
          "image_size": 32, "num_register_tokens": 2}  # fmt: skip
SIDE = 32
"""Pixels of the pictures of both; DINOv2's positions are for 40."""


def vjepa2(folder: Path) -> dict[str, float]:
    """Writes the checkpoint; gives the surprise by context length."""
    weights = random_weights(CONFIG, SEED)
    save_hugging_face(weights, folder)
    pixels = reference.normalise(reference.lcg_pixels(1, CONFIG.frames_per_clip, CONFIG.crop_size))
    stages = reference.surprise(reference.load_model(weights, 0), torch.from_numpy(pixels)[None], list(CONTEXTS))
    return {str(length): float(stage.surprise[0]) for length, stage in stages.items()}


def image_models() -> dict[str, tuple[torch.nn.Module, int]]:
    """Encoders of pictures by name, no parameter at a special value, and how many of their tokens are no patches."""
    from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

    def drawn(*models):
        for model, _ in models:
            for name, parameter in model.named_parameters():
                noise = torch.randn_like(parameter) * 0.2
                one = ("norm" in name or "scale" in name) and not name.endswith("bias")
                parameter.data = noise + 1.0 if one else noise
            model.eval().requires_grad_(False)
        return models

    torch.manual_seed(SEED)
    plain = drawn((Dinov2Model(Dinov2Config(**DINOV2)), 1), (DINOv3ViTModel(DINOv3ViTConfig(**DINOV3)), 3))
    gates = ({"use_swiglu_ffn": True}, {"use_gated_mlp": True, "hidden_act": "silu"})
    gated = drawn((Dinov2Model(Dinov2Config(**DINOV2 | gates[0])), 1), (DINOv3ViTModel(DINOv3ViTConfig(**DINOV3 | gates[1])), 3))
    return dict(zip(("dinov2", "dinov3", "dinov2-gated", "dinov3-gated"), (*plain, *gated)))


@torch.no_grad()
def picture_tokens(model: torch.nn.Module, others: int, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels [B, T, 3, S, S] → the patches' tokens [B, T, N, D]."""
    tokens = model(pixels.flatten(0, 1)).last_hidden_state[:, others:]
    return tokens.unflatten(0, pixels.shape[:2])


def image(folder: Path, model: torch.nn.Module, others: int) -> dict[str, float]:
    """Writes the checkpoint; gives the surprise of the third of three pictures."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"crop_size": {"height": SIDE, "width": SIDE}}) + "\n")
    pixels = torch.from_numpy(reference.normalise(reference.lcg_pixels(1, 3, SIDE)))[None]
    before, last, now = reference.targets(picture_tokens(model, others, pixels))[0]
    return {"2": float((now - (2 * last - before)).abs().double().mean())}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = {"vjepa2": vjepa2(args.out / "vjepa2")}
    found |= {name: image(args.out / name, *made) for name, made in image_models().items()}
    for name, values in found.items():
        (args.out / name / "expected.json").write_text(json.dumps({"seed": 1, "surprise": values}, indent=1) + "\n")
        for file in (args.out / name).iterdir():
            file.chmod(0o644)


if __name__ == "__main__":
    main()
