"""The fixed 3-D sine-cosine position tables of V-JEPA 1.

Source of the formula: `src/models/utils/pos_embs.py` of github.com/facebookresearch/jepa at 51c59d5,
with `uniform_power: true` as in all three `configs/pretrain/*.yaml`.
"""

from __future__ import annotations

import torch


def sine_table(width: int, grid: int, slots: int) -> torch.Tensor:
    """Positions of the tokens t·grid² + row·grid + column → float32 [1, slots·grid², width].

    Time, row and column have a section each, of 2·⌈width/6⌉ features: first the sines, then the cosines of
    position · 10000^(-i/half). The last section is cut where the three are wider than `width`.
    """
    half = -(-width // 6)
    omega = 10000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
    time, row, column = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in (slots, grid, grid)), indexing="ij"
    )
    sections = []
    for axis in (time, row, column):
        angle = axis.reshape(-1, 1) * omega
        sections += [angle.sin(), angle.cos()]
    return torch.cat(sections, dim=1)[None, :, :width].float().contiguous()


def distance_from_sine(table: torch.Tensor, grid: int) -> float:
    """Largest difference of a table [1, N, width] from the formula.

    The target encoder's table is a moving average of equal tables, so rounding may have moved it a little.
    """
    slots = table.shape[1] // grid**2
    return (table - sine_table(table.shape[2], grid, slots)).abs().max().item()
