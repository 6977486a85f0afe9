"""The bundle of the object JEPA: python -m startle_models.objects.bundle CHECKPOINTS --out DIR [--control].

Exports the graphs, compares them with PyTorch, writes the manifest, the card, the weights and the training logs. --control
leaves the predictor as it was before training: what the encoder and the association tell without any knowledge of how
things move.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import tempfile

import numpy as np
import torch

from .. import objects_bundle
from .curves import STAGES, plot_all
from .encoder import Encoder, Perception
from .export import export
from .labels import SIDE
from .predictor import KINDS, PARTS, Predictor
from .train import newest

PICTURES = 12  # of noise, to compare the graphs on


@torch.no_grad()
def parity(encoder, predictor, folder):
    """Largest differences of the graphs from PyTorch, relative to the largest value of each output."""
    session = objects_bundle.Session(folder / "encoder.onnx", folder / "predictor.onnx")
    sizes = session.shapes()
    pixels = objects_bundle.self_test_pictures(3, PICTURES, SIDE, (0.5,) * 3, (0.5,) * 3)

    def apart(a, b):
        return float(np.abs(a.numpy() - b).max() / max(np.abs(b).max(), 1e-9))
    seen, known = session.see(pixels), Perception(encoder, sizes["tokens"])(torch.from_numpy(pixels))
    worst = {"encoder_max_rel": max(apart(a, b) for a, b in zip(known, seen)), "predictor_max_rel": 0.0,
             "surprise_max_rel": 0.0}
    state, mine = np.zeros((1, sizes["state"]), np.float32), torch.zeros(1, sizes["state"])
    for tokens, maps in zip(*seen):
        got = session.step(state, tokens[None], maps[None])
        want = predictor(mine, torch.from_numpy(tokens[None]), torch.from_numpy(maps[None]))
        worst["predictor_max_rel"] = max(worst["predictor_max_rel"], apart(want[0], got[0]))
        worst["surprise_max_rel"] = max(worst["surprise_max_rel"], apart(want[1], got[1]))
        state, mine = got[0], want[0]
    return worst


def write(checkpoints, out, name: str, description: str, notes: str, control: bool = False):
    """Write the bundle; notes: Markdown that follows the card's table."""
    checkpoints, out = pathlib.Path(checkpoints), pathlib.Path(out)
    encoder = newest(checkpoints, "encoder", Encoder())
    torch.manual_seed(1)
    predictor = Predictor().eval() if control else newest(checkpoints, "predictor", Predictor())
    with tempfile.TemporaryDirectory() as temporary:
        graphs = pathlib.Path(temporary)
        export(encoder, predictor, graphs)
        options = objects_bundle.Options(
            name=name, parts=tuple((part, KINDS[part]) for part in PARTS), description=description,
            source="startle_models.objects", parity=parity(encoder, predictor, graphs))
        manifest = objects_bundle.write(out, graphs / "encoder.onnx", graphs / "predictor.onnx", options)
    card = (out / "README.md").read_text() + "\n" + notes
    (out / "README.md").write_text(card)
    if not control:
        weights(checkpoints, out / "weights")
    objects_bundle.bundle.seal(out)
    return manifest


def weights(checkpoints, folder):
    """The averaged weights and the logs of training, to go on from, and the logs' plots."""
    from safetensors.torch import save_file
    folder.mkdir(parents=True, exist_ok=True)
    for stage, net in (("encoder", Encoder()), ("predictor", Predictor())):
        state = {k: v.contiguous() for k, v in newest(checkpoints, stage, net).state_dict().items()}
        save_file(state, folder / f"{stage}.safetensors")
    for stage in STAGES:
        if (checkpoints / f"{stage}.csv").exists():
            shutil.copyfile(checkpoints / f"{stage}.csv", folder / f"{stage}.csv")
    plot_all(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoints", type=pathlib.Path)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--name", default="startle-o1")
    p.add_argument("--description", default="An object JEPA of our own, trained on generated scenes of simple objects.")
    p.add_argument("--notes", type=pathlib.Path, help="Markdown for the card")
    p.add_argument("--control", action="store_true", help="with the predictor as it was before training")
    a = p.parse_args()
    write(a.checkpoints, a.out, a.name, a.description, a.notes.read_text() if a.notes else "", a.control)


if __name__ == "__main__":
    main()
