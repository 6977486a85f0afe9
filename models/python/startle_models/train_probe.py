"""Twin-pair probe: how often the impossible twin surprises more than its lawful twin, with controls.

`python -m startle_models.train_probe DIR [--pairs 48]` reads DIR/checkpoint.pt and writes DIR/probe.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from .net import Net, NetConfig, patches
from .train_data import FPS, HORIZON, normalise
from .world import VIOLATIONS, SceneSpec, render_pairs, sample_pairs

PROBE_SEED = 800_000_011
FRAMES = 40
STRIDE = 2


def probe_pairs(kind: str, count: int, cfg: NetConfig, seed: int = PROBE_SEED, spec: SceneSpec | None = None):
    """Twins at the model's frame rate and size: uint8 [2*count, 40, H, W, 3] (even rows lawful), onsets."""
    g = torch.Generator().manual_seed(seed + VIOLATIONS.index(kind))
    pairs = sample_pairs(kind, count, FRAMES, FPS, g, spec)
    return render_pairs(pairs, cfg.crop, cfg.crop, g), pairs


@torch.no_grad()
def surprise(net: Net, video, context: int, control: str = ""):
    """L1 per token of the slots after the context, windows of stride 2 frames: [V, windows, horizon, tokens].

    control "copy": the last context slot of the target features as prediction; "pixel": mean absolute
    pixel difference between a tubelet and the last context tubelet.
    """
    cfg, n = net.cfg, net.cfg.per_slot
    span = context + HORIZON * cfg.tubelet
    k = context // cfg.tubelet
    out = []
    for start in range(0, video.shape[1] - span + 1, STRIDE):
        clip = normalise(video[:, start:start + span])
        if control == "pixel":
            p = patches(clip, cfg)
            error = (p[:, k * n:] - p[:, (k - 1) * n:k * n].repeat(1, HORIZON, 1)).abs().mean(-1)
        else:
            target = net.targets(clip)
            last = target[:, (k - 1) * n:k * n].repeat(1, HORIZON, 1)
            pred = last if control else net.predict(clip, context, HORIZON)
            error = (pred - target[:, k * n:]).abs().mean(-1)
        out.append(error.unflatten(1, (HORIZON, n)))
    return torch.stack(out, 1)


def video_score(error, top: int = 2, slots: int = HORIZON):
    """Maximum over windows of the mean of the `top` largest token errors, averaged over the slots."""
    return error[:, :, :slots].topk(top, dim=-1).values.mean((-1, -2)).amax(1)


def share(scores) -> float:
    """Share of pairs whose impossible twin scores higher (ties count half)."""
    lawful, broken = scores[0::2], scores[1::2]
    return float(((broken > lawful).float() + 0.5 * (broken == lawful)).mean())


def probe(net: Net, sets: dict, contexts=(6, 12)) -> dict[str, dict[str, float]]:
    """Pairwise accuracy per violation and score: model (mean over contexts), copy and pixel controls."""
    table = {}
    for kind, video in sets.items():
        row = {}
        for name, control in (("model", ""), ("copy", "copy"), ("pixel", "pixel")):
            total = sum(video_score(surprise(net, video, c, control)) for c in contexts)
            row[name] = round(share(total), 3)
        table[kind] = row
    table["mean"] = {k: round(sum(r[k] for r in table.values()) / len(sets), 3) for k in ("model", "copy", "pixel")}
    return table


def load_net(folder: Path) -> Net:
    net = Net(NetConfig())
    net.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["net"])
    return net.eval()


def write_probe(net: Net, folder: Path, pairs: int):
    """Score `pairs` held-out twins per violation; prints the table and writes folder/probe.json."""
    table = probe(net, {k: probe_pairs(k, pairs, net.cfg)[0] for k in VIOLATIONS})
    (folder / "probe.json").write_text(json.dumps({"pairs": pairs, "accuracy": table}, indent=1) + "\n")
    for kind, row in table.items():
        print(f"{kind:14s} " + "  ".join(f"{k} {v:.2f}" for k, v in row.items()), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folder", type=Path)
    p.add_argument("--pairs", type=int, default=48)
    args = p.parse_args()
    torch.set_num_threads(1)
    write_probe(load_net(args.folder), args.folder, args.pairs)


if __name__ == "__main__":
    main()
