"""Writes metrics.json beside this file: random scores, and what scikit-learn and statsmodels' formula say of them.

VUS-PR is written out here from the definition in Paparrizos et al., VLDB 2022, without any of the shortcuts that
src/evaluate/metrics/slots.rs takes. Run with: pip install scikit-learn==1.9.1; python tests/data/metrics.py
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.metrics import average_precision_score, roc_auc_score

STEP, TOLERANCE, BUFFER = 0.2, 0.5, 5


def ranking(rng, positives, negatives, levels):
    """Scores with ties (`levels` distinct values) or without (0)."""
    scores = rng.normal(size=positives + negatives)
    scores[:positives] += 0.7
    if levels:
        scores = np.floor(scores * levels) / levels
    labels = np.r_[np.ones(positives), np.zeros(negatives)]
    return {
        "positives": scores[:positives].tolist(),
        "negatives": scores[positives:].tolist(),
        "auroc": roc_auc_score(labels, scores),
        "average_precision": average_precision_score(labels, scores),
        "percentile_90": float(np.percentile(scores[positives:], 90)),
    }


def series(rng, tracks):
    """Curves with an onset or without, and their metrics in time."""
    made = []
    for _ in range(tracks):
        length = int(rng.integers(6, 30))
        curve = np.round(rng.normal(size=length), 1).astype(np.float32)
        onset = float(np.round(rng.uniform(-0.3, length * STEP + 0.3), 2)) if rng.random() < 0.6 else None
        if onset is not None:
            at = int(onset / STEP)
            curve[max(at, 0) : at + 3] += 1.0
        made.append({"onset_s": onset, "curve": [float(v) for v in curve]})
    return {"tracks": made, "slot_auroc": slot_auroc(made), "vus_pr": np.mean([range_ap(made, b) for b in range(BUFFER + 1)])}


def times(track):
    return np.array([0.1 + STEP * i for i in range(len(track["curve"]))])


def hard(track):
    """1: positive, 0: negative, -1: left out."""
    t = times(track)
    if track["onset_s"] is None:
        return np.zeros(len(t))
    onset, eps = track["onset_s"], 1e-9
    return np.where(t < onset - eps, 0, np.where(t <= onset + TOLERANCE + eps, 1, -1))


def slot_auroc(tracks):
    labels = np.concatenate([hard(t) for t in tracks])
    scores = np.concatenate([t["curve"] for t in tracks])
    return roc_auc_score(labels[labels >= 0], scores[labels >= 0])


def range_ap(tracks, buffer):
    """Area under the range-based precision-recall curve, threshold by threshold."""
    labels, scores, ranges, total = [], [], [], 0
    for number, track in enumerate(tracks):
        own = hard(track)
        positive = np.flatnonzero(own == 1)
        for i, (label, score) in enumerate(zip(own, track["curve"])):
            distance = np.abs(positive - i).min() if len(positive) else np.inf
            if label == 1:
                soft = 1.0
            elif distance <= buffer / 2 and buffer:
                soft = np.sqrt(1 - distance / buffer)
            elif label == -1:
                continue
            else:
                soft = 0.0
            labels.append(soft), scores.append(score), ranges.append(number if soft > 0 else -1)
        total += len(positive)
    labels, scores, ranges = map(np.array, (labels, scores, ranges))
    wanted = set(ranges[ranges >= 0])
    positive = (total + labels.sum()) / 2
    area, before = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        called = scores >= threshold
        hits = (labels * called).sum()
        existence = len(set(ranges[called & (ranges >= 0)])) / len(wanted)
        recall = min(hits / positive, 1.0) * existence
        area += (recall - before) * hits / called.sum()
        before = recall
    return area


def wilson(k, n):
    """statsmodels.stats.proportion.proportion_confint(k, n, method="wilson")."""
    z, p = 1.959963984540054, k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return {"k": k, "n": n, "low": max(centre - half, 0), "high": min(centre + half, 1)}


def main():
    rng = np.random.default_rng(20261125)
    sizes = [(1, 1, 0), (5, 5, 0), (40, 40, 2), (3, 200, 4), (150, 7, 3), (60, 90, 0), (30, 30, 1)]
    golden = {
        "sklearn": sklearn.__version__,
        "numpy": np.__version__,
        "ranking": [ranking(rng, *size) for size in sizes],
        "series": [series(rng, tracks) for tracks in (4, 9, 16, 25)],
        "wilson": [wilson(k, n) for k, n in [(0, 7), (7, 7), (1, 2), (36, 40), (81, 263), (15, 148)]],
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
