"""Which seen token belongs to which file: one to one, the closest first; as plain tensor operations, so that it exports."""

from __future__ import annotations

import torch

FAR = 1e4
SLACK = 0.03  # shares; added to the extents by which distances are measured
GATE, GATE_NEW, GATE_MORE, GATE_MOST = 0.9, 1.6, 0.1, 2.0  # distances within which a file may be met: of a file that was
# seen, of one that was seen once (its velocity is not known), more for each picture unseen, at most


def distance(place, size, tokens_place, tokens_size):
    """Distance [B,N,K] of centres in units of the summed half extents; place, size [B,N,2] and [B,K,2]."""
    reach = size[:, :, None] + tokens_size[:, None] + SLACK
    gap = (place[:, :, None] - tokens_place[:, None]) / reach
    return (gap.square().sum(-1) + 1e-9).sqrt()


def match(cost, rounds: int):
    """Greedy one-to-one assignment [B,N,K] of 0 and 1: in each round the cheapest pair that is left; FAR is never taken."""
    b, n, k = cost.shape
    rows = torch.arange(n, device=cost.device)[None, :]
    columns = torch.arange(k, device=cost.device)[None, :]
    out = torch.zeros_like(cost)
    for _ in range(rounds):
        least, at = cost.flatten(1).min(1, keepdim=True)
        taken = (least < FAR).to(cost.dtype)
        row = (rows == torch.div(at, k, rounding_mode="floor")).to(cost.dtype)
        column = (columns == at % k).to(cost.dtype)
        out = out + (row * taken)[:, :, None] * column[:, None]
        cost = cost + FAR * (row[:, :, None] + column[:, None])
    return out


def fill(free, fresh):
    """The i-th fresh token goes to the i-th free file: [B,N,K]; free [B,N], fresh [B,K] of 0 and 1."""
    file_rank, token_rank = free.cumsum(1) * free, fresh.cumsum(1) * fresh
    same = (file_rank[:, :, None] == token_rank[:, None]).to(free.dtype)
    return same * free[:, :, None] * fresh[:, None]
