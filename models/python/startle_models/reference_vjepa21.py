"""V-JEPA 2.1 in plain PyTorch: what the exported graphs are compared with.

Written from the description in `vjepa21.py`, apart from the lean networks: rotations are products of complex
numbers, the patch embedding is a convolution, the predictor sorts its tokens by place as upstream does, and the
modality vectors are added where upstream adds them. The modules are called like those of `transformers.VJEPA2Model`,
so that `reference.py` runs on both.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from .shapes import ModelConfig, Tensors


def _linear(tensors: Tensors, prefix: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, tensors[f"{prefix}.weight"], tensors.get(f"{prefix}.bias"))


def _norm(tensors: Tensors, prefix: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"], eps)


def rotations(places: torch.Tensor, head_dim: int, config: ModelConfig) -> torch.Tensor:
    """Unit complex numbers [B, 1, N, ⌊head_dim/6⌋·3] by which the feature pairs of a head at `places` [B, N] turn.

    A third of the pairs each for time, row and column; pair i of a third turns by place · 10000^(-i/half).
    """
    half, grid = head_dim // 3 // 2, config.grid
    time, within = places // grid**2, places % grid**2
    row, column = within // grid * config.place_scale, within % grid * config.place_scale
    omega = 10000.0 ** -(torch.arange(half, dtype=torch.float64) / max(half, 1))
    angles = torch.cat([axis.unsqueeze(-1).double() * omega for axis in (time, row, column)], dim=-1)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64).unsqueeze(1)


def _turned(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turns the leading feature pairs of [B, heads, N, d]; the rest is kept."""
    count = 2 * turns.shape[-1]
    pairs = torch.view_as_complex(x[..., :count].unflatten(-1, (-1, 2)).contiguous())
    return torch.cat([torch.view_as_real(pairs * turns).flatten(-2), x[..., count:]], dim=-1)


def _block(tensors: Tensors, prefix: str, x: torch.Tensor, turns: torch.Tensor, heads: int, eps: float) -> torch.Tensor:
    """One pre-norm transformer layer on [B, N, D]."""
    h = _norm(tensors, f"{prefix}.norm1", x, eps)
    names = ("query", "key", "value")
    q, k, v = (_linear(tensors, f"{prefix}.attention.{n}", h).unflatten(-1, (heads, -1)).transpose(1, 2) for n in names)
    h = F.scaled_dot_product_attention(_turned(q, turns), _turned(k, turns), v)
    x = x + _linear(tensors, f"{prefix}.attention.proj", h.transpose(1, 2).flatten(2))
    h = F.gelu(_linear(tensors, f"{prefix}.mlp.fc1", _norm(tensors, f"{prefix}.norm2", x, eps)))
    return x + _linear(tensors, f"{prefix}.mlp.fc2", h)


class Encoder(nn.Module):
    """`pixel_values_videos` [B, T, 3, H, W] → `last_hidden_state` [B, T/tubelet · g², levels · D]."""

    def __init__(self, config: ModelConfig, tensors: Tensors) -> None:
        super().__init__()
        self.config, self.tensors = config, tensors

    def forward(self, pixel_values_videos: torch.Tensor) -> SimpleNamespace:
        c, t = self.config, self.tensors
        patch = "encoder.embeddings.patch_embeddings.proj"
        kernel = (c.tubelet_size, c.patch_size, c.patch_size)
        x = F.conv3d(pixel_values_videos.transpose(1, 2), t[f"{patch}.weight"], t[f"{patch}.bias"], stride=kernel)
        x = x.flatten(2).transpose(1, 2) + t["encoder.embeddings.modality_video"]
        places = torch.arange(x.shape[1]).unsqueeze(0)
        turns = rotations(places, c.hidden_size // c.num_attention_heads, c)
        levels = []
        for i in range(c.num_hidden_layers):
            x = _block(t, f"encoder.layer.{i}", x, turns, c.num_attention_heads, c.layer_norm_eps)
            if i in c.level_layers:
                norm = f"encoder.norms.{c.hierarchical_layers.index(i)}"
                levels.append(_norm(t, norm, x, c.layer_norm_eps))
        return SimpleNamespace(last_hidden_state=torch.cat(levels, dim=-1))


class Predictor(nn.Module):
    """Context tokens [B, Nc, levels · D] and masks of token indices [B, N] → `last_hidden_state` [B, Nt, target width].

    Takes one context mask and one target mask, each in a list, as `VJEPA2Predictor` does.
    """

    def __init__(self, config: ModelConfig, tensors: Tensors, mask_index: int) -> None:
        super().__init__()
        self.config, self.tensors, self.mask_index = config, tensors, mask_index

    def forward(self, encoder_hidden_states, context_mask: list, target_mask: list) -> SimpleNamespace:
        c, t, embed = self.config, self.tensors, "predictor.embeddings.predictor_embeddings"
        known = encoder_hidden_states
        if len(c.level_layers) > 1:
            known = _linear(t, f"{embed}.2", F.gelu(_linear(t, f"{embed}.0", known)))
        else:
            known = _linear(t, embed, known)
        tokens = t["predictor.embeddings.mask_tokens"]
        unknown = tokens[self.mask_index % len(tokens)].expand(len(known), target_mask[0].shape[1], -1)
        places = torch.cat([context_mask[0], target_mask[0]], dim=1)
        order = places.argsort(dim=1)
        x = torch.cat([known, unknown], dim=1).take_along_dim(order.unsqueeze(-1), dim=1)
        x = x + t["predictor.embeddings.modality_video"]
        turns = rotations(places.take_along_dim(order, dim=1), c.pred_hidden_size // c.pred_num_attention_heads, c)
        for i in range(c.pred_num_hidden_layers):
            x = _block(t, f"predictor.layer.{i}", x, turns, c.pred_num_attention_heads, c.layer_norm_eps)
        x = _norm(t, "predictor.layernorm", x, c.layer_norm_eps)
        x = x.take_along_dim(order.argsort(dim=1).unsqueeze(-1), dim=1)[:, known.shape[1] :]
        return SimpleNamespace(last_hidden_state=_linear(t, "predictor.proj", x))


def vjepa21_encoder(weights) -> nn.Module:
    """The encoder alone, in eval mode, from `checkpoints.Weights`."""
    return Encoder(weights.config, weights.encoder).eval()


def vjepa21_model(weights, mask_index: int = 0) -> SimpleNamespace:
    """Encoder and predictor as the `JepaModel` that `reference.py` asks for."""
    predictor = Predictor(weights.config, weights.predictor, mask_index).eval()
    return SimpleNamespace(config=weights.config, encoder=vjepa21_encoder(weights), predictor=predictor)
