"""The fixed 3-D sine-cosine position tables of V-JEPA 1.

Source of the formula: `src/models/utils/pos_embs.py` of github.com/facebookresearch/jepa at 51c59d5,
with `uniform_power: true` as in all three `configs/pretrain/*.yaml`.
"""

from __future__ import annotations

from dataclasses import replace

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


def lengthened(weights, frames: int):
    """V-JEPA 1 `weights` for clips of `frames`: where those are more than the tables hold, tables of the formula.

    So do Garrido et al.: their `load_pretrained` keeps the model's own table where the checkpoint's has another shape. The
    table of a longer clip begins with that of a shorter one.
    """
    c = weights.config
    if c.rotary or frames <= c.frames_per_clip:
        return weights
    slots = frames // c.tubelet_size
    networks = {}
    for name, width in (("encoder", c.hidden_size), ("predictor", c.pred_hidden_size)):
        tensors, table = getattr(weights, name), f"{name}.embeddings.positions"
        made = {table: sine_table(width, c.grid, slots)} if table in tensors else {}
        networks[name] = tensors | made
    return replace(weights, config=replace(c, frames_per_clip=frames), **networks)
