"""V-JEPA 2-AC written for export: surprise given what the robot was told to do.

Facts: `src/models/ac_predictor.py`, `ACRoPEAttention` in `src/models/utils/modules.py`, `app/vjepa_droid/train.py` and
`notebooks/energy_landscape_example.ipynb` of github.com/facebookresearch/vjepa2.

* Every frame is encoded by itself, as a clip of twice that frame, so a slot is one frame; the kernel's two halves see
  the same picture and are added beforehand.
* The predictor reads, for each frame, the action that follows it, the robot's state, and the frame's tokens, which are
  **layer-normed first** (no affine, eps 1e-5; `normalize_reps`). Attention goes from a frame to itself and to earlier
  ones. Action and state stand at the frame's time, row 0 and column 0. What comes out at a frame's places is the next
  frame, layer-normed again.
* The prediction here is that of the frame after the last one given: one step, as `z_tf` of the training loss. Frames
  are encoded apart and attention is causal, so nothing of the future is in it. Longer horizons are steps repeated.

An action is the change of the state up to the next frame (`poses_to_diffs`); a state is position (3, metres), extrinsic
xyz Euler angles (3, radians) and gripper (1, 0..1). The checkpoint's `extrinsics_encoder` is checked and not used, as
upstream (`use_extrinsics: false`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from .checkpoints import ModelConfig, Tensors
from .vjepa2_lean import Block, RotaryTable, _FusedGelu, _linear, _norm


class _CausalAttention(torch.autograd.Function):
    """softmax(q kᵀ / √d + bias) v on [B, N, heads·d] with bias [1, 1, N, N]; one ONNX Runtime contrib operator."""

    @staticmethod
    def forward(ctx, query, key, value, bias, heads):
        return _plain(query, key, value, bias, heads)

    @staticmethod
    def symbolic(g, query, key, value, bias, heads):
        absent = g.op("prim::Constant")
        absent.setType(torch._C.OptionalType.ofTensor())
        inputs = (query, key, value, absent, absent, bias)
        return g.op("com.microsoft::MultiHeadAttention", *inputs, num_heads_i=heads).setType(query.type())


def _plain(query, key, value, bias, heads: int) -> torch.Tensor:
    batch, _, width = query.shape
    dim = int(width) // heads
    q, k, v = (x.reshape(batch, -1, heads, dim).transpose(1, 2) for x in (query, key, value))
    scores = torch.matmul(q * dim**-0.5, k.transpose(-1, -2)).float() + bias.float()
    out = torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), v)
    return out.transpose(1, 2).reshape(batch, -1, width)


class CausalBlock(Block):
    """`Block` whose attention is limited by a bias."""

    def forward(self, x: torch.Tensor, bias: torch.Tensor, *angles: torch.Tensor) -> torch.Tensor:
        h = self.norm1(x).to(self.dtype)
        attend = _CausalAttention.apply if self.attention == "mha" else _plain
        query, key = self._turned(self.query(h), *angles), self._turned(self.key(h), *angles)
        x = x + self.proj(attend(query, key, self.value(h), bias, self.heads)).to(x.dtype)
        gelu = _FusedGelu.apply if self.attention == "mha" and self.dtype != torch.float32 else F.gelu
        return x + self.fc2(gelu(self.fc1(self.norm2(x).to(self.dtype)))).to(x.dtype)


class FrameEncoder(nn.Module):
    """pixel_values [B, T, 3, H, W] → tokens [B, T · g², D], every frame encoded by itself, final LayerNorm included."""

    def __init__(self, encoder: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        c = self.config
        batch, frames = pixel_values.shape[0], pixel_values.shape[1]
        single = pixel_values.reshape(-1, 1, c.in_chans, c.crop_size, c.crop_size)
        return self.encoder(single).reshape(batch, frames * c.grid**2, c.hidden_size)


def single_frame(config: ModelConfig, tensors: Tensors) -> tuple[ModelConfig, Tensors]:
    """The encoder of single frames as a V-JEPA 2 encoder whose tubelets are one frame long."""
    name = "encoder.embeddings.patch_embeddings.proj.weight"
    alike = replace(config, model_type="vjepa2", tubelet_size=1, frames_per_clip=1, action_dim=0)
    return alike, tensors | {name: tensors[name].sum(dim=2, keepdim=True)}


class ActionPredictor(nn.Module):
    """context [B, S·g², D], actions [B, S, A], states [B, S, A] → prediction [B, g², D] of frame S, layer-normed.

    The context is the encoder's output for frames 0..S-1, not normed; the predictor norms it. Action s is what was done
    between frames s and s+1.
    """

    def __init__(self, config: ModelConfig, tensors: Tensors, *, attention: str = "mha", dtype=torch.float32) -> None:
        super().__init__()
        c, own = config, "predictor.embeddings"
        self.config, self.dtype = c, dtype
        self.embed = _linear(tensors, f"{own}.predictor_embeddings", dtype)
        self.action, self.state = _linear(tensors, f"{own}.action", dtype), _linear(tensors, f"{own}.state", dtype)
        self.rotary = RotaryTable(c.pred_hidden_size // c.pred_num_attention_heads, c)
        eps, kind = c.layer_norm_eps, {"attention": attention, "dtype": dtype}
        self.blocks = nn.ModuleList(
            CausalBlock(tensors, f"predictor.layer.{i}", c.pred_num_attention_heads, eps, self.rotary, **kind)
            for i in range(c.pred_num_hidden_layers)
        )
        self.norm, self.proj = _norm(tensors, "predictor.layernorm", eps), _linear(tensors, "predictor.proj", dtype)
        place = torch.zeros(1, 1, 2 + c.grid**2, 3)  # action and state stand at row 0, column 0
        index = torch.arange(c.grid**2)
        place[0, 0, 2:, 1], place[0, 0, 2:, 2] = index // c.grid, index % c.grid
        self.register_buffer("place", place)
        self.register_buffer("later", torch.tensor([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3))

    def forward(self, context: torch.Tensor, actions: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        c, area = self.config, self.config.grid**2
        batch, slots = actions.shape[0], actions.shape[1]
        normed = F.layer_norm(context, (c.hidden_size,))
        frames = self.embed(normed.to(self.dtype)).reshape(batch, slots, area, c.pred_hidden_size)
        a, s = (f(x.to(self.dtype)).unsqueeze(2) for f, x in ((self.action, actions), (self.state, states)))
        x = torch.cat([a, s, frames], dim=2).to(context.dtype).reshape(batch, -1, c.pred_hidden_size)
        time = torch.arange(slots, device=x.device).to(torch.float32).reshape(1, -1, 1, 1)
        angles = self.rotary.at((self.place + time * self.later).reshape(1, -1, 3))
        when = (time + torch.zeros_like(self.place[..., :1])).reshape(1, 1, -1, 1)  # the frame of each token
        least = torch.full((), torch.finfo(self.dtype).min)
        bias = torch.where(when < when.transpose(-1, -2), least, torch.zeros(())).to(self.dtype)
        for block in self.blocks:
            x = block(x, bias, *angles)
        x = x.reshape(batch, slots, area + 2, c.pred_hidden_size)[:, -1, 2:]
        out = self.proj(self.norm(x).to(self.dtype)).to(context.dtype)
        return F.layer_norm(out, (c.hidden_size,))
