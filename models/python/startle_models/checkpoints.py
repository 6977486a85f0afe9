"""Read V-JEPA 1, 2, 2.1 and 2-AC weights, from either layout, into one strictly checked form.

Two layouts exist:

* Hugging Face `VJEPA2Model`: `config.json` and safetensors, in a folder or on the hub;
* Meta's own training checkpoints (`.pt`, github.com/facebookresearch/vjepa2, `app/vjepa/train.py`):
  a dictionary with `encoder`, `target_encoder` and `predictor` state dicts, fused QKV weights, and
  one parameter per mask token. V-JEPA 1 (`.pth.tar`, github.com/facebookresearch/jepa) has the same
  layout and only this one, and its position tables belong to the model. V-JEPA 2.1 has the layout too,
  with tensors for pictures and for predicting the context, which are checked and not used.

Both end as `Weights`, whose tensors carry the Hugging Face names, in float32. A name that is missing,
unmatched or of the wrong shape is an error that says which: the usual `strict=False` leaves layers
at their random initial values without a word.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .shapes import (
    ARCHITECTURES,
    CheckpointError,
    ModelConfig,
    Shapes,
    Tensors,
    expected_encoder,
    expected_predictor,
)
from .vjepa21 import MODALITY_NAMES, suggest_architecture

__all__ = [
    "ARCHITECTURES", "CheckpointError", "ModelConfig", "Shapes", "Tensors", "Weights",
    "expected_encoder", "expected_predictor", "read_weights",
]  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """Checked float32 tensors under Hugging Face names, and where they came from.

    `predictor` is empty when only an encoder was asked for. `origin` is one line for the bundle's
    `source` field: file name, key inside the file, and the start of the file's sha256. `processor` is
    the folder's `VJEPA2VideoProcessor` configuration, empty if it has none.
    """

    config: ModelConfig
    encoder: Tensors
    predictor: Tensors
    origin: str
    processor: dict[str, Any] = field(default_factory=dict)


def check_strict(tensors: Tensors, expected: Shapes, where: str) -> Tensors:
    """`tensors` as contiguous float32, if they are exactly `expected`; else an error that names each fault."""
    faults = [f"missing: {name} {list(shape)}" for name, shape in expected.items() if name not in tensors]
    faults += [f"not used by the model: {name} {list(t.shape)}" for name, t in tensors.items() if name not in expected]
    for name, tensor in tensors.items():
        shape = expected.get(name)
        if shape is not None and tuple(tensor.shape) != shape:
            faults.append(f"wrong shape: {name} is {list(tensor.shape)}, expected {list(shape)}")
        elif shape is not None and not tensor.is_floating_point():
            faults.append(f"not floating point: {name} is {tensor.dtype}")
    if faults:
        shown = "\n  ".join(faults[:12])
        more = f"\n  and {len(faults) - 12} more" if len(faults) > 12 else ""
        raise CheckpointError(f"{where} does not fit the configuration ({len(faults)} faults):\n  {shown}{more}")
    return {name: tensors[name].detach().to(torch.float32).contiguous() for name in expected}


def read_weights(
    source: str,
    *,
    config: ModelConfig | None = None,
    encoder_key: str = "target_encoder",
    encoder_only: bool = False,
    revision: str | None = None,
) -> Weights:
    """Weights from a folder, a hub id or a Meta `.pt` file, whichever `source` is.

    `config` is required for `.pt` files (they don't state their shape) and refused otherwise.
    """
    path = Path(source)
    if path.is_file():
        if config is None:
            raise CheckpointError(f"{path.name}: a .pt checkpoint does not state its shape; give --arch or --config")
        return read_meta(path, config, encoder_key=encoder_key, encoder_only=encoder_only)
    if config is not None:
        raise CheckpointError("--arch and --config are for .pt checkpoints; a folder has its own config.json")
    if path.is_dir():
        return read_hugging_face(path, encoder_only=encoder_only)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", source) is None:
        raise CheckpointError(f"{source}: no such file or folder, and not a hub id (owner/name)")
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(source, revision=revision, allow_patterns=["*.json", "*.safetensors"]))
    weights = read_hugging_face(folder, encoder_only=encoder_only)
    return replace(weights, origin=f"{source} on the Hugging Face hub, revision {folder.name}; {weights.origin}")


def read_hugging_face(folder: Path, *, encoder_only: bool = False) -> Weights:
    """Weights from a folder with `config.json` and one or several safetensors files.

    With `encoder_only`, tensors of the predictor are neither needed nor looked at, and the encoder
    may have no transformer layer at all (patch embedding and LayerNorm only).
    """
    from safetensors.torch import load_file

    config_path = folder / "config.json"
    if not config_path.is_file():
        raise CheckpointError(f"{folder.name}: no config.json in the folder")
    config = ModelConfig.from_dict(json.loads(config_path.read_text()))
    if config.model_type != "vjepa2":
        raise CheckpointError(f"{folder.name}: model_type {config.model_type!r}; only V-JEPA 2 comes in this layout")
    index = folder / "model.safetensors.index.json"
    names = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else []
    files = [folder / n for n in names] or sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder.name}: no .safetensors file in the folder")
    tensors: Tensors = {}
    for file in files:
        # `attention.attention.` is how early conversions named what is now `attention.`.
        tensors |= {k.replace(".attention.attention.", ".attention."): v for k, v in load_file(file).items()}
    origin = "; ".join(f"{f.name} sha256 {sha256_file(f)[:16]}" for f in files)
    weights = _split(tensors, config, folder.name, f"Hugging Face layout, {folder.name}: {origin}", encoder_only)
    processors = [folder / n for n in ("video_preprocessor_config.json", "preprocessor_config.json")]
    found = next((json.loads(p.read_text()) for p in processors if p.is_file()), {})
    return replace(weights, processor=found)


def _split(tensors: Tensors, config: ModelConfig, where: str, origin: str, encoder_only: bool) -> Weights:
    if encoder_only:
        tensors = {k: v for k, v in tensors.items() if not k.startswith("predictor.")}
    expected = expected_encoder(config) | ({} if encoder_only else expected_predictor(config))
    checked = check_strict(tensors, expected, where)
    encoder = {k: v for k, v in checked.items() if k.startswith("encoder.")}
    predictor = {k: v for k, v in checked.items() if k.startswith("predictor.")}
    return Weights(config, encoder, predictor, origin)


def read_meta(
    path: Path, config: ModelConfig, *, encoder_key: str = "target_encoder", encoder_only: bool = False
) -> Weights:
    """Weights from one of Meta's `.pt` files.

    `encoder_key` picks the encoder: upstream's current hub code loads `target_encoder` (the moving
    average that also made the training targets), its first release loaded `encoder`. Garrido et al. encode
    the context with `encoder` and the targets with `target_encoder`.
    """
    state = _load_pt(path)
    if (arch := suggest_architecture(state)) and not config.corrected:
        raise CheckpointError(f"{path.name}: a V-JEPA 2.1 checkpoint; give --arch {arch}, or its shape with --config")
    wanted = [encoder_key] if encoder_only else [encoder_key, "predictor"]
    absent = [key for key in wanted if not isinstance(state.get(key), dict)]
    if absent:
        raise CheckpointError(f"{path.name}: no network under {absent}; the file has {sorted(map(str, state))}")
    tensors = convert_meta_encoder(state[encoder_key], positions=config.model_type in ("vjepa1", "vjepa21"))
    if not encoder_only:
        tensors |= convert_meta_predictor(state["predictor"], positions=config.model_type in ("vjepa1", "vjepa21"))
    origin = f"Meta layout, {path.name} sha256 {sha256_file(path)[:16]}, encoder from key {encoder_key!r}"
    if config.model_type == "vjepa1" and "encoder.embeddings.positions" not in tensors:
        hint = "a V-JEPA 1 without a table of positions, such as the rotary `vit_huge_rope` of jepa-intuitive-physics"
        raise CheckpointError(f"{path.name}: {hint}, can't be exported (missing: encoder.embeddings.positions)")
    return _split(tensors, config, path.name, origin, encoder_only)


def _load_pt(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files of the pre-zip format can't be mapped
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{path.name}: not a file of tensors that can be read safely: {first}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path.name}: holds a {type(state).__name__}, expected a dictionary of networks")
    return state


def convert_meta_encoder(state: Tensors, positions: bool = False) -> Tensors:
    """Meta's encoder state dict under Hugging Face names; unknown names are kept, for the strict check.

    Without `positions` the position table is dropped: V-JEPA 2 carries one, unused.
    """
    renames = (
        (r"^blocks\.", "encoder.layer."),
        (r"^patch_embed\.", "encoder.embeddings.patch_embeddings."),
        (r"^norm\.", "encoder.layernorm."),
        (r"^pos_embed$", "encoder.embeddings.positions"),
        (r"^patch_embed_img\.", "encoder.embeddings.patch_embeddings_image."),
        (r"^norms_block\.", "encoder.norms."),
        *((f"^{old}$", f"encoder.embeddings.{new}") for old, new in MODALITY_NAMES.items()),
    )
    return _convert_meta(state, renames, dropped=None if positions else "pos_embed")


def convert_meta_predictor(state: Tensors, positions: bool = False) -> Tensors:
    """Meta's predictor state dict under Hugging Face names, its mask tokens stacked to [K, 1, 1, P]."""
    renames = (
        (r"^predictor_blocks\.", "predictor.layer."),
        (r"^predictor_embed\.", "predictor.embeddings.predictor_embeddings."),
        (r"^predictor_norm\.", "predictor.layernorm."),
        (r"^predictor_proj\.", "predictor.proj."),
        (r"^predictor_pos_embed$", "predictor.embeddings.positions"),
        (r"^predictor_proj_context\.", "predictor.proj_context."),
        (r"^(action|state|extrinsics)_encoder\.", r"predictor.embeddings.\1."),
        *((f"^{old}$", f"predictor.embeddings.{new}") for old, new in MODALITY_NAMES.items()),
    )
    tensors = _convert_meta(state, renames, dropped=None if positions else "predictor_pos_embed")
    tokens: list[torch.Tensor] = []
    while f"mask_tokens.{len(tokens)}" in tensors:
        tokens.append(tensors.pop(f"mask_tokens.{len(tokens)}"))
    if tokens:
        tensors["predictor.embeddings.mask_tokens"] = torch.stack(tokens)
    return tensors


def _convert_meta(state: Tensors, renames: tuple[tuple[str, str], ...], dropped: str | None) -> Tensors:
    converted: Tensors = {}
    for original, tensor in state.items():
        name = re.sub(r"^(?:module\.|backbone\.)+", "", original)
        if name == dropped:
            continue
        for pattern, new in renames:
            name = re.sub(pattern, new, name)
        name = name.replace(".attn.", ".attention.")
        head, dot, kind = name.rpartition(".qkv.")
        parts = {name: tensor}
        if dot:
            thirds = tensor.chunk(3, dim=0)
            parts = {f"{head}.{n}.{kind}": t for n, t in zip(("query", "key", "value"), thirds, strict=True)}
        for new_name, part in parts.items():
            if new_name in converted:
                raise CheckpointError(f"two tensors map to {new_name}; the second is {original}")
            converted[new_name] = part
    return converted


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
