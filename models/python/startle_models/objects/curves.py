"""The gates of a training stage, plotted from its log."""

from __future__ import annotations

import csv
import math
import pathlib

from .predictor import HORIZONS

SETS = {"": "tiles that training does not show", "other_": "the same before other grounds",
        "held_out_": "held-out shapes and textures"}
PANELS = {"found": "things found, share", "found_big": "large things found, share", "invented": "things invented a picture",
          "place": "error of place, cells", "size": "error of size, ratio", "colour": "error of colour",
          "shape": "shape right, share"}
GOALS = {"found_big": 0.97, "invented": 0.05, "place": 0.1}
LIKELIHOODS = {"seen": "seen or not", "geometry": "place and size", "colour": "colour", "shape": "shape"}
STAGES = ("encoder", "first", "predictor")


def panels(columns):
    """Of a log with these columns: title, goal or None, and the columns with their names, panel by panel."""
    if "found" in columns:
        return [(title, GOALS.get(gate), [(prefix + gate, name) for prefix, name in SETS.items() if prefix + gate in columns])
                for gate, title in PANELS.items()] + [
            ("losses", None, [(c, c.removeprefix("loss_")) for c in columns if c.startswith("loss_")])]
    ahead = [(f"{title}, -log p", None, [(f"{part}_{h}", f"{h / 10:g} s ahead") for h in HORIZONS])
             for part, title in LIKELIHOODS.items()]
    return [*ahead, ("something new, -log p", None, [("births", "next picture")])]


def plot(log, picture):
    """Plots the log (CSV) of a stage, over the minutes of a processor, to a picture."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    with pathlib.Path(log).open() as f:
        rows = list(csv.DictReader(f))
    if not rows:
        raise SystemExit(f"{log}: nothing was logged yet")
    drawn = panels(list(rows[0]))
    across = 4 if len(drawn) > 6 else 3
    down = math.ceil(len(drawn) / across)
    fig, axes = plt.subplots(down, across, figsize=(3.3 * across, 2.4 * down), squeeze=False)
    minutes = [float(r["minutes"]) for r in rows]
    for axis, (title, goal, columns) in zip(axes.flat, drawn):
        for column, name in columns:
            axis.plot(minutes, [float(r[column]) for r in rows], label=name, linewidth=1)
        if goal is not None:
            axis.axhline(goal, color="grey", linestyle="--", linewidth=1, label="goal")
        axis.set_title(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        if len(columns) > 1:
            axis.legend(fontsize=5)
    for axis in axes.flat[len(drawn):]:
        axis.axis("off")
    for axis in axes[-1]:
        axis.set_xlabel("minutes of a processor", fontsize=7)
    fig.tight_layout()
    fig.savefig(picture, dpi=80)
    plt.close(fig)


def plot_all(folder) -> list[pathlib.Path]:
    """Plots the log of every stage in a folder beside it; gives the pictures."""
    logs = [file for stage in STAGES if (file := pathlib.Path(folder) / f"{stage}.csv").exists()]
    for file in logs:
        plot(file, file.with_suffix(".png"))
    return [file.with_suffix(".png") for file in logs]
