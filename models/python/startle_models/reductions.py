"""How token errors become one surprise: the ways compared, on tuning twins (not the benchmark's).

    python -m startle_models.reductions WEIGHTS --out ../../reports/benchmark/reductions.md [--pairs 20]

Every error (mean |difference|, energy = mean squared difference, Mahalanobis = whitened by the errors of lawful video)
is reduced over the tokens of a slot in every way (mean, top-k mean, max) and a video is its most surprising slot. The
kinds in KEPT_BACK take no part. `startle evaluate` is what measures a model; this only chooses a statistic.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .net import Net, NetConfig
from .train_data import FPS, normalise
from .train_export import load_weights
from .world import KEPT_BACK, VIOLATIONS, SceneSpec, lawful_video, render_pairs, sample_pairs

SEED = 66_000_001
CONTEXT = 20        # frames
FRAMES = 60
STRIDE = 2          # frames between windows
LAWFUL = 100        # lawful videos: the covariance of errors
BATCH = 16          # clips at once: more do not fit the processor's cache
RIDGE = 0.05        # of the mean variance, added to every direction before whitening
TOPS = (1, 2, 4, 8)


@torch.no_grad()
def differences(net: Net, video):
    """Prediction minus target of the slot after the context, [V, windows, tokens, D]; video uint8 [V,F,H,W,3]."""
    cfg, n = net.cfg, net.cfg.per_slot
    windows = []
    for start in range(0, video.shape[1] - CONTEXT - cfg.tubelet + 1, STRIDE):
        clip = normalise(video[:, start:start + CONTEXT + cfg.tubelet])
        with torch.autocast("cpu", torch.bfloat16):
            predicted = torch.cat([net.predict(some, CONTEXT, 1) for some in clip.split(BATCH)]).float()
        windows.append(predicted - net.targets(clip)[:, -n:])
    return torch.stack(windows, 1)


def whitening(difference):
    """[D, D]: brings the errors of lawful video to unit covariance, but for the ridge."""
    x = difference.flatten(0, -2).double()
    cov = torch.cov(x.T)
    cov += RIDGE * cov.diagonal().mean() * torch.eye(len(cov))
    value, vector = torch.linalg.eigh(cov)
    return (vector * value**-0.5).float()


def errors(difference, white) -> dict[str, torch.Tensor]:
    """Error of every token by every measure, [V, windows, tokens]."""
    return {"mean absolute": difference.abs().mean(-1), "energy": difference.square().mean(-1),
            "Mahalanobis": (difference @ white).square().mean(-1).sqrt()}


def reductions(error) -> dict[str, torch.Tensor]:
    """Surprise of every slot in every way, [V, windows]."""
    tops = {f"top {k}" if k > 1 else "max": error.topk(k, -1).values.mean(-1) for k in TOPS}
    return {"mean": error.mean(-1)} | tops


def wins(surprise) -> list[float]:
    """1 for each pair whose impossible twin (odd row) has the larger maximum, ties half."""
    top = surprise.amax(1)
    lawful, broken = top[0::2], top[1::2]
    return ((broken > lawful).float() + 0.5 * (broken == lawful).float()).tolist()


def compare(net: Net, pairs: int) -> dict[tuple[str, str], list[float]]:
    """Wins of all kinds by (error, reduction)."""
    cfg = net.cfg
    g = torch.Generator().manual_seed(SEED - 1)
    white = whitening(differences(net, lawful_video(LAWFUL, FRAMES, FPS, cfg.crop, cfg.crop, g, SceneSpec())))
    found: dict[tuple[str, str], list[float]] = {}
    for i, kind in enumerate(k for k in VIOLATIONS if k not in KEPT_BACK):
        g = torch.Generator().manual_seed(SEED + i)
        video = render_pairs(sample_pairs(kind, pairs, FRAMES, FPS, g, SceneSpec()), cfg.crop, cfg.crop, g)
        for name, error in errors(differences(net, video), white).items():
            for way, surprise in reductions(error).items():
                found.setdefault((name, way), []).extend(wins(surprise))
        print(kind, flush=True)
    return found


def page(found: dict[tuple[str, str], list[float]], pairs: int) -> str:
    """The comparison as a Markdown page."""
    names, ways = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 1))
    n = len(next(iter(found.values())))
    error = 100 * (0.25 / n) ** 0.5
    lines = [f"| {' | '.join(['error', *ways])} |", "|" + "---|" * (len(ways) + 1)]
    for name in names:
        cells = (f"{100 * sum(found[name, way]) / n:.1f}" for way in ways)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return f"""# Statistics compared

`python -m startle_models.reductions WEIGHTS --pairs {pairs}` (from `models/python`): per cent of {n} tuning twins (seeds, shapes and
textures apart from the benchmark's; the kept-back kinds take no part) whose impossible video has the larger maximum.
Columns: how the tokens of a slot are reduced (of 36). A standard error is about {error:.1f}: smaller differences say nothing.

{chr(10).join(lines)}
"""


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("weights", type=Path)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--pairs", type=int, default=20, help="per kind")
    args = p.parse_args()
    torch.set_num_threads(1)
    text = page(compare(load_weights(NetConfig(), args.weights), args.pairs), args.pairs)
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
