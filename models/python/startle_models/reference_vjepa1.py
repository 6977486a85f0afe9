"""V-JEPA 1 in plain PyTorch, from the library's own layers: what the exported graphs are compared with.

No model library has V-JEPA 1, but its block is exactly `torch.nn.TransformerEncoderLayer` with the norm
first (`Block` in `src/models/utils/modules.py` of github.com/facebookresearch/jepa). The modules are
called like those of `transformers.VJEPA2Model`, so that `reference.py` runs on both.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from .checkpoints import ModelConfig, Tensors, Weights


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _filled(module: nn.Module, tensors: Tensors) -> nn.Module:
    module.load_state_dict(tensors, strict=True, assign=True)
    return module


def _layer(tensors: Tensors, heads: int, eps: float) -> nn.TransformerEncoderLayer:
    width, inner = tensors["norm1.weight"].shape[0], tensors["mlp.fc1.weight"].shape[0]
    layer = nn.TransformerEncoderLayer(
        width, heads, inner, dropout=0.0, activation="gelu", layer_norm_eps=eps,
        batch_first=True, norm_first=True, device="meta",
    )  # fmt: skip
    names = {"norm1": "norm1", "norm2": "norm2", "attention.proj": "self_attn.out_proj",
             "mlp.fc1": "linear1", "mlp.fc2": "linear2"}  # fmt: skip
    state = {f"{new}.{kind}": tensors[f"{old}.{kind}"] for old, new in names.items() for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        parts = [tensors[f"attention.{n}.{kind}"] for n in ("query", "key", "value")]
        state[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
    return _filled(layer, state)


def _layers(tensors: Tensors, prefix: str, count: int, heads: int, eps: float) -> nn.Sequential:
    return nn.Sequential(*(_layer(_part(tensors, f"{prefix}.layer.{i}."), heads, eps) for i in range(count)))


def _linear(tensors: Tensors, prefix: str) -> nn.Linear:
    outputs, inputs = tensors[f"{prefix}.weight"].shape
    return _filled(nn.Linear(inputs, outputs, device="meta"), _part(tensors, f"{prefix}."))


def _norm(tensors: Tensors, prefix: str, eps: float) -> nn.LayerNorm:
    state = _part(tensors, f"{prefix}.")
    return _filled(nn.LayerNorm(state["weight"].shape[0], eps=eps, device="meta"), state)


class Encoder(nn.Module):
    """`pixel_values_videos` [B, T, 3, H, W] → `last_hidden_state` [B, T/tubelet · g², D].

    A clip shorter than the table's takes its first slots: the same numbers as upstream's evaluation, which
    embeds the whole clip and then keeps the tokens of the first frames (patches don't overlap).
    """

    def __init__(self, config: ModelConfig, tensors: Tensors) -> None:
        super().__init__()
        c = config
        kernel = (c.tubelet_size, c.patch_size, c.patch_size)
        patch = nn.Conv3d(c.in_chans, c.hidden_size, kernel, stride=kernel, device="meta")
        self.patch = _filled(patch, _part(tensors, "encoder.embeddings.patch_embeddings.proj."))
        self.register_buffer("table", tensors["encoder.embeddings.positions"])
        self.layers = _layers(tensors, "encoder", c.num_hidden_layers, c.num_attention_heads, c.layer_norm_eps)
        self.norm = _norm(tensors, "encoder.layernorm", c.layer_norm_eps)

    def forward(self, pixel_values_videos: torch.Tensor) -> SimpleNamespace:
        x = self.patch(pixel_values_videos.transpose(1, 2)).flatten(2).transpose(1, 2)
        x = self.layers(x + self.table[:, : x.shape[1]])
        return SimpleNamespace(last_hidden_state=self.norm(x))


class Predictor(nn.Module):
    """Context tokens [B, Nc, D] and masks of token indices [B, N] → `last_hidden_state` [B, Nt, D].

    Takes one context mask and one target mask, each in a list, as `VJEPA2Predictor` does.
    """

    def __init__(self, config: ModelConfig, tensors: Tensors, mask_index: int) -> None:
        super().__init__()
        c, eps = config, config.layer_norm_eps
        tokens = tensors["predictor.embeddings.mask_tokens"]
        self.register_buffer("mask_token", tokens[mask_index % len(tokens)].reshape(1, 1, -1))
        self.register_buffer("table", tensors["predictor.embeddings.positions"])
        self.embed = _linear(tensors, "predictor.embeddings.predictor_embeddings")
        self.layers = _layers(tensors, "predictor", c.pred_num_hidden_layers, c.pred_num_attention_heads, eps)
        self.norm = _norm(tensors, "predictor.layernorm", eps)
        self.proj = _linear(tensors, "predictor.proj")

    def forward(self, encoder_hidden_states, context_mask: list, target_mask: list) -> SimpleNamespace:
        known = self.embed(encoder_hidden_states) + self.table[0][context_mask[0]]
        unknown = self.mask_token + self.table[0][target_mask[0]]
        x = self.norm(self.layers(torch.cat([known, unknown], dim=1)))
        return SimpleNamespace(last_hidden_state=self.proj(x[:, known.shape[1] :]))


def vjepa1_encoder(weights: Weights) -> nn.Module:
    """The encoder alone, in eval mode."""
    return Encoder(weights.config, weights.encoder).eval().requires_grad_(False)


def vjepa1_model(weights: Weights, mask_index: int = 0) -> SimpleNamespace:
    """Encoder and predictor as the `JepaModel` that `reference.py` asks for."""
    predictor = Predictor(weights.config, weights.predictor, mask_index).eval().requires_grad_(False)
    return SimpleNamespace(config=weights.config, encoder=vjepa1_encoder(weights), predictor=predictor)
