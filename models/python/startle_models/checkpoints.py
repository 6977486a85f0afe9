"""Read V-JEPA 1 and 2 weights, from either layout, into one strictly checked form.

Two layouts exist:

* Hugging Face `VJEPA2Model`: `config.json` and safetensors, in a folder or on the hub;
* Meta's own training checkpoints (`.pt`, github.com/facebookresearch/vjepa2, `app/vjepa/train.py`):
  a dictionary with `encoder`, `target_encoder` and `predictor` state dicts, fused QKV weights, and
  one parameter per mask token. V-JEPA 1 (`.pth.tar`, github.com/facebookresearch/jepa) has the same
  layout and only this one, and its position tables belong to the model.

Both end as `Weights`, whose tensors carry the Hugging Face names, in float32. A name that is missing,
unmatched or of the wrong shape is an error that says which: the usual `strict=False` leaves layers
at their random initial values without a word.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from .vjepa21 import unsupported_parts

Tensors = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]


class CheckpointError(ValueError):
    """A checkpoint that does not hold exactly what its configuration promises."""


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a V-JEPA encoder and predictor. Names and defaults are those of `VJEPA2Config`.

    Sizes are in pixels (`crop_size`, `patch_size`) or frames (`tubelet_size`, `frames_per_clip`).
    `model_type` is `vjepa2` (rotary positions) or `vjepa1` (a table of positions for `frames_per_clip`).
    """

    model_type: str = "vjepa2"
    crop_size: int = 256
    patch_size: int = 16
    tubelet_size: int = 2
    frames_per_clip: int = 64
    in_chans: int = 3
    hidden_size: int = 1024
    num_attention_heads: int = 16
    num_hidden_layers: int = 24
    mlp_ratio: float = 4.0
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    hidden_act: str = "gelu"
    pred_hidden_size: int = 384
    pred_num_attention_heads: int = 12
    pred_num_hidden_layers: int = 12
    pred_num_mask_tokens: int = 10
    pred_mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        if self.model_type not in ("vjepa1", "vjepa2"):
            raise CheckpointError(f"model_type {self.model_type!r} in the configuration, expected 'vjepa2' or 'vjepa1'")
        if self.hidden_act != "gelu":
            raise CheckpointError(f"activation {self.hidden_act!r}: only 'gelu' (exact) can be exported")
        if self.crop_size % self.patch_size:
            raise CheckpointError(f"crop_size {self.crop_size} is not a multiple of patch_size {self.patch_size}")
        for size, heads in (
            (self.hidden_size, self.num_attention_heads),
            (self.pred_hidden_size, self.pred_num_attention_heads),
        ):
            if size % heads:
                raise CheckpointError(f"width {size} is not a multiple of its {heads} heads")

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ModelConfig:
        """From the fields of a Hugging Face `config.json`; fields that don't shape the graphs are skipped."""
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in raw.items() if k in known and v is not None}
        patch = values.get("patch_size")
        if isinstance(patch, (list, tuple)):
            if len(set(patch)) != 1:
                raise CheckpointError(f"patch_size {patch}: only square patches can be exported")
            values["patch_size"] = patch[0]
        return cls(**values)

    @property
    def grid(self) -> int:
        """Patches along one side of the picture."""
        return self.crop_size // self.patch_size

    @property
    def rotary(self) -> bool:
        """Whether positions are rotations of queries and keys, not a table that is added to the tokens."""
        return self.model_type == "vjepa2"

    @property
    def tokens_per_clip(self) -> int:
        """Tokens of a whole clip: the rows of a position table."""
        return self.frames_per_clip // self.tubelet_size * self.grid**2

    def hugging_face(self):
        """The same shape as a `transformers.VJEPA2Config`."""
        from transformers import VJEPA2Config

        return VJEPA2Config(**{k: v for k, v in asdict(self).items() if k != "model_type"})


_VJEPA1 = ModelConfig(
    model_type="vjepa1", crop_size=224, frames_per_clip=16, pred_num_attention_heads=16, pred_num_mask_tokens=2
)


ARCHITECTURES: dict[str, ModelConfig] = {
    "vitl": ModelConfig(),
    "vith": ModelConfig(hidden_size=1280, num_attention_heads=16, num_hidden_layers=32),
    "vitg": ModelConfig(hidden_size=1408, num_attention_heads=22, num_hidden_layers=40, mlp_ratio=48 / 11),
    "vitg-384": ModelConfig(
        hidden_size=1408, num_attention_heads=22, num_hidden_layers=40, mlp_ratio=48 / 11, crop_size=384
    ),
    "vjepa1-vitl": _VJEPA1,
    "vjepa1-vith": replace(_VJEPA1, hidden_size=1280, num_hidden_layers=32),
    "vjepa1-vith-384": replace(_VJEPA1, hidden_size=1280, num_hidden_layers=32, crop_size=384),
}
"""Shapes of Meta's published checkpoints (`src/hub/backbones.py` and `src/models/vision_transformer.py`; V-JEPA 1:
`configs/pretrain/*.yaml` and `app/vjepa/utils.py`, where the predictor has as many heads as the encoder)."""


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


def expected_encoder(config: ModelConfig) -> Shapes:
    """Name and shape of every tensor of the encoder."""
    c = config
    kernel = (c.in_chans, c.tubelet_size, c.patch_size, c.patch_size)
    shapes: Shapes = {
        "encoder.embeddings.patch_embeddings.proj.weight": (c.hidden_size, *kernel),
        "encoder.embeddings.patch_embeddings.proj.bias": (c.hidden_size,),
    }
    if not c.rotary:
        shapes["encoder.embeddings.positions"] = (1, c.tokens_per_clip, c.hidden_size)
    for i in range(c.num_hidden_layers):
        shapes |= _expected_layer(f"encoder.layer.{i}", c.hidden_size, c.mlp_ratio, c.qkv_bias)
    return shapes | _norm("encoder.layernorm", c.hidden_size)


def expected_predictor(config: ModelConfig) -> Shapes:
    """Name and shape of every tensor of the predictor."""
    c = config
    shapes: Shapes = {
        "predictor.embeddings.mask_tokens": (c.pred_num_mask_tokens, 1, 1, c.pred_hidden_size),
        **_linear("predictor.embeddings.predictor_embeddings", c.hidden_size, c.pred_hidden_size),
    }
    if not c.rotary:
        shapes["predictor.embeddings.positions"] = (1, c.tokens_per_clip, c.pred_hidden_size)
    for i in range(c.pred_num_hidden_layers):
        shapes |= _expected_layer(f"predictor.layer.{i}", c.pred_hidden_size, c.pred_mlp_ratio, c.qkv_bias)
    shapes |= _norm("predictor.layernorm", c.pred_hidden_size)
    return shapes | _linear("predictor.proj", c.pred_hidden_size, c.hidden_size)


def _expected_layer(prefix: str, width: int, mlp_ratio: float, qkv_bias: bool) -> Shapes:
    inner = int(width * mlp_ratio)
    shapes = _norm(f"{prefix}.norm1", width) | _norm(f"{prefix}.norm2", width)
    for name in ("query", "key", "value"):
        shapes |= _linear(f"{prefix}.attention.{name}", width, width, qkv_bias)
    shapes |= _linear(f"{prefix}.attention.proj", width, width)
    shapes |= _linear(f"{prefix}.mlp.fc1", width, inner)
    return shapes | _linear(f"{prefix}.mlp.fc2", inner, width)


def _linear(prefix: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{prefix}.weight": (outputs, inputs)}
    if bias:
        shapes[f"{prefix}.bias"] = (outputs,)
    return shapes


def _norm(prefix: str, width: int) -> Shapes:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


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
    if parts := unsupported_parts(state):
        lines = "\n  ".join(parts)
        raise CheckpointError(f"{path.name}: a V-JEPA 2.1 checkpoint, which can't be exported; it has\n  {lines}")
    wanted = [encoder_key] if encoder_only else [encoder_key, "predictor"]
    absent = [key for key in wanted if not isinstance(state.get(key), dict)]
    if absent:
        raise CheckpointError(f"{path.name}: no network under {absent}; the file has {sorted(map(str, state))}")
    tensors = convert_meta_encoder(state[encoder_key], positions=not config.rotary)
    if not encoder_only:
        tensors |= convert_meta_predictor(state["predictor"], positions=not config.rotary)
    origin = f"Meta layout, {path.name} sha256 {sha256_file(path)[:16]}, encoder from key {encoder_key!r}"
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

    Without `positions` the position table is dropped: models with rotary positions carry one, unused.
    """
    renames = (
        (r"^blocks\.", "encoder.layer."),
        (r"^patch_embed\.", "encoder.embeddings.patch_embeddings."),
        (r"^norm\.", "encoder.layernorm."),
        (r"^pos_embed$", "encoder.embeddings.positions"),
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
