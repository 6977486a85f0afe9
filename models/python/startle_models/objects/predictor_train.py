"""Stage `predictor`: clips of tokens to what comes next. The loss: the negative log-likelihood, weighted where lawful
motion changes."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F

from .clips import FRAMES, Pool, blurred
from .predictor import BIRTH, COLOUR, COLOUR_SCALE, HORIZONS, MEAN, SCALE, SHAPE, Predictor
from .run import Run, follow, rate

FILES = 7  # while training: more than things in a scene
BATCH = 48
RATE = 2e-3
EVENT = 9.0  # weight of a thing whose motion has just changed
UNSEEN = 4.0  # weight of whether a thing that is out of sight will be seen
FIRST = 2  # pictures that no loss is taken of


def unroll(net: Predictor, tokens, maps):
    """What was predicted and seen at each picture, stacked [B,F,..]."""
    b, frames = tokens.shape[:2]
    parts, birth = net.unpack(torch.zeros(b, net.width(FILES)))
    seen, after = [], []
    for t in range(frames):
        parts, s = net.step(parts, birth, tokens[:, t], maps[:, t])
        seen.append({k: s[k] for k in ("met", "obs", "was", "alive", "life", "age", "fresh", "cell")})
        after.append({k: parts[k] for k in ("alive", "age", "q1")})
    stack = {k: torch.stack([s[k] for s in seen], 1) for k in seen[0]}
    births = [torch.stack([a[k] for a in after[:-1]], 1).flatten(0, 1) for k in ("alive", "age", "q1")]
    stack["births"] = net.births(*births, maps[:, :-1].flatten(0, 1)).view(b, frames - 1, BIRTH, BIRTH)
    return stack


def loss(s, weight):
    """Scalar and its parts from unroll(); weight [B,F,N] of what each file met."""
    s = {k: v[:, FIRST:] if k != "births" else v[:, FIRST - 1:] for k, v in s.items()}
    met, obs, was = s["met"], s["obs"][..., None, :], s["was"]
    parts, total = {}, 0.0
    for i, h in enumerate(HORIZONS):
        known = s["alive"] * (s["life"] > h - 1.5)
        w = (met * known)[..., 0]
        m = w.sum().clamp(min=1)
        v = was[..., i, 0]
        watched = (known * torch.where(s["age"] > h - 0.5, UNSEEN, 1.0))[..., 0]
        here = F.binary_cross_entropy_with_logits(v, met[..., 0], reduction="none") * watched
        scale = was[..., i, SCALE]
        geometry = (obs[..., 0, 2:7] - was[..., i, MEAN]).abs() / scale.exp() + scale
        geometry = (geometry.sum(-1) * w * weight[:, FIRST:]).sum() / m
        c = was[..., i, COLOUR_SCALE]
        clear = w * (obs[..., 0, 1] > 0.5)
        colour = (obs[..., 0, 7:10] - was[..., i, COLOUR]).abs().sum(-1) / c.exp() + 3 * c
        shape = -(obs[..., 0, 10:14] * was[..., i, SHAPE].log_softmax(-1)).sum(-1)
        one = {"seen": here.sum() / watched.sum().clamp(min=1), "geometry": geometry, "colour": (colour * clear).sum() / clear.sum().clamp(min=1),
               "shape": (shape * clear).sum() / clear.sum().clamp(min=1)}
        total = total + 2 * one["seen"] + 0.2 * one["geometry"] + 0.05 * one["colour"] + 0.3 * one["shape"]
        parts |= {f"{k}_{h}": x for k, x in one.items()}
    b, f, k = s["cell"].shape
    came = torch.zeros(b, f, BIRTH**2).scatter_reduce_(2, s["cell"].long(), s["fresh"], "amax")
    births = F.binary_cross_entropy_with_logits(s["births"].flatten(2), came, reduction="none").sum(-1).mean()
    parts["births"] = births
    return total + births, {k: v.item() for k, v in parts.items()}


def train(folder, minutes: float, seed: int = 0, pools=("seen",), start: str | None = None, name: str = "predictor",
          blur: bool = False, only: str = ""):
    """Train for `minutes` in all on clips in folder/pools, from folder/start.pt if given; blur: of known tokens; only: the
    parameters whose names begin so, the others stay as they are."""
    run = Run(folder, name, minutes)
    state = run.load()
    torch.manual_seed(seed + run.step)
    net = Predictor()
    if state is None and start:
        net.load_state_dict(torch.load(f"{folder}/{start}.pt", weights_only=False)["average"])
    for key, parameter in net.named_parameters():
        parameter.requires_grad_(key.startswith(only))
    average = copy.deepcopy(net)
    step = torch.optim.AdamW(net.parameters(), RATE, (0.9, 0.98), weight_decay=0.01)
    if state:
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        step.load_state_dict(state["optimizer"])
    pool, recent = Pool(*[f"{folder}/{p}" for p in pools]), {}

    def keep():
        run.save(net=net.state_dict(), average=average.state_dict(), optimizer=step.state_dict())
        run.log(clips=len(pool.clips.tokens), **recent)
    while run.progress < 1:
        tokens, maps, event = pool.batch(BATCH, FRAMES)
        if blur:
            tokens = blurred(tokens)
        s = unroll(net, tokens, maps)
        with torch.no_grad():
            hit = (s["obs"][..., None, 2:4] - tokens[:, :, None, :, 2:4]).abs().sum(-1).argmin(-1)
            weight = 1 + (EVENT - 1) * event.gather(2, hit).float()
        total, parts = loss(s, weight)
        step.param_groups[0]["lr"] = RATE * rate(run.progress, run.step, hold=0.4)
        step.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        step.step()
        follow(average, net, run.step)
        recent = {k: 0.97 * recent.get(k, v) + 0.03 * v for k, v in parts.items()}
        run.step += 1
        if run.step % 40 == 0:
            pool.refresh()
        if run.due() or run.step == 10:
            keep()
    keep()
