"""V-JEPA written for export: same numbers as `VJEPA2Model`, about a fifth of the graph nodes.

What differs from the training code, none of it visible in the results beyond rounding:

* the rotary table is computed once per call, not once per layer;
* the even and odd features that a rotation pairs are brought into two halves by permuting the rows
  of the query and key weights beforehand, so a rotation is slice, concat, multiply, add
  (a dot product does not change when both sides are permuted alike);
* the patch embedding is a matrix product (its convolution does not overlap);
* the predictor does not sort its tokens (attention with explicit positions ignores order);
* attention can be the fused `com.microsoft.MultiHeadAttention` operator.

V-JEPA 1 has a fixed table of positions, added to the tokens once, in place of rotations; see
`reference_vjepa1.py`. V-JEPA 2.1 joins features of several depths and adds a modality vector, which is folded into
the bias before it; see `vjepa21.py`. All else is the same.

With `dtype` float16 or bfloat16 the matrix products, attention and GELU run in half precision; the residual stream,
LayerNorm, softmax, rotary tables and rotations and the graph's inputs and outputs stay float32. (The fused attention
operator does its softmax in float32 itself.)
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .checkpoints import ModelConfig, Tensors

ATTENTION_KINDS = ("mha", "plain")


class _FusedAttention(torch.autograd.Function):
    """softmax(q kᵀ / √d) v on [B, N, heads·d]; exported as one ONNX Runtime contrib operator."""

    @staticmethod
    def forward(ctx, query, key, value, heads):
        return _plain_attention(query, key, value, heads)

    @staticmethod
    def symbolic(g, query, key, value, heads):
        out = g.op("com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads)
        return out.setType(query.type())


def _plain_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    batch, _, width = query.shape
    dim = int(width) // heads
    q, k, v = (x.reshape(batch, -1, heads, dim).transpose(1, 2) for x in (query, key, value))
    scores = torch.matmul(q * dim**-0.5, k.transpose(-1, -2))
    out = torch.matmul(torch.softmax(scores.float(), dim=-1).to(v.dtype), v)
    return out.transpose(1, 2).reshape(batch, -1, width)


class _FusedGelu(torch.autograd.Function):
    """x·Φ(x) by the error function, exported as one operator, so that no step of it is rounded.

    ONNX Runtime's own for float16; for bfloat16 that of ONNX's operator set 20, the only one with a CUDA kernel.
    """

    @staticmethod
    def forward(ctx, x):
        return F.gelu(x)

    @staticmethod
    def symbolic(g, x):
        if x.type().scalarType() == "BFloat16":
            return g.op("Gelu", x, approximate_s="none").setType(x.type())
        return g.op("com.microsoft::Gelu", x).setType(x.type())


class RotaryTable(nn.Module):
    """Cosines and signed sines for token positions, in the permuted feature order.

    A head's features hold three equal sections of 2·⌊⌊d/3⌋/2⌋ for time, row and column; what is left
    is not rotated. Angle = position · 10000^(-i/half). As in the pretrained weights, the angles are
    tiled over a section while the rotated pairs are interleaved (`rotate_queries_or_keys` in
    `src/models/utils/modules.py` upstream, which calls it a bug kept for compatibility): both members
    of a pair thus turn by different angles. V-JEPA 2.1 is `corrected`: they turn by the same one, and rows and
    columns are multiplied by `place_scale`.
    """

    def __init__(self, head_dim: int, config: ModelConfig) -> None:
        super().__init__()
        self.grid = config.grid
        self.half = (head_dim // 3) // 2
        self.rotated = 3 * self.half
        omega = torch.arange(self.half, dtype=torch.float32)
        omega /= max(self.half, 1)
        omega = 1.0 / 10000**omega
        tiled = torch.arange(2 * self.half) % max(self.half, 1)
        even, odd = (omega, omega) if config.corrected else (omega[tiled[0::2]], omega[tiled[1::2]])
        axes = torch.zeros(3, head_dim)
        for axis in range(3):
            start = axis * self.half
            axes[axis, start : start + self.half] = even
            axes[axis, self.rotated + start : self.rotated + start + self.half] = odd
        axes[1:] *= config.place_scale
        sign = torch.ones(head_dim)
        sign[: self.rotated] = -1.0
        self.register_buffer("axes", axes)
        self.register_buffer("sign", sign)

    def permutation(self) -> torch.Tensor:
        """Old feature index for each new one: even members of all sections, odd members, the rest."""
        dim = self.axes.shape[1]
        pairs = torch.arange(2 * self.rotated).reshape(3, self.half, 2)
        rest = torch.arange(2 * self.rotated, dim)
        return torch.cat([pairs[..., 0].flatten(), pairs[..., 1].flatten(), rest])

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token indices [B, N] (t·g² + row·g + column) → cosine and signed sine [B, N, 1, d]."""
        area = self.grid * self.grid
        time = torch.div(positions, area, rounding_mode="trunc")
        within = positions - time * area
        row = torch.div(within, self.grid, rounding_mode="trunc")
        column = within - row * self.grid
        return self.at(torch.stack([time, row, column], dim=-1).to(torch.float32))

    def at(self, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Time, row and column [B, N, 3] → as `forward`."""
        # One nonzero per column of `axes`: the product is an exact selection and scaling.
        angle = torch.matmul(place, self.axes).unsqueeze(2)
        return angle.cos(), angle.sin() * self.sign

    def rotate(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Rotates [B, N, heads, d] by a table of [B, N, 1, d]."""
        r = self.rotated
        swapped = torch.cat([x[..., r : 2 * r], x[..., :r], x[..., 2 * r :]], dim=-1)
        return x * cos + swapped * sin


def _linear(tensors: Tensors, prefix: str, dtype: torch.dtype, rows: torch.Tensor | None = None) -> nn.Linear:
    weight, bias = tensors[f"{prefix}.weight"], tensors.get(f"{prefix}.bias")
    if rows is not None:
        weight, bias = weight[rows], None if bias is None else bias[rows]
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
    return layer


def _shifted(layer: nn.Linear, vector: torch.Tensor | None) -> nn.Linear:
    """Adds a vector to all that `layer` gives, in its bias."""
    if vector is not None:
        layer.bias = nn.Parameter((layer.bias.float() + vector.flatten()).to(layer.bias.dtype), requires_grad=False)
    return layer


def _norm(tensors: Tensors, prefix: str, eps: float) -> nn.LayerNorm:
    layer = nn.LayerNorm(tensors[f"{prefix}.weight"].shape[0], eps=eps, device="meta")
    layer.weight = nn.Parameter(tensors[f"{prefix}.weight"], requires_grad=False)
    layer.bias = nn.Parameter(tensors[f"{prefix}.bias"], requires_grad=False)
    return layer


class Block(nn.Module):
    """One pre-norm transformer layer on [B, N, D]; without `rotary`, queries and keys are not turned."""

    def __init__(
        self, tensors: Tensors, prefix: str, heads: int, eps: float, rotary: RotaryTable | None, **kind
    ) -> None:
        super().__init__()
        self.heads, self.attention, self.dtype = heads, kind["attention"], kind["dtype"]
        self.rotary, rows = rotary, None
        if rotary is not None:
            permutation = rotary.permutation()
            rows = (torch.arange(heads)[:, None] * len(permutation) + permutation).flatten()
        self.norm1 = _norm(tensors, f"{prefix}.norm1", eps)
        self.query = _linear(tensors, f"{prefix}.attention.query", self.dtype, rows)
        self.key = _linear(tensors, f"{prefix}.attention.key", self.dtype, rows)
        self.value = _linear(tensors, f"{prefix}.attention.value", self.dtype)
        self.proj = _linear(tensors, f"{prefix}.attention.proj", self.dtype)
        self.norm2 = _norm(tensors, f"{prefix}.norm2", eps)
        self.fc1 = _linear(tensors, f"{prefix}.mlp.fc1", self.dtype)
        self.fc2 = _linear(tensors, f"{prefix}.mlp.fc2", self.dtype)

    def forward(self, x: torch.Tensor, *angles: torch.Tensor) -> torch.Tensor:
        """`angles`: the cosine and sine of `RotaryTable.forward`, none without `rotary`."""
        h = self.norm1(x).to(self.dtype)
        attend = _FusedAttention.apply if self.attention == "mha" else _plain_attention
        query, key = self.query(h), self.key(h)
        if self.rotary is not None:
            query, key = self._turned(query, *angles), self._turned(key, *angles)
        h = attend(query, key, self.value(h), self.heads)
        x = x + self.proj(h).to(x.dtype)
        h = self.norm2(x).to(self.dtype)
        gelu = _FusedGelu.apply if self.attention == "mha" and self.dtype != torch.float32 else F.gelu
        return x + self.fc2(gelu(self.fc1(h))).to(x.dtype)

    def _turned(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        split = x.reshape(batch, tokens, self.heads, width // self.heads).to(cos.dtype)
        return self.rotary.rotate(split, cos, sin).reshape(batch, tokens, width).to(x.dtype)


class _Trunk(nn.Module):
    """The layers that encoder and predictor share: a rotary table (V-JEPA 2 only) and a stack of blocks."""

    def __init__(self, tensors: Tensors, prefix: str, width: int, heads: int, layers: int, config: ModelConfig, **kind):
        super().__init__()
        self.dtype = kind["dtype"]
        self.rotary = RotaryTable(width // heads, config) if config.rotary else None
        self.blocks = nn.ModuleList(
            Block(tensors, f"{prefix}.layer.{i}", heads, config.layer_norm_eps, self.rotary, **kind)
            for i in range(layers)
        )

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Tokens [B, N, width] float32 and their indices [B or 1, N] → [B, N, width] float32."""
        return self.depths(x, positions)[-1]

    def depths(self, x: torch.Tensor, positions: torch.Tensor) -> list[torch.Tensor]:
        """As `forward`, but what comes out of every block; `x` itself where there is none."""
        if len(self.blocks) == 0:
            return [x]
        angles = () if self.rotary is None else self.rotary(positions)
        outputs = []
        for block in self.blocks:
            x = block(x, *angles)
            outputs.append(x)
        return outputs


class LeanEncoder(nn.Module):
    """pixel_values [B, T, 3, H, W], normalised → tokens [B, T/tubelet · g², D], final LayerNorm included.

    V-JEPA 2.1: the normed features of each of `level_layers`, joined; D = `token_dim`. T must be a multiple of the
    tubelet size and H = W = `crop_size`: the reshape fails otherwise. With a position table, T tokens take its first
    rows, and more than it has fail.
    """

    def __init__(self, config: ModelConfig, tensors: Tensors, *, attention: str = "mha", dtype=torch.float32) -> None:
        super().__init__()
        self.config = config
        self.dtype = dtype
        patch = "encoder.embeddings.patch_embeddings.proj"
        flat = {"p.weight": tensors[f"{patch}.weight"].flatten(1), "p.bias": tensors[f"{patch}.bias"]}
        self.patch = _shifted(_linear(flat, "p", dtype), tensors.get("encoder.embeddings.modality_video"))
        self.register_buffer("table", tensors.get("encoder.embeddings.positions"))
        self.trunk = _Trunk(
            tensors, "encoder", config.hidden_size, config.num_attention_heads, config.num_hidden_layers,
            config, attention=attention, dtype=dtype,
        )  # fmt: skip
        eps, layers = config.layer_norm_eps, config.hierarchical_layers
        self.norm = None if config.level_layers else _norm(tensors, "encoder.layernorm", eps)
        self.norms = nn.ModuleDict(
            {str(i): _norm(tensors, f"encoder.norms.{layers.index(i)}", eps) for i in config.level_layers}
        )

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        depths = self.trunk.depths(*self.embedded(pixel_values))
        if self.norm is not None:
            return self.norm(depths[-1])
        return self.joined([norm(depths[int(layer)]) for layer, norm in self.norms.items()])

    def joined(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """The normed features of several depths as one token."""
        return torch.cat(levels, dim=-1) if len(levels) > 1 else levels[0]

    def embedded(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What goes into the layers: tokens [B, N, width] and their indices [1, N]."""
        c, g, p = self.config, self.config.grid, self.config.patch_size
        batch, frames = pixel_values.shape[0], pixel_values.shape[1]
        slots = torch.div(frames, c.tubelet_size, rounding_mode="trunc") if torch.is_tensor(frames) else (
            frames // c.tubelet_size)  # fmt: skip
        # The leading size is spelled out, not -1: an odd T must fail, not run across the batch.
        x = pixel_values.reshape(batch * slots, c.tubelet_size, c.in_chans, g, p, g, p)
        x = x.permute(0, 3, 5, 2, 1, 4, 6).reshape(batch, slots * g * g, c.in_chans * c.tubelet_size * p * p)
        x = self.patch(x.to(self.dtype)).to(pixel_values.dtype)
        if self.table is not None:
            x = x + self.table[:, : x.shape[1]]
        return x, torch.arange(x.shape[1], device=x.device).unsqueeze(0)


class LeanPredictor(nn.Module):
    """context [B, Nc, D], context_pos [B, Nc], target_pos [B, Nt] → prediction [B, Nt, D].

    V-JEPA 2.1: D is `token_dim` of the context and `target_dim` of the prediction. Positions are token indices
    t·g² + row·g + column, int64, from 0. `mask_index` picks the mask token, modulo their number, as in
    `VJEPA2PredictorEmbeddings.forward` (default 1 there and upstream).
    """

    def __init__(
        self, config: ModelConfig, tensors: Tensors, *, attention: str = "mha", dtype=torch.float32, mask_index: int = 1
    ) -> None:
        super().__init__()
        self.dtype = dtype
        embed = "predictor.embeddings.predictor_embeddings"
        modality = tensors.get("predictor.embeddings.modality_video")
        joined = f"{embed}.0.weight" in tensors
        self.mix = _linear(tensors, f"{embed}.0", dtype) if joined else None
        self.embed = _shifted(_linear(tensors, f"{embed}.2" if joined else embed, dtype), modality)
        tokens = tensors["predictor.embeddings.mask_tokens"]
        token = tokens[mask_index % tokens.shape[0]].reshape(1, 1, -1)
        self.mask_token = nn.Parameter(token if modality is None else token + modality, requires_grad=False)
        self.register_buffer("table", tensors.get("predictor.embeddings.positions"))
        self.trunk = _Trunk(
            tensors, "predictor", config.pred_hidden_size, config.pred_num_attention_heads,
            config.pred_num_hidden_layers, config, attention=attention, dtype=dtype,
        )  # fmt: skip
        self.norm = _norm(tensors, "predictor.layernorm", config.layer_norm_eps)
        self.proj = _linear(tensors, "predictor.proj", dtype)

    def forward(self, context: torch.Tensor, context_pos: torch.Tensor, target_pos: torch.Tensor) -> torch.Tensor:
        x = self.trunk(*self.embedded(context, context_pos, target_pos))
        x = self.norm(x[:, context.shape[1] :])
        return self.proj(x.to(self.dtype)).to(context.dtype)

    def embedded(
        self, context: torch.Tensor, context_pos: torch.Tensor, target_pos: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What goes into the layers: tokens [B, Nc + Nt, width], the context first, and their indices."""
        known = context.to(self.dtype)
        if self.mix is not None:
            known = F.gelu(self.mix(known))
        known = self.embed(known).to(context.dtype)
        unknown = self.mask_token.expand(target_pos.shape[0], target_pos.shape[1], -1)
        if self.table is not None:
            known = known + F.embedding(context_pos, self.table[0])
            unknown = unknown + F.embedding(target_pos, self.table[0])
        return torch.cat([known, unknown], dim=1), torch.cat([context_pos, target_pos], dim=1)
