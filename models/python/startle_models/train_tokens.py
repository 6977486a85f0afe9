"""Which tokens a training step looks at: most of a still picture need not be encoded again and again."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .net import NetConfig, patches

MOVING = 0.025  # mean absolute grey-level change of a tubelet, pixels in [0, 1]


def _tubelets(video, cfg: NetConfig):
    """uint8 [B,T,H,W,3] to tubelet pixels [B, slots, tokens per slot, pixels] in [0, 1]."""
    p = patches(video.permute(0, 1, 4, 2, 3).float() / 255, cfg)
    return p.unflatten(1, (-1, cfg.per_slot))


def moving_tokens(video, context: int, cfg: NetConfig, horizon: int = 2):
    """[B, horizon*grid*grid] bool: tubelets that differ from the last context slot. video uint8."""
    p = _tubelets(video[:, context - cfg.tubelet:context + horizon * cfg.tubelet], cfg)
    return (p[:, 1:] - p[:, :1]).abs().mean(-1).gt(MOVING).flatten(1)


def _spread(mask, cfg: NetConfig):
    """bool [B, slots, tokens]: also the eight neighbours."""
    planes = mask.float().flatten(0, 1).view(-1, 1, cfg.grid, cfg.grid)
    return F.max_pool2d(planes, 3, 1, 1).view(mask.shape) > 0


def _pick(score, count: int, generator):
    """Indices [B,count], ascending, of the largest scores; ties are broken at random."""
    noise = torch.rand(score.shape, generator=generator).to(score.device)
    return (score.float() + noise).topk(count, dim=1).indices.sort(1).values


def kept_context(video, context: int, cfg: NetConfig, share: float, generator):
    """[B,K] indices of context tokens: the whole last slot; of the earlier ones the share that changed most
    recently or lies beside a change, filled up with others at random."""
    n, slots = cfg.per_slot, context // cfg.tubelet
    p = _tubelets(video[:, :context], cfg)
    change = (p[:, 1:] - p[:, :-1]).abs().mean(-1) > MOVING / 2
    busy = _spread(change, cfg)                       # change from slot s to s + 1
    busy[:, 1:] |= busy[:, :-1].clone()
    count = round(share * n * (slots - 1))
    early = _pick(busy.flatten(1), count, generator)
    last = torch.arange(n * (slots - 1), n * slots, device=early.device).expand(len(video), -1)
    return torch.cat([early, last], 1)


def wanted_targets(moving, context: int, cfg: NetConfig, share: float, generator):
    """[B,M] indices (within the clip) of the target tokens to predict: those that move and their neighbours
    first, others at random; and their places among the targets [B,M]."""
    score = moving.float() + _spread(moving.unflatten(1, (-1, cfg.per_slot)), cfg).flatten(1).float()
    place = _pick(score, round(share * moving.shape[1]), generator)
    return place + context // cfg.tubelet * cfg.per_slot, place
