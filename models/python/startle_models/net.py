"""A small V-JEPA 2 in plain PyTorch, with the parameter names and numerics of `VJEPA2Model`.

Sources: V-JEPA 2 (arXiv 2506.09985) and the `vjepa2` model of transformers, whose rotary positions are
reproduced as they are: cos and sin tiled, pairs interleaved. Contexts are prefixes of the clip and
targets the slots that follow; training may leave out some of their tokens, and then says which it kept.
"""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass(frozen=True)
class NetConfig:
    """Shape of encoder and predictor. Pixels: crop x crop, patch x patch x tubelet per token."""

    crop: int = 48
    patch: int = 8
    tubelet: int = 2
    frames: int = 24
    hidden: int = 128
    layers: int = 8
    heads: int = 4
    pred_hidden: int = 128
    pred_layers: int = 7
    pred_heads: int = 4
    eps: float = 1e-6

    @property
    def grid(self) -> int:
        return self.crop // self.patch

    @property
    def per_slot(self) -> int:
        return self.grid**2

    @property
    def patch_pixels(self) -> int:
        return 3 * self.tubelet * self.patch**2

    def hf(self, **over) -> dict:
        """Keyword arguments of VJEPA2Config."""
        return {
            "patch_size": self.patch, "crop_size": self.crop, "frames_per_clip": self.frames, "tubelet_size": self.tubelet,
            "hidden_size": self.hidden, "num_attention_heads": self.heads, "num_hidden_layers": self.layers,
            "mlp_ratio": 4.0, "layer_norm_eps": self.eps, "pred_hidden_size": self.pred_hidden,
            "pred_num_attention_heads": self.pred_heads, "pred_num_hidden_layers": self.pred_layers,
            "pred_num_mask_tokens": 1, "pred_zero_init_mask_tokens": False,
        } | over


def rope_tables(n: int, cfg: NetConfig, head_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and signed sin [n, head_dim] for token positions 0..n (t, h, w sections, rest unrotated)."""
    ids, g = torch.arange(n), cfg.grid
    axes = (ids // g**2, ids % g**2 // g, ids % g)
    section = 2 * (head_dim // 3 // 2)
    cos, sin = torch.ones(n, head_dim), torch.zeros(n, head_dim)
    omega = 1.0 / 10000 ** (torch.arange(section // 2) / (section / 2.0))
    for i, pos in enumerate(axes):
        angle = (pos[:, None] * omega).repeat(1, 2)
        cos[:, i * section:(i + 1) * section] = angle.cos()
        sin[:, i * section:(i + 1) * section] = angle.sin()
    sin[:, 0::2] *= -1  # (-x_odd, x_even) * sin = swapped pairs * signed sin
    return cos, sin


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads, self.head_dim = heads, dim // heads
        self.query, self.key, self.value, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x, cos, sin):
        b, n, d = x.shape

        def split(layer):
            return layer(x).view(b, n, self.heads, self.head_dim).transpose(1, 2)

        def turn(t):
            swapped = t.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
            return t * cos + swapped * sin

        q, k, v = turn(split(self.query)), turn(split(self.key)), split(self.value)
        if torch.is_autocast_enabled(x.device.type) and x.device.type == "cpu":
            # bf16 on CPU: the plain form is 1.7 times faster than the fused one, forward and backward
            out = (q * self.head_dim**-0.5 @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


class MLP(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int, eps: float):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim, eps), Attention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps), MLP(dim)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


def patches(clip, cfg: NetConfig):
    """Normalised clip [B,T,3,H,W] to tubelet pixels [B, tokens, 3*tubelet*patch*patch], conv3d order."""
    b, t, _, _, _ = clip.shape
    p, g, u = cfg.patch, cfg.grid, cfg.tubelet
    x = clip.reshape(b, t // u, u, 3, g, p, g, p).permute(0, 1, 4, 6, 3, 2, 5, 7)
    return x.reshape(b, (t // u) * g * g, cfg.patch_pixels)


class PatchEmbed(nn.Module):
    """The Conv3d patch embedding as a matrix product; keeps the Conv3d parameter shape."""

    def __init__(self, cfg: NetConfig):
        super().__init__()
        self.cfg = cfg
        self.proj = nn.Conv3d(3, cfg.hidden, (cfg.tubelet, cfg.patch, cfg.patch), (cfg.tubelet, cfg.patch, cfg.patch))

    def forward(self, clip, at=None):
        x = patches(clip, self.cfg)
        if at is not None:
            x = x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))
        return F.linear(x, self.proj.weight.flatten(1), self.proj.bias)


class Rotary(nn.Module):
    """cos and signed sin of token positions: all of the first n, or those at the indices `at` [B,K]."""

    def __init__(self, cfg: NetConfig, head_dim: int):
        super().__init__()
        cos, sin = rope_tables(cfg.frames // cfg.tubelet * cfg.per_slot, cfg, head_dim)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, n: int, at=None):
        if at is None:
            return self.cos[:n], self.sin[:n]
        return self.cos[at][:, None], self.sin[at][:, None]


class Encoder(nn.Module):
    """Clip [B,T,3,H,W] (normalised) to tokens [B, T/tubelet*grid*grid, hidden]; 0 layers are allowed.

    at [B,K]: indices of the only tokens to encode, None = all of them.
    """

    def __init__(self, cfg: NetConfig, layers: int | None = None):
        super().__init__()
        self.embeddings = nn.ModuleDict({"patch_embeddings": PatchEmbed(cfg)})
        self.layer = nn.ModuleList(
            Layer(cfg.hidden, cfg.heads, cfg.eps) for _ in range(cfg.layers if layers is None else layers))
        self.layernorm = nn.LayerNorm(cfg.hidden, cfg.eps)
        self.rotary = Rotary(cfg, cfg.hidden // cfg.heads)

    def forward(self, clip, at=None):
        x = self.embeddings["patch_embeddings"](clip, at)
        cos, sin = self.rotary(x.shape[1], at)
        for layer in self.layer:
            x = layer(x, cos, sin)
        return self.layernorm(x)


class PredictorEmbed(nn.Module):
    def __init__(self, cfg: NetConfig):
        super().__init__()
        self.predictor_embeddings = nn.Linear(cfg.hidden, cfg.pred_hidden)
        self.mask_tokens = nn.Parameter(torch.zeros(1, 1, 1, cfg.pred_hidden))


class Predictor(nn.Module):
    """Context tokens [B,Nc,hidden] to predictions [B,Nt,hidden].

    Without `at`: the context is a prefix and the targets are the n_target tokens after it. at [B, Nc+n_target]:
    token indices of context and targets.
    """

    def __init__(self, cfg: NetConfig):
        super().__init__()
        self.embeddings = PredictorEmbed(cfg)
        self.layer = nn.ModuleList(Layer(cfg.pred_hidden, cfg.pred_heads, cfg.eps) for _ in range(cfg.pred_layers))
        self.layernorm = nn.LayerNorm(cfg.pred_hidden, cfg.eps)
        self.proj = nn.Linear(cfg.pred_hidden, cfg.hidden)
        self.rotary = Rotary(cfg, cfg.pred_hidden // cfg.pred_heads)

    def forward(self, context, n_target: int, at=None):
        x = self.embeddings.predictor_embeddings(context)
        mask = self.embeddings.mask_tokens[0].to(x.dtype).expand(x.shape[0], n_target, -1)
        nc, x = x.shape[1], torch.cat([x, mask], 1)
        cos, sin = self.rotary(x.shape[1], at)
        for layer in self.layer:
            x = layer(x, cos, sin)
        return self.proj(self.layernorm(x[:, nc:]))


class Net(nn.Module):
    """Context encoder + predictor (trained) and the target encoder (fixed)."""

    def __init__(self, cfg: NetConfig, target_layers: int = 0):
        super().__init__()
        self.cfg = cfg
        self.encoder, self.predictor, self.target = Encoder(cfg), Predictor(cfg), Encoder(cfg, target_layers)
        self.target.requires_grad_(False)

    def predict(self, clip, context: int, horizon: int = 2):
        """Predictions [B, horizon*grid*grid, hidden] from the first `context` frames alone."""
        return self.predictor(self.encoder(clip[:, :context]), horizon * self.cfg.per_slot)

    def predict_some(self, clip, context: int, kept, wanted):
        """Predictions [B,M,hidden] of the tokens at `wanted` [B,M] from those at `kept` [B,K] of the context."""
        tokens = self.encoder(clip[:, :context], kept)
        return self.predictor(tokens, wanted.shape[1], torch.cat([kept, wanted], 1))

    @torch.no_grad()
    def targets(self, clip):
        """Layer-normed target features [B, tokens, hidden] of a whole clip."""
        return F.layer_norm(self.target(clip), (self.cfg.hidden,))


# ---- initialisation ------------------------------------------------------------------------------------

def fit_projection(pixels: torch.Tensor, components: int, power: float = 0.3):
    """Partly whitened principal components of tubelet pixels [N, P].

    Returns (weight [components, P], mean [P]); component i has standard deviation ~ eigenvalue^(1/2-power),
    all scaled so that the mean squared norm of a token is `components`.
    """
    mean = pixels.mean(0)
    cov = torch.cov((pixels - mean).double().T)
    value, vector = torch.linalg.eigh(cov)
    value, vector = value.flip(0)[:components].clamp(min=1e-8), vector.flip(1)[:, :components]
    scale = value**-power
    scale = scale * math.sqrt(components / float((value * scale**2).sum()))
    return (vector * scale).T.float(), mean


@torch.no_grad()
def set_target(net: Net, weight: torch.Tensor, mean: torch.Tensor):
    """Install the projection as the zero-layer target encoder, with a constant pair +-B in the last two
    dimensions (B^2 = components) so that layer norms act nearly as one common factor."""
    k, conv = weight.shape[0], net.target.embeddings["patch_embeddings"].proj
    conv.weight.zero_()
    conv.bias.zero_()
    conv.weight[:k] = weight.view(k, *conv.weight.shape[1:])
    conv.bias[:k] = -(weight @ mean)
    anchor = math.sqrt(k)
    conv.bias[-2], conv.bias[-1] = anchor, -anchor


def _kernel_bias(head_dim: int, space: float, recent: float):
    """Query and key biases [head_dim] whose rotary product prefers the same place and recent slots.

    space: logit gap to the neighbouring row or column; recent: logit gap per slot of age. Holds for
    head dim 32 (5 frequencies per axis: an odd number, so that sums of cos(w_i * distance) are exact).
    """
    q, k = torch.zeros(head_dim), torch.zeros(head_dim)
    s, root = 2 * (head_dim // 3 // 2), math.sqrt(head_dim)
    assert s == 10, "kernels are written for head dim 32"
    for axis in (1, 2):
        a = math.sqrt(space * root / 0.472)
        q[axis * s:(axis + 1) * s:2] = a
        k[axis * s:(axis + 1) * s:2] = a
    a = math.sqrt(recent * root / 0.18)
    q[7], k[6] = -a, -a          # pair 3: -sin(w p) cos(w p')
    q[1], k[0] = a, a            # pair 0: +cos(w p) sin(w p'), and a fast term that
    q[4], k[5] = a, a            # pair 2 takes away
    return q, k


@torch.no_grad()
def init_copy(net: Net, seed: int):
    """Weight initialisation: the untrained net copies the last context slot, every head starts local.

    Encoder = target projection with silent layers; predictor layer 0 attends from a mask token to the
    context token at its place in the latest slot (mask tokens are suppressed as keys), values and output
    identity; all other residual branches start at zero.
    """
    g = torch.Generator().manual_seed(seed)
    cfg = net.cfg
    assert cfg.hidden == cfg.pred_hidden
    d, hd = cfg.pred_hidden, cfg.pred_hidden // cfg.pred_heads

    def layer_init(layer: Layer, kernels):
        at = layer.attention
        for lin in (at.query, at.key, at.value, at.proj, layer.mlp.fc1, layer.mlp.fc2):
            lin.weight.copy_(torch.randn(lin.weight.shape, generator=g) * (0.5 / math.sqrt(lin.in_features)))
            lin.bias.zero_()
        at.proj.weight.mul_(0.02)
        layer.mlp.fc2.weight.mul_(0.02)
        for h, (space, recent) in enumerate(kernels):
            q, k = _kernel_bias(hd, space, recent)
            at.query.bias[h * hd:(h + 1) * hd], at.key.bias[h * hd:(h + 1) * hd] = q, k

    local = [(3.0, 0.0), (1.2, 0.0), (1.2, 0.7), (0.4, 0.3)]
    for layer in list(net.encoder.layer) + list(net.predictor.layer):
        layer_init(layer, local[:len(local)])
    src, dst = net.target.embeddings["patch_embeddings"].proj, net.encoder.embeddings["patch_embeddings"].proj
    dst.weight.copy_(src.weight)
    dst.bias.copy_(src.bias)
    emb = net.predictor.embeddings
    for lin in (emb.predictor_embeddings, net.predictor.proj):
        lin.weight.copy_(torch.eye(d))
        lin.bias.zero_()
    marker = d - 3  # a dimension the projection leaves empty: marks mask tokens
    emb.mask_tokens.zero_()
    emb.mask_tokens[..., marker] = 1.0
    first = net.predictor.layer[0]
    at = first.attention
    for lin in (at.value, at.proj):
        lin.weight.copy_(torch.eye(d))
    at.query.weight.mul_(0.1)
    at.key.weight.mul_(0.1)
    for h in range(cfg.pred_heads):
        q, k = _kernel_bias(hd, 6.0, 3.0)
        sl = slice(h * hd, (h + 1) * hd)
        at.query.bias[sl], at.key.bias[sl] = q, k
        at.query.bias[h * hd + hd - 1] = 8.0
        at.key.weight[h * hd + hd - 1].zero_()
        at.key.weight[h * hd + hd - 1, marker] = -1.5
