"""Numbers of the benchmark: pairwise accuracy with intervals, areas under curves."""

from __future__ import annotations

import math

import torch
from scipy.stats import mannwhitneyu


def wins(scores) -> torch.Tensor:
    """[P]: 1 where the impossible twin (odd row) scores higher than the possible one, 1/2 for ties, else 0."""
    lawful, broken = scores[0::2], scores[1::2]
    return (broken > lawful).float() + 0.5 * (broken == lawful).float()


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    if n == 0:
        return 0.0, 1.0
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def auroc(positive, negative) -> float:
    """Probability that a positive scores higher than a negative, ties half."""
    return float(mannwhitneyu(positive, negative).statistic) / (len(positive) * len(negative))
