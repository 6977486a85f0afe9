"""Muon for convolutions and matrices: momentum whose update is made orthogonal (Jordan et al., 2024,
kellerjordan.github.io/posts/muon), beside AdamW for everything else."""

from __future__ import annotations

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration, from the same source


def orthogonal(g, steps: int = 4):
    """The nearest semi-orthogonal matrix to g, rows = first dimension, roughly."""
    a, b, c = COEFFICIENTS
    x = g.reshape(len(g), -1).bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).float().view_as(g)


class Muon(torch.optim.Optimizer):
    """Of tensors with at least two dimensions."""

    def __init__(self, params, lr=0.02, momentum=0.9, decay=0.02):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(group["momentum"]).add_(p.grad)
                update = orthogonal(p.grad + group["momentum"] * m)
                scale = max(1.0, p.shape[0] / p[0].numel()) ** 0.5
                p.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)
