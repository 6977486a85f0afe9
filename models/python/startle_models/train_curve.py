"""Surprise over time on the decoded sample twins, straight from a training folder.

`python -m startle_models.train_curve DIR SAMPLES` decodes each pair of SAMPLES/labels.jsonl, runs the
surprise protocol in PyTorch with DIR/checkpoint.pt and writes DIR/curves.png and DIR/curves.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from .net import Net
from .train_data import FPS, HORIZON
from .train_probe import STRIDE, load_net, surprise

CONTEXTS = (6, 8, 12)
TOP = 2
TOLERANCE_S = 0.3


def model_frames(path: Path, crop: int, fps: float = FPS):
    """Decode to uint8 [1,T,crop,crop,3]: for every model time k/fps the last frame shown by then,
    squashed to the square with Pillow's antialiased bilinear filter."""
    import av
    from PIL import Image

    frames, step = [], 0
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            if frame.time + 1e-6 >= step / fps:
                picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
                frames.append(np.asarray(picture.resize((crop, crop), Image.Resampling.BILINEAR)))
                step += 1
    return torch.from_numpy(np.stack(frames))[None]


def curve(net: Net, video, contexts=CONTEXTS, control: str = ""):
    """Mean top-k surprise of each predicted slot over windows, horizons and contexts: (times, values).

    Time: middle of the predicted slot, seconds. video: uint8 [1,T,H,W,3].
    """
    sums: dict[int, list[float]] = {}
    for context in contexts:
        error = surprise(net, video, context, control)[0]
        score = error.topk(TOP, dim=-1).values.mean(-1)
        for w in range(score.shape[0]):
            for h in range(HORIZON):
                sums.setdefault(w * STRIDE + context + h * net.cfg.tubelet, []).append(float(score[w, h]))
    at = sorted(sums)
    times = np.array([(f + net.cfg.tubelet / 2) / FPS for f in at])
    return times, np.array([np.mean(sums[f]) for f in at])


def describe(times, values, onset: float) -> dict[str, float]:
    """Peak near the onset (within .3 s before and .7 s after) against everything before it."""
    near = (times > onset - TOLERANCE_S) & (times < onset + 0.7)
    before = values[times < onset - TOLERANCE_S]
    middle = np.median(before)
    spread = np.median(np.abs(before - middle)) * 1.4826 + 1e-6
    top = int(np.argmax(values))
    return {"peak": float(values[near].max()), "before_median": float(middle), "before_max": float(before.max()),
            "z": float((values[near].max() - middle) / spread), "global_peak_s": float(times[top])}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folder", type=Path)
    p.add_argument("samples", type=Path)
    args = p.parse_args()
    torch.set_num_threads(1)
    net = load_net(args.folder)
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = [json.loads(line) for line in (args.samples / "labels.jsonl").read_text().splitlines()]
    pairs = sorted({row["pair"] for row in labels})
    rows = (len(pairs) + 2) // 3
    fig, axes = plt.subplots(rows, 3, figsize=(13, 2.1 * rows), sharex=True, squeeze=False)
    result = {}
    for ax, name in zip(axes.flat, pairs):
        for row in (r for r in labels if r["pair"] == name):
            times, values = curve(net, model_frames(args.samples / row["path"], net.cfg.crop))
            ax.plot(times, values, color="tab:blue" if row["possible"] else "tab:red", lw=1.2)
            result[row["path"]] = describe(times, values, row["visible_s"])
        ax.axvline(row["visible_s"], color="grey", lw=0.7, ls="--")
        ax.set_title(name, fontsize=8)
    fig.tight_layout()
    fig.savefig(args.folder / "curves.png", dpi=80)
    (args.folder / "curves.json").write_text(json.dumps(result, indent=1) + "\n")
    for path, row in result.items():
        print(f"{path:34s} " + "  ".join(f"{k} {v:.3g}" for k, v in row.items()))


if __name__ == "__main__":
    main()
