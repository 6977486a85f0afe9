"""V-JEPA 2-AC in plain PyTorch: what the exported graphs are compared with.

Written from the description in `ac_lean.py`, apart from it: frames are doubled and go through the convolution, tokens
are turned section by section in their published order, and attention takes a table of what may be seen.
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


def turned(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Turns the leading three sections of [B, heads, N, d] by `places` [3, N], each by its own.

    As in the pretrained weights: the angles are tiled over a section, the pairs that turn are neighbours.
    """
    half, parts = x.shape[-1] // 3 // 2, []
    omega = 10000.0 ** -(torch.arange(half, dtype=torch.float32) / max(half, 1))
    for axis in range(3):
        section = x[..., 2 * half * axis : 2 * half * (axis + 1)]
        angle = (places[axis].float().unsqueeze(-1) * omega).repeat(1, 2)
        first, second = section.unflatten(-1, (-1, 2)).unbind(-1)
        swapped = torch.stack([-second, first], dim=-1).flatten(-2)
        parts.append(section * angle.cos() + swapped * angle.sin())
    return torch.cat([*parts, x[..., 6 * half :]], dim=-1)


def _block(tensors, prefix: str, x: torch.Tensor, places: torch.Tensor, heads: int, eps: float, seen=None):
    """One pre-norm transformer layer on [B, N, D]; `seen` [N, N] says what each token may look at."""
    h = _norm(tensors, f"{prefix}.norm1", x, eps)
    names = ("query", "key", "value")
    q, k, v = (_linear(tensors, f"{prefix}.attention.{n}", h).unflatten(-1, (heads, -1)).transpose(1, 2) for n in names)
    h = F.scaled_dot_product_attention(turned(q, places), turned(k, places), v, attn_mask=seen)
    x = x + _linear(tensors, f"{prefix}.attention.proj", h.transpose(1, 2).flatten(2))
    h = F.gelu(_linear(tensors, f"{prefix}.mlp.fc1", _norm(tensors, f"{prefix}.norm2", x, eps)))
    return x + _linear(tensors, f"{prefix}.mlp.fc2", h)


class Encoder(nn.Module):
    """`pixel_values_videos` [B, T, 3, H, W] → `last_hidden_state` [B, T · g², D], each frame doubled and alone."""

    def __init__(self, config: ModelConfig, tensors: Tensors) -> None:
        super().__init__()
        self.config, self.tensors = config, tensors

    def forward(self, pixel_values_videos: torch.Tensor) -> SimpleNamespace:
        c, t, patch = self.config, self.tensors, "encoder.embeddings.patch_embeddings.proj"
        batch = pixel_values_videos.shape[0]
        clips = pixel_values_videos.flatten(0, 1).unsqueeze(2).repeat(1, 1, c.tubelet_size, 1, 1)
        kernel = (c.tubelet_size, c.patch_size, c.patch_size)
        x = F.conv3d(clips, t[f"{patch}.weight"], t[f"{patch}.bias"], stride=kernel).flatten(2).transpose(1, 2)
        index = torch.arange(c.grid**2)
        places = torch.stack([torch.zeros_like(index), index // c.grid, index % c.grid])
        for i in range(c.num_hidden_layers):
            x = _block(t, f"encoder.layer.{i}", x, places, c.num_attention_heads, c.layer_norm_eps)
        x = _norm(t, "encoder.layernorm", x, c.layer_norm_eps)
        return SimpleNamespace(last_hidden_state=x.reshape(batch, -1, c.hidden_size))


class Predictor(nn.Module):
    """Context tokens [B, S·g², D], actions and states [B, S, A] → `last_hidden_state` [B, g², D] of frame S."""

    def __init__(self, config: ModelConfig, tensors: Tensors) -> None:
        super().__init__()
        self.config, self.tensors = config, tensors

    def forward(self, encoder_hidden_states, actions, states) -> SimpleNamespace:
        c, t, own = self.config, self.tensors, "predictor.embeddings"
        slots, area = actions.shape[1], c.grid**2
        known = F.layer_norm(encoder_hidden_states, (c.hidden_size,))
        tokens = _linear(t, f"{own}.predictor_embeddings", known).unflatten(1, (slots, area))
        parts = [_linear(t, f"{own}.action", actions), _linear(t, f"{own}.state", states)]
        x = torch.cat([*(p.unsqueeze(2) for p in parts), tokens], dim=2).flatten(1, 2)
        within = torch.cat([torch.zeros(2, dtype=torch.long), torch.arange(area)]).repeat(slots)
        frame = torch.arange(slots).repeat_interleave(area + 2)
        places = torch.stack([frame, within // c.grid, within % c.grid])
        seen = frame.unsqueeze(1) >= frame.unsqueeze(0)
        for i in range(c.pred_num_hidden_layers):
            x = _block(t, f"predictor.layer.{i}", x, places, c.pred_num_attention_heads, c.layer_norm_eps, seen)
        x = _norm(t, "predictor.layernorm", x[:, -area:], c.layer_norm_eps)
        out = _linear(t, "predictor.proj", x)
        return SimpleNamespace(last_hidden_state=F.layer_norm(out, (c.hidden_size,)))


def ac_encoder(weights) -> nn.Module:
    """The encoder alone, in eval mode, from `checkpoints.Weights`."""
    return Encoder(weights.config, weights.encoder).eval()


def ac_model(weights, mask_index: int = 0) -> SimpleNamespace:
    """Encoder and predictor as the `JepaModel` that `reference.py` asks for; there is no mask token."""
    predictor = Predictor(weights.config, weights.predictor).eval()
    return SimpleNamespace(config=weights.config, encoder=ac_encoder(weights), predictor=predictor)
