"""The lean networks with fewer and larger operators; the same numbers to rounding.

* for GPUs query, key and value come from one matrix product, and queries and keys are rotated together: on a CPU the
  copies that part them again cost more than is gained (5 to 9 % of a layer of ViT-L);
* for GPUs a residual sum, its bias and the LayerNorm that follows are one `com.microsoft.SkipLayerNormalization`: its
  kernel for the CPU (ONNX Runtime 1.31) takes four times as long as the three operators that it replaces;
* shapes are constants of the graph (in a Reshape 0 is "as before", -1 "what is left"), not computed layer by layer;
* the predictor's last layer computes the target tokens alone: nobody reads what it makes of the context.

`com.microsoft.FastGelu` has no place here: it is the tanh formula, the models have the exact one, which ONNX Runtime
fuses with its bias by itself. A test states the counts of operators.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .checkpoints import ModelConfig, Tensors
from .vjepa2_lean import Block, LeanEncoder, LeanPredictor, RotaryTable, _FusedAttention, _FusedGelu, _Trunk


FUSIONS = ("none", "cpu", "gpu")
"""How far to go: not at all, as far as a CPU gains, or with what only a GPU gains from."""


class _SkipNorm(torch.autograd.Function):
    """x + skip + bias and its LayerNorm, exported as one ONNX Runtime contrib operator with both results."""

    @staticmethod
    def forward(ctx, x, skip, weight, beta, bias, eps):
        total = x + bias + skip
        return F.layer_norm(total, total.shape[-1:], weight, beta, eps), total

    @staticmethod
    def symbolic(g, x, skip, weight, beta, bias, eps):
        name = "com.microsoft::SkipLayerNormalization"
        normed, _, _, total = g.op(name, x, skip, weight, beta, bias, epsilon_f=eps, outputs=4)
        return normed.setType(x.type()), total.setType(x.type())


class _Heads(torch.autograd.Function):
    """[B, N, heads·d] → [B, N, heads, d] by a constant shape."""

    @staticmethod
    def forward(ctx, x, heads, dim):
        return x.reshape(x.shape[0], x.shape[1], heads, dim)

    @staticmethod
    def symbolic(g, x, heads, dim):
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor([0, -1, heads, dim])))


class _Flat(torch.autograd.Function):
    """[B, N, heads, d] → [B, N, heads·d] by a constant shape."""

    @staticmethod
    def forward(ctx, x):
        return x.flatten(2)

    @staticmethod
    def symbolic(g, x):
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor([0, 0, -1])))


def _packed(layers: list[nn.Linear]) -> nn.Linear:
    """One product for several of the same input, their outputs in order."""
    biases = [layer.bias for layer in layers]
    outputs = sum(layer.out_features for layer in layers)
    packed = nn.Linear(layers[0].in_features, outputs, bias=biases[0] is not None, device="meta")
    packed.weight = nn.Parameter(torch.cat([layer.weight for layer in layers]), requires_grad=False)
    if biases[0] is not None:
        packed.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    return packed


class FusedBlock(nn.Module):
    """One transformer layer that takes its input normed and gives its output normed for the next."""

    def __init__(self, block: Block, next_norm: nn.LayerNorm, last: bool, gpu: bool) -> None:
        super().__init__()
        self.skip_norm = gpu
        self.heads, self.dtype, self.rotary, self.last = block.heads, block.dtype, block.rotary, last
        self.width = block.query.out_features
        self.packed = _packed([block.query, block.key, block.value]) if gpu and not last else None
        if self.packed is None:
            self.query, self.key, self.value = block.query, block.key, block.value
        self.proj, self.fc1, self.fc2 = block.proj, block.fc1, block.fc2
        self.norm2, self.next_norm = block.norm2, next_norm

    def forward(self, x: torch.Tensor, h: torch.Tensor, angles: tuple, known: torch.Tensor | None = None):
        """Residual stream x and its normed h [B, N, D] → both after the layer.

        `angles`: the rotary table, or nothing. `known`: with `last`, how many leading tokens are only attended to, and
        are not in the results.
        """
        h = h.to(self.dtype)
        if self.packed is None:
            asking, at = h, angles
            if self.last:
                x, asking, at = x[:, known:], h[:, known:], tuple(a[:, known:] for a in angles)
            query, key = self._turned(self.query(asking), 1, at), self._turned(self.key(h), 1, angles)
            value = self.value(h)
        elif angles:
            turned, value = self.packed(h).split([2 * self.width, self.width], dim=-1)
            query, key = self._turned(turned, 2, angles).split(self.width, dim=-1)
        else:
            query, key, value = self.packed(h).split(self.width, dim=-1)
        h = _FusedAttention.apply(query, key, value, self.heads)
        h, x = self._add(self.proj, h, x, self.norm2)
        gelu = _FusedGelu.apply if self.dtype != torch.float32 else F.gelu
        h = gelu(self.fc1(h.to(self.dtype)))
        h, x = self._add(self.fc2, h, x, self.next_norm)
        return x, h

    def _add(self, linear: nn.Linear, h: torch.Tensor, x: torch.Tensor, norm: nn.LayerNorm):
        """x + linear(h), normed and as it is; float32."""
        if not self.skip_norm:
            x = x + linear(h).to(x.dtype)
            return norm(x), x
        product = F.linear(h, linear.weight).to(x.dtype)
        return _SkipNorm.apply(product, x, norm.weight, norm.bias, linear.bias.to(x.dtype), norm.eps)

    def _turned(self, x: torch.Tensor, times: int, angles: tuple) -> torch.Tensor:
        """Rotates `times` · heads heads in [B, N, times·D]."""
        if not angles:
            return x
        cos, sin = angles
        r, dim = self.rotary.rotated, self.width // self.heads
        heads = _Heads.apply(x.to(cos.dtype), times * self.heads, dim)
        even, odd, *rest = heads.split([r, r, dim - 2 * r] if dim > 2 * r else [r, r], dim=-1)
        return _Flat.apply(heads * cos + torch.cat([odd, even, *rest], dim=-1) * sin).to(x.dtype)


class _FusedTrunk(nn.Module):
    """A stack of fused layers; `norms` hold the LayerNorms that follow each of them."""

    def __init__(self, trunk: _Trunk, final: nn.LayerNorm, gpu: bool, targets_only: bool) -> None:
        super().__init__()
        blocks = list(trunk.blocks)
        nexts = [block.norm1 for block in blocks[1:]] + [final]
        self.rotary: RotaryTable | None = trunk.rotary
        self.first = blocks[0].norm1
        self.blocks = nn.ModuleList(
            FusedBlock(block, norm, targets_only and block is blocks[-1], gpu)
            for block, norm in zip(blocks, nexts, strict=True)
        )

    def forward(self, x: torch.Tensor, positions: torch.Tensor, known: torch.Tensor | None = None):
        """(residual stream, normed) after each layer."""
        angles = () if self.rotary is None else self.rotary(positions)
        h, outputs = self.first(x), []
        for block in self.blocks:
            x, h = block(x, h, angles, known)
            outputs.append((x, h))
        return outputs


class FusedEncoder(LeanEncoder):
    """`LeanEncoder` with fused operators; it must have a layer."""

    def __init__(self, config: ModelConfig, tensors: Tensors, *, gpu: bool = False, **kind) -> None:
        super().__init__(config, tensors, **kind)
        final = self.norm if self.norm is not None else self.norms[str(config.num_hidden_layers - 1)]
        self.fused = _FusedTrunk(self.trunk, final, gpu, targets_only=False)
        del self.trunk

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        outputs = self.fused(*self.embedded(pixel_values))
        levels = [norm(outputs[int(layer)][0]) for layer, norm in list(self.norms.items())[:-1]]
        return self.joined([*levels, outputs[-1][1]])


class FusedPredictor(LeanPredictor):
    """`LeanPredictor` with fused operators; it must have a layer."""

    def __init__(self, config: ModelConfig, tensors: Tensors, *, gpu: bool = False, **kind) -> None:
        super().__init__(config, tensors, **kind)
        self.fused = _FusedTrunk(self.trunk, self.norm, gpu, targets_only=True)
        del self.trunk, self.norm

    def forward(self, context: torch.Tensor, context_pos: torch.Tensor, target_pos: torch.Tensor) -> torch.Tensor:
        x, positions = self.embedded(context, context_pos, target_pos)
        _, h = self.fused(x, positions, context.shape[1])[-1]
        return self.proj(h.to(self.dtype)).to(context.dtype)
