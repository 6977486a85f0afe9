"""Gates: cheap held-out measures that tell early whether the model predicts or only copies."""

from __future__ import annotations

import torch

from .net import Net
from .train_data import CONTEXTS, FPS, HORIZON, normalise
from .train_tokens import moving_tokens
from .world import SceneSpec, lawful_video

HELD_OUT = 900_000_007


def held_out(cfg, n: int = 96, full: bool = True):
    """Held-out lawful clips, uint8 [n, cfg.frames, H, W, 3]."""
    spec = SceneSpec() if full else SceneSpec.plain()
    g = torch.Generator().manual_seed(HELD_OUT + int(full))
    return lawful_video(n, cfg.frames + 4, FPS, cfg.crop, cfg.crop, g, spec)[:, 4:]


def effective_rank(features) -> float:
    """exp of the entropy of the normalised covariance spectrum of tokens [N, D]."""
    x = features.reshape(-1, features.shape[-1]).double()
    value = torch.linalg.eigvalsh(torch.cov(x.T)).clamp(min=0)
    p = value / value.sum()
    return float(torch.exp(-(p * (p + 1e-12).log()).sum()))


@torch.no_grad()
def prediction_gate(net: Net, video, context: int) -> dict[str, float]:
    """Squared error of the prediction divided by that of copying the last context slot, on moving and
    static tokens, per horizon; and the mean L1 of static tokens."""
    cfg, n = net.cfg, net.cfg.per_slot
    clip = normalise(video)
    target = net.targets(clip)
    k = context // cfg.tubelet
    true, last = target[:, k * n:(k + HORIZON) * n], target[:, (k - 1) * n:k * n].repeat(1, HORIZON, 1)
    pred = net.predict(clip, context, HORIZON)
    moving = moving_tokens(video, context, cfg)
    e, c = (pred - true).square().sum(-1), (last - true).square().sum(-1)
    out = {}
    for h in range(HORIZON):
        sl = slice(h * n, (h + 1) * n)
        for name, m in (("moving", moving[:, sl]), ("static", ~moving[:, sl])):
            out[f"{name}+{h + 1}"] = float(e[:, sl][m].sum() / c[:, sl][m].sum())
    out["static_l1"] = float((pred - true).abs().mean(-1)[~moving].mean())
    out["static_copy_l1"] = float((last - true).abs().mean(-1)[~moving].mean())
    out["moving_l1"] = float((pred - true).abs().mean(-1)[moving].mean())
    return out


@torch.no_grad()
def gates(net: Net, sets: dict, contexts=CONTEXTS) -> dict[str, float]:
    """All gates on the held-out sets {name: uint8 video}."""
    out = {}
    for name, video in sets.items():
        for c in contexts:
            for key, value in prediction_gate(net, video, c).items():
                out[f"{name}/C{c}/{key}"] = value
    some = normalise(next(iter(sets.values()))[:48])
    out["rank_encoder"] = effective_rank(net.encoder(some))
    out["rank_target"] = effective_rank(net.targets(some))
    out["encoder_std"] = float(net.encoder(some).flatten(0, 1).std(0).mean())
    return out
