"""The bundled model on held-out twins of every violation, beside its controls.

    python -m startle_models.benchmark WEIGHTS --out ../../reports/benchmark [--pairs 50]

WEIGHTS holds model.safetensors and target/model.safetensors. Videos are rendered at the model's own frame rate and
size; shapes and textures of the test videos are never seen in training, nor are the kinds in KEPT_BACK used in tuning.
Writes benchmark.json and README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from .net import Net, NetConfig
from .statistics import auroc, wilson, wins
from .surprise import CONTROLS, MODEL, RANDOM, Footing, errors
from .train_data import CONTEXTS, FPS
from .train_export import load_weights, random_net
from .world import (
    ADDS_MOTION, HIDDEN, KEPT_BACK, NEUTRAL, REMOVES_MOTION, VIOLATIONS, SceneSpec, lawful_video, render_pairs,
    sample_controls, sample_pairs,
)

SEED = 830_000_023
FRAMES = 60
LAWFUL = 160          # lawful videos: the first half calibrates, the second counts false alarms
RANDOM_PAIRS = 10     # pairs per kind that the random weights score: half a chance needs no finer measure
P_VALUE = 0.002       # share of lawful slots above the detection threshold
NEAR_S = 0.25         # a peak this near to the onset is in the right place
CONTROL = "control"


def score(curve):
    """One number for a video [V] from its curve [V, slots]: the largest surprise."""
    return curve.amax(1)


def curves(net: Net, footing: Footing | None, video, since=None, controls: bool = True):
    """Curves {scorer: [V, slots]} over the slots that every context can predict; a footing is made if there is none."""
    found = {c: errors(net, video, c, since, controls) for c in CONTEXTS}
    footing = footing or Footing(found)
    first = max(CONTEXTS) // net.cfg.tubelet
    return {name: footing.curve(found, name)[:, first:] for name in found[CONTEXTS[0]]}, footing


def make(kind: str, count: int, cfg: NetConfig):
    """Twins of one kind, uint8 [2*count, FRAMES, H, W, 3], and what is known of them."""
    # vanish and appear of equal seeds are mirror images
    place = VIOLATIONS.index(kind.replace("appear", "vanish")) if kind != CONTROL else len(VIOLATIONS)
    g = torch.Generator().manual_seed(SEED + place)
    sample = sample_controls if kind == CONTROL else (lambda *a: sample_pairs(kind, *a))
    pairs = sample(count, FRAMES, FPS, g, SceneSpec(held_out=True))
    return render_pairs(pairs, cfg.crop, cfg.crop, g), pairs


@dataclasses.dataclass
class Judges:
    """What scores videos: nets with their footings, and the model's detection threshold."""

    net: Net
    random: Net
    footing: Footing
    random_footing: Footing
    threshold: float


def one_kind(kind: str, count: int, judges: Judges) -> dict:
    """Scores of one kind: per scorer the twins' scores, and for the model where its peaks lie."""
    net = judges.net
    video, pairs = make(kind, count, net.cfg)
    by_name, _ = curves(net, judges.footing, video, pairs.onset)
    some = min(count, RANDOM_PAIRS)
    noise, _ = curves(judges.random, judges.random_footing, video[:2 * some], pairs.onset[:some], controls=False)
    row = {"scores": {name: score(c).tolist() for name, c in by_name.items()}, "group": pairs.group.tolist()}
    row["scores"][RANDOM] = score(noise[MODEL]).tolist()
    slot_s, first = net.cfg.tubelet / FPS, max(CONTEXTS) // net.cfg.tubelet
    curve, seen = by_name[MODEL], pairs.seen / FPS
    times = (torch.arange(curve.shape[1]) + first + 0.5) * slot_s
    near = (times - seen[:, None]).abs() <= 0.5 + slot_s / 2
    at_onset = (curve * near.repeat_interleave(2, 0)).amax(1)
    row["onset_wins"] = wins(at_onset).tolist()
    broken = curve[1::2]
    after = times[None] > seen[:, None] - slot_s
    row["detected"] = ((broken >= judges.threshold) & after).any(1).tolist()
    row["offset_s"] = (times[broken.argmax(1)] - seen).tolist()
    return row


def summary(row: dict) -> dict:
    """Accuracy with interval and AUROC per scorer; share of detected, and of those with the peak near the onset."""
    out = {}
    for name, values in row["scores"].items():
        s = torch.tensor(values)
        share = float(wins(s).mean())
        out[name] = {"accuracy": share, "interval": wilson(share, len(s) // 2), "auroc": auroc(s[1::2], s[0::2])}
    out["at_onset"] = sum(row["onset_wins"]) / len(row["onset_wins"])
    hit = [d for d in zip(row["detected"], row["offset_s"]) if d[0]]
    out["recall"] = len(hit) / len(row["detected"])
    out["near"] = sum(abs(o) <= NEAR_S for _, o in hit) / len(hit) if hit else None
    return out


def merge(rows: list[dict]) -> dict:
    """Rows of several kinds as one."""
    names = rows[0]["scores"]
    flat = {n: sum((r[n] for r in rows), []) for n in ("detected", "offset_s", "onset_wins")}
    return {"scores": {n: sum((r["scores"][n] for r in rows), []) for n in names}} | flat


def groups(kinds) -> dict[str, list[str]]:
    """Named groups of kinds, the whole last."""
    violations = [k for k in kinds if k != CONTROL]
    named = {
        "in view": [k for k in violations if k not in HIDDEN], "hidden": [k for k in violations if k in HIDDEN],
        "adds motion": [k for k in violations if k in ADDS_MOTION],
        "removes motion": [k for k in violations if k in REMOVES_MOTION],
        "neither": [k for k in violations if k in NEUTRAL],
        "kept back": [k for k in violations if k in KEPT_BACK], "all": violations,
    }
    return {name: members for name, members in named.items() if members}


def table(result: dict) -> str:
    """The result as a Markdown table."""
    scorers = (MODEL, *CONTROLS)
    heads = ("type", *scorers, "AUROC", "at the onset", "recall", "peak near")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, row in result.items():
        cells = []
        for s in scorers:
            lo, hi = row[s]["interval"]
            interval = f" ({100 * lo:.0f}–{100 * hi:.0f})" if s == MODEL else ""
            cells.append(f"{100 * row[s]['accuracy']:.0f}{interval}")
        near = "–" if row["near"] is None else f"{100 * row['near']:.0f}"
        cells += [f"{row[MODEL]['auroc']:.2f}", f"{100 * row['at_onset']:.0f}", f"{100 * row['recall']:.0f}", near]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def page(result: dict) -> str:
    """The result as a Markdown page."""
    return f"""# Benchmark of `{result["name"]}`

`make benchmark PAIRS={result["pairs"]}`: {result["pairs"]} held-out twins of every violation, rendered at the model's own rate and
size; their shapes and textures are never seen in training. Training sees lawful video only; `size` and `rise` are kept
back from tuning as well.

- **model** and the controls beside it: per cent of pairs in which the impossible twin has the larger surprise (largest
  slot of the video; 95 % interval), all through the identical statistic. {RANDOM} score the first {RANDOM_PAIRS} pairs. 50 is chance; what
  adds motion is easy for a motion detector, what removes it is hard, so look at the margin over the best control.
- **AUROC**: impossible against possible videos of the type, one by one.
- **at the onset**: per cent of pairs decided right by the surprise within 0.5 s of the first visible difference alone.
- **recall**: per cent of impossible videos with a slot over the threshold after the onset. The threshold is the
  surprise that {100 * P_VALUE:g} % of the slots of {LAWFUL // 2} lawful videos exceed; in {LAWFUL // 2} others, {100 * result["seen_rate"]:.2f} % of {result["lawful_slots"]} slots did.
- **peak near**: of those, per cent whose peak lies within {NEAR_S} s of the first visible difference.
- **{CONTROL}**: pairs of which both twins are lawful; 50 is right.

{table(result["summary"])}"""


def calibrate(net: Net, random: Net, count: int) -> tuple[Judges, float, int]:
    """Footings and threshold from lawful videos; the share of slots of as many others above it, and their number."""
    g = torch.Generator().manual_seed(SEED - 1)
    parts = [lawful_video(20, FRAMES, FPS, net.cfg.crop, net.cfg.crop, g, SceneSpec()) for _ in range(count // 20)]
    half = len(parts) // 2
    by_name, footing = curves(net, None, torch.cat(parts[:half]))
    _, random_footing = curves(random, None, torch.cat(parts[:2]), controls=False)
    threshold = float(torch.quantile(by_name[MODEL].flatten(), 1 - P_VALUE))
    other = curves(net, footing, torch.cat(parts[half:]), controls=False)[0][MODEL]
    return Judges(net, random, footing, random_footing, threshold), float((other >= threshold).float().mean()), other.numel()


def _row(job) -> tuple[str, dict]:
    kind, pairs, judges = job
    torch.set_num_threads(1)
    row = one_kind(kind, pairs, judges)
    print(table({kind: summary(row)}).splitlines()[-1], flush=True)
    return kind, row


def run(args) -> dict:
    torch.set_num_threads(args.jobs)
    judges, rate, slots = calibrate(load_weights(NetConfig(), args.weights), random_net(NetConfig()), LAWFUL)
    kinds = args.only or [*VIOLATIONS, CONTROL]
    with torch.multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        rows = dict(pool.imap(_row, [(kind, args.pairs, judges) for kind in kinds]))
    result = {kind: summary(row) for kind, row in rows.items()}
    result |= {name: summary(merge([rows[k] for k in members])) for name, members in groups(kinds).items()}
    return {"name": args.name, "pairs": args.pairs, "threshold": judges.threshold, "lawful_slots": slots,
            "promised_rate": P_VALUE, "seen_rate": rate, "summary": result, "rows": rows}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("weights", type=Path)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--name", default="startle-s1", help="of the model, for the page")
    p.add_argument("--pairs", type=int, default=50, help="per kind")
    p.add_argument("--only", nargs="*", help="kinds")
    p.add_argument("--jobs", type=int, default=2, help="processes")
    args = p.parse_args()
    result = run(args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "benchmark.json").write_text(json.dumps(result) + "\n")
    (args.out / "README.md").write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
