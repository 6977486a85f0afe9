"""Shapes of V-JEPA encoders and predictors: the configuration, the published ones, and every tensor's name and size.

Names are those of Hugging Face's `VJEPA2Model`; what only V-JEPA 1, 2.1 or 2-AC has is named in the same manner.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]


MODEL_TYPES = ("vjepa1", "vjepa2", "vjepa21", "vjepa2ac")

PRETRAINED_GRIDS = {14: 18, 16: 16}
"""Patches along the side of the picture on which V-JEPA 2.1 was trained first (252 or 256 pixels), by patch size
(`RoPEAttention` in `app/vjepa_2_1/models/utils/modules.py`)."""


class CheckpointError(ValueError):
    """A checkpoint that does not hold exactly what its configuration promises."""


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a V-JEPA encoder and predictor. Names and defaults are those of `VJEPA2Config`.

    Sizes are in pixels (`crop_size`, `patch_size`) or frames (`tubelet_size`, `frames_per_clip`).
    `model_type` is one of `MODEL_TYPES`: `vjepa1` has a table of positions for `frames_per_clip`, the others
    rotary positions. V-JEPA 2.1 alone has `hierarchical_layers`, the encoder layers (from 0) that have a LayerNorm of
    their own; `num_distillation_outputs`, how many of them, from the end, are joined to one token;
    `teacher_embed_dim`, the width of the predictions of a distilled model. V-JEPA 2-AC (`vjepa2ac`) alone has
    `action_dim`, the numbers of an action and of a state.
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
    hierarchical_layers: tuple[int, ...] = ()
    num_distillation_outputs: int = 1
    teacher_embed_dim: int | None = None
    action_dim: int = 0

    def __post_init__(self) -> None:
        if self.model_type not in MODEL_TYPES:
            known = " or ".join(map(repr, MODEL_TYPES))
            raise CheckpointError(f"model_type {self.model_type!r} in the configuration, expected {known}")
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
        if (self.action_dim > 0) != self.conditioned:
            raise CheckpointError(f"action_dim {self.action_dim}: for V-JEPA 2-AC, and at least 1 there")
        self._check_levels()

    def _check_levels(self) -> None:
        layers, taken = self.hierarchical_layers, self.num_distillation_outputs
        if self.model_type != "vjepa21":
            if layers or taken != 1 or self.teacher_embed_dim is not None:
                own = "hierarchical_layers, num_distillation_outputs and teacher_embed_dim"
                raise CheckpointError(f"{own}: V-JEPA 2.1 only")
            return
        if self.patch_size not in PRETRAINED_GRIDS:
            raise CheckpointError(f"patch_size {self.patch_size}: V-JEPA 2.1 defines positions for {PRETRAINED_GRIDS}")
        if list(layers) != sorted(set(layers)) or not layers or layers[-1] != self.num_hidden_layers - 1:
            raise CheckpointError(f"hierarchical_layers {list(layers)}: rising layers wanted, the last of all at their end")
        if not 1 <= taken <= len(layers) or self.grid < 2:
            where = f"num_distillation_outputs {taken} of {len(layers)} layers, grid {self.grid}"
            raise CheckpointError(f"{where}: out of range")
        if self.teacher_embed_dim is not None and self.teacher_embed_dim % taken:
            raise CheckpointError(f"teacher_embed_dim {self.teacher_embed_dim} is not a multiple of {taken} levels")

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
        if "hierarchical_layers" in values:
            values["hierarchical_layers"] = tuple(values["hierarchical_layers"])
        return cls(**values)

    @property
    def grid(self) -> int:
        """Patches along one side of the picture."""
        return self.crop_size // self.patch_size

    @property
    def rotary(self) -> bool:
        """Whether positions are rotations of queries and keys, not a table that is added to the tokens."""
        return self.model_type != "vjepa1"

    @property
    def corrected(self) -> bool:
        """Whether both members of a rotated pair turn by the same angle (V-JEPA 2.1), as rotations should."""
        return self.model_type == "vjepa21"

    @property
    def conditioned(self) -> bool:
        """Whether the predictor takes actions and states (V-JEPA 2-AC)."""
        return self.model_type == "vjepa2ac"

    @property
    def slot_frames(self) -> int:
        """Frames that share tokens: V-JEPA 2-AC makes a tubelet of each frame by doubling it."""
        return 1 if self.conditioned else self.tubelet_size

    @property
    def place_scale(self) -> float:
        """What rows and columns are multiplied by before the rotation: 1, but V-JEPA 2.1 stretches its first grid."""
        return (PRETRAINED_GRIDS[self.patch_size] - 1) / (self.grid - 1) if self.corrected else 1.0

    @property
    def level_layers(self) -> tuple[int, ...]:
        """Encoder layers whose normed features are joined to a token; empty: the final LayerNorm's output alone."""
        return self.hierarchical_layers[-self.num_distillation_outputs :] if self.corrected else ()

    @property
    def levels(self) -> int:
        """Parts of a target that are layer-normed each by itself."""
        return len(self.level_layers) if self.teacher_embed_dim is None and self.corrected else 1

    @property
    def token_dim(self) -> int:
        """Width of the encoder's tokens."""
        return self.hidden_size * max(1, len(self.level_layers))

    @property
    def target_dim(self) -> int:
        """Width of the predictions and of the targets they are compared with."""
        return self.token_dim if self.teacher_embed_dim is None else self.teacher_embed_dim

    @property
    def tokens_per_clip(self) -> int:
        """Tokens of a whole clip: the rows of a position table."""
        return self.frames_per_clip // self.tubelet_size * self.grid**2

    def hugging_face(self):
        """The same shape as a `transformers.VJEPA2Config`."""
        from transformers import VJEPA2Config

        own = ("model_type", "hierarchical_layers", "num_distillation_outputs", "teacher_embed_dim", "action_dim")
        return VJEPA2Config(**{k: v for k, v in asdict(self).items() if k not in own})


_VJEPA1 = ModelConfig(
    model_type="vjepa1", crop_size=224, frames_per_clip=16, pred_num_attention_heads=16, pred_num_mask_tokens=2
)

_VJEPA21 = ModelConfig(
    model_type="vjepa21", crop_size=384, hidden_size=1408, num_attention_heads=22, num_hidden_layers=40,
    mlp_ratio=48 / 11, pred_num_hidden_layers=24, pred_num_mask_tokens=8,
    hierarchical_layers=(9, 19, 29, 39), num_distillation_outputs=4,
)  # fmt: skip
_DISTILLED = replace(
    _VJEPA21, hidden_size=1024, num_attention_heads=16, num_hidden_layers=24, mlp_ratio=4.0,
    pred_num_hidden_layers=12, hierarchical_layers=(5, 11, 17, 23), num_distillation_outputs=1, teacher_embed_dim=1664,
)  # fmt: skip


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
    "vjepa21-giant-384": _VJEPA21,
    "vjepa21-gigantic-384": replace(
        _VJEPA21, hidden_size=1664, num_attention_heads=26, num_hidden_layers=48, mlp_ratio=64 / 13,
        hierarchical_layers=(11, 23, 37, 47),
    ),
    "vjepa21-vitl-384": _DISTILLED,
    "vjepa21-vitb-384": replace(
        _DISTILLED, hidden_size=768, num_attention_heads=12, num_hidden_layers=12, hierarchical_layers=(2, 5, 8, 11)
    ),
    "vjepa2-ac-giant": ModelConfig(
        model_type="vjepa2ac", frames_per_clip=8, hidden_size=1408, num_attention_heads=22, num_hidden_layers=40,
        mlp_ratio=48 / 11, pred_hidden_size=1024, pred_num_attention_heads=16, pred_num_hidden_layers=24,
        pred_num_mask_tokens=0, action_dim=7,
    ),
}  # fmt: skip
"""Shapes of Meta's published checkpoints (`src/hub/backbones.py` and `src/models/vision_transformer.py`; V-JEPA 1:
`configs/pretrain/*.yaml` and `app/vjepa/utils.py`, where the predictor has as many heads as the encoder; V-JEPA 2.1:
`app/vjepa_2_1/models/*.py`; V-JEPA 2-AC: `src/models/ac_predictor.py` and
`configs/train/vitg16/droid-256px-8f.yaml`)."""


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
    if not c.corrected:
        return shapes | _norm("encoder.layernorm", c.hidden_size)
    for i in range(len(c.hierarchical_layers)):
        shapes |= _norm(f"encoder.norms.{i}", c.hidden_size)
    kernel = (c.in_chans, 1, c.patch_size, c.patch_size)
    shapes["encoder.embeddings.patch_embeddings_image.proj.weight"] = (c.hidden_size, *kernel)
    shapes["encoder.embeddings.patch_embeddings_image.proj.bias"] = (c.hidden_size,)
    return shapes | _modalities("encoder", c.hidden_size)


def expected_predictor(config: ModelConfig) -> Shapes:
    """Name and shape of every tensor of the predictor."""
    c, embed = config, "predictor.embeddings.predictor_embeddings"
    shapes: Shapes = {}
    if c.conditioned:
        for name, inputs in (("action", c.action_dim), ("state", c.action_dim), ("extrinsics", c.action_dim - 1)):
            shapes |= _linear(f"predictor.embeddings.{name}", inputs, c.pred_hidden_size)
    else:
        shapes["predictor.embeddings.mask_tokens"] = (c.pred_num_mask_tokens, 1, 1, c.pred_hidden_size)
    if len(c.level_layers) > 1:
        shapes |= _linear(f"{embed}.0", c.token_dim, c.hidden_size)
        shapes |= _linear(f"{embed}.2", c.hidden_size, c.pred_hidden_size)
    else:
        shapes |= _linear(embed, c.hidden_size, c.pred_hidden_size)
    if not c.rotary:
        shapes["predictor.embeddings.positions"] = (1, c.tokens_per_clip, c.pred_hidden_size)
    for i in range(c.pred_num_hidden_layers):
        shapes |= _expected_layer(f"predictor.layer.{i}", c.pred_hidden_size, c.pred_mlp_ratio, c.qkv_bias)
    shapes |= _norm("predictor.layernorm", c.pred_hidden_size)
    shapes |= _linear("predictor.proj", c.pred_hidden_size, c.target_dim)
    if c.corrected:
        shapes |= _linear("predictor.proj_context", c.pred_hidden_size, c.target_dim)
        shapes |= _modalities("predictor", c.pred_hidden_size)
    return shapes


def _modalities(net: str, width: int) -> Shapes:
    """The vectors that V-JEPA 2.1 adds to the tokens of a picture and to those of a video."""
    return {f"{net}.embeddings.modality_{kind}": (1, 1, width) for kind in ("image", "video")}


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


