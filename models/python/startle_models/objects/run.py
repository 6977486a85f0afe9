"""What every training stage shares: a budget of time, a schedule, checkpoints, a log."""

from __future__ import annotations

import csv
import os
import pathlib
import time

import torch


def rate(progress: float, step: int, warm: int = 40, hold: float = 0.5) -> float:
    """Factor of the learning rate: up over `warm` steps, level until `hold` of the run, then down to 1 %."""
    return min(1.0, (step + 1) / warm) * min(1.0, max(0.01, (1 - progress) / (1 - hold)))


@torch.no_grad()
def follow(average, net, step: int, most: float = 0.995):
    """Moving average of a net's weights and statistics, quick at first."""
    keep = min(most, (step + 1) / (step + 10))
    for a, b in zip(average.state_dict().values(), net.state_dict().values()):
        if a.dtype.is_floating_point:
            a.lerp_(b, 1 - keep)
        else:
            a.copy_(b)


class Run:
    """A resumable run in `folder`/`stage`.pt and .csv: counts minutes of a processor, not of the clock (other work may run
    beside it), over all its pieces."""

    def __init__(self, folder, stage: str, minutes: float, every_s: float = 120):
        self.file = pathlib.Path(folder) / f"{stage}.pt"
        self.log_file = pathlib.Path(folder) / f"{stage}.csv"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.minutes, self.every_s = minutes, every_s
        self.step, self.before, self.started, self.saved = 0, 0.0, time.process_time(), time.time()

    def load(self):
        """The newest checkpoint, or None."""
        if not self.file.exists():
            return None
        state = torch.load(self.file, map_location="cpu", weights_only=False)
        self.step, self.before = state["step"], state["elapsed"]
        return state

    @property
    def elapsed(self) -> float:
        """Minutes so far."""
        return self.before + (time.process_time() - self.started) / 60

    @property
    def progress(self) -> float:
        return min(1.0, self.elapsed / self.minutes)

    def due(self) -> bool:
        if time.time() - self.saved < self.every_s:
            return False
        self.saved = time.time()
        return True

    def save(self, **state):
        part = self.file.with_suffix(".part")
        torch.save({"step": self.step, "elapsed": self.elapsed, **state}, part)
        os.replace(part, self.file)

    def log(self, **row):
        row = {"step": self.step, "minutes": round(self.elapsed, 2)} | {
            k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}
        new = not self.log_file.exists()
        with self.log_file.open("a", newline="") as f:
            writer = csv.DictWriter(f, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
