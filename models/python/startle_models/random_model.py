"""V-JEPA 1, 2, 2.1 and 2-AC checkpoints with random weights, in both layouts: for tests, goldens and rehearsals.

    python -m startle_models.random_model --arch vitl --layout hf   --out FOLDER
    python -m startle_models.random_model --arch vitl --layout meta --out FILE.pt   (all others: only this one)
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch

from .checkpoints import ARCHITECTURES, ModelConfig, Shapes, Tensors, Weights, expected_encoder, expected_predictor
from .positions import sine_table
from .vjepa21 import MODALITY_NAMES


def random_weights(config: ModelConfig, seed: int = 0) -> Weights:
    """Random weights for every tensor, none of them at a special value.

    Matrices ~ N(0, 1/inputs) so that signals keep their size; biases and mask tokens ~ N(0, 0.1²) and
    N(0, 0.5²); LayerNorm scales ~ 1 + N(0, 0.1²). (The library's own initialisation has zero biases
    and zero mask tokens, which would hide a mistake in either.) Position tables are the real ones.
    """
    generator = torch.Generator().manual_seed(seed)
    encoder = _fill(expected_encoder(config), generator)
    predictor = _fill(expected_predictor(config), generator)
    if not config.rotary:
        slots = config.frames_per_clip // config.tubelet_size
        encoder["encoder.embeddings.positions"] = sine_table(config.hidden_size, config.grid, slots)
        predictor["predictor.embeddings.positions"] = sine_table(config.pred_hidden_size, config.grid, slots)
    return Weights(config, encoder, predictor, f"random weights, seed {seed}")


def _fill(shapes: Shapes, generator: torch.Generator) -> Tensors:
    return {name: _random(name, shape, generator) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith(("mask_tokens", "modality_image", "modality_video")):
        return noise * 0.5
    if name.endswith("bias"):
        return noise * 0.1
    if len(shape) == 1:
        return 1.0 + noise * 0.1
    return noise * noise[0].numel() ** -0.5


def save_hugging_face(weights: Weights, folder: Path) -> Path:
    """Writes `config.json` and `model.safetensors`, as `VJEPA2Model.save_pretrained` lays them out."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["VJEPA2Model"], **asdict(weights.config)}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(weights.encoder | weights.predictor, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def to_meta(weights: Weights, wrapper: str = "module.backbone.") -> dict[str, Tensors]:
    """The same weights as Meta's training code saves them: `encoder`, `target_encoder`, `predictor`.

    Distilled models have `ema_encoder` in place of `target_encoder`. `encoder` holds the same tensors negated (but
    not the positions), so that a wrong key shows.
    """
    target = {wrapper + k: v for k, v in _meta_names(weights.encoder, predictor=False).items()}
    predictor = {wrapper + k: v for k, v in _meta_names(weights.predictor, predictor=True).items()}
    encoder = {k: v if k.endswith("pos_embed") else -v for k, v in target.items()}
    key = "target_encoder" if weights.config.teacher_embed_dim is None else "ema_encoder"
    return {"encoder": encoder, key: target, "predictor": predictor}


def _meta_names(tensors: Tensors, predictor: bool) -> Tensors:
    head = "predictor_" if predictor else ""
    own = "predictor." if predictor else "encoder."
    renames = {
        "encoder.embeddings.patch_embeddings_image.": "patch_embed_img.",
        "encoder.norms.": "norms_block.",
        "predictor.proj_context.": "predictor_proj_context.",
        **{f"predictor.embeddings.{n}.": f"{n}_encoder." for n in ("action", "state", "extrinsics")},
        **{f"{own}embeddings.{ours}": meta for meta, ours in MODALITY_NAMES.items()},
        f"{own}layer.": f"{head}blocks.",
        f"{own}layernorm.": f"{head}norm.",
        "encoder.embeddings.patch_embeddings.": "patch_embed.",
        "predictor.embeddings.predictor_embeddings.": "predictor_embed.",
        "predictor.proj.": "predictor_proj.",
        f"{own}embeddings.positions": f"{head}pos_embed",
        ".attention.": ".attn.",
    }
    out: Tensors = {}
    for name, tensor in tensors.items():
        if name.endswith("mask_tokens"):
            out |= {f"mask_tokens.{i}": token.clone() for i, token in enumerate(tensor)}
            continue
        new = name
        for old, short in renames.items():
            new = new.replace(old, short, 1) if old[0] == "." or new.startswith(old) else new
        if ".attn.query." in new:
            parts = [tensors[name.replace(".query.", f".{n}.")] for n in ("query", "key", "value")]
            out[new.replace(".query.", ".qkv.")] = torch.cat(parts)
        elif ".attn.key." not in new and ".attn.value." not in new:
            out[new] = tensor
    return out


def save_meta(weights: Weights, path: Path) -> Path:
    """Writes a `.pt` file in Meta's layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(to_meta(weights) | {"epoch": 1}, path)
    return path


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="startle_models.random_model", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="vitl")
    parser.add_argument("--layout", choices=("hf", "meta"), default="hf")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.layout == "hf" and ARCHITECTURES[args.arch].model_type != "vjepa2":
        parser.error("only V-JEPA 2 comes in this layout; the others in Meta's")
    weights = random_weights(ARCHITECTURES[args.arch], args.seed)
    save = save_hugging_face if args.layout == "hf" else save_meta
    print(save(weights, args.out))


if __name__ == "__main__":
    main()
