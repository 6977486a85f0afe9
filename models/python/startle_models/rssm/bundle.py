"""The control's bundle: python -m startle_models.rssm.bundle FOLDER --out DIR [--notes FILE].

Exports the averaged weights of FOLDER/rssm.pt as a bundle of the family `object-jepa` (one file, one token, no things),
compares the graphs with PyTorch, and writes the manifest, the card and the training log.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import tempfile

import numpy as np
import torch

from .. import objects_bundle
from ..objects.export import write_graph
from ..objects.labels import SIDE as FILMED
from .net import CELLS, MEMORY, PARTS, PIXELS, STATE, Encoder, Predictor, Rssm

PICTURES = 12  # of noise, to compare the graphs on
KIND = "new"  # the manifest asks for one; there is no thing that an event could be about
DESCRIPTION = ("A control: a small recurrent state-space model of pictures with categorical latents (DreamerV3, "
               "arXiv 2301.04104), trained on generated scenes of simple objects.")


@torch.no_grad()
def export(net: Rssm, folder):
    """Write encoder.onnx and predictor.onnx."""
    folder = pathlib.Path(folder)
    write_graph(Encoder(net), (torch.zeros(2, 3, FILMED, FILMED),), folder / "encoder.onnx", ("pixel_values",),
                ("tokens", "maps"))
    inputs = torch.zeros(2, STATE), torch.zeros(2, 1, MEMORY), torch.zeros(2, PIXELS, CELLS, CELLS)
    write_graph(Predictor(net), inputs, folder / "predictor.onnx", ("state", "tokens", "maps"),
                ("next_state", "energy", "expected", "seen"))


@torch.no_grad()
def parity(net: Rssm, folder):
    """Largest differences of the graphs from PyTorch, relative to the largest value of each output."""
    session = objects_bundle.Session(folder / "encoder.onnx", folder / "predictor.onnx")
    pixels = objects_bundle.self_test_pictures(3, PICTURES, FILMED, (0.5,) * 3, (0.5,) * 3)

    def apart(a, b):
        return float(np.abs(a.numpy() - b).max() / max(np.abs(b).max(), 1e-9))
    seen, known = session.see(pixels), Encoder(net)(torch.from_numpy(pixels))
    worst = {"encoder_max_rel": max(apart(a, b) for a, b in zip(known, seen)), "predictor_max_rel": 0.0,
             "surprise_max_rel": 0.0}
    state = np.zeros((1, STATE), np.float32)
    for tokens, maps in zip(*seen):
        got = session.step(state, tokens[None], maps[None])
        want = Predictor(net)(*(torch.from_numpy(x) for x in (state, tokens[None], maps[None])))
        worst["predictor_max_rel"] = max(worst["predictor_max_rel"], apart(want[0], got[0]))
        worst["surprise_max_rel"] = max(worst["surprise_max_rel"], apart(want[1], got[1]))
        state = got[0]
    return worst


def write(folder, out, name: str, notes: str = ""):
    """Write the bundle of FOLDER/rssm.pt; notes: Markdown that follows the card's table."""
    folder, out = pathlib.Path(folder), pathlib.Path(out)
    state = torch.load(folder / "rssm.pt", map_location="cpu", weights_only=False)
    net = Rssm().eval()
    net.load_state_dict(state["average"])
    trained = f"\nTrained for {state['step']} steps, {state['elapsed']:.0f} minutes of one processor core.\n"
    with tempfile.TemporaryDirectory() as temporary:
        graphs = pathlib.Path(temporary)
        export(net, graphs)
        options = objects_bundle.Options(name=name, parts=tuple((part, KIND) for part in PARTS), description=DESCRIPTION,
                                         source="startle_models.rssm", parity=parity(net, graphs))
        objects_bundle.write(out, graphs / "encoder.onnx", graphs / "predictor.onnx", options)
    card = (out / "README.md").read_text() + trained + notes
    (out / "README.md").write_text(card)
    if (folder / "rssm.csv").exists():
        shutil.copyfile(folder / "rssm.csv", out / "training.csv")
    objects_bundle.bundle.seal(out)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--name", default="startle-rssm")
    p.add_argument("--notes", type=pathlib.Path, help="Markdown for the card")
    a = p.parse_args()
    write(a.folder, a.out, a.name, a.notes.read_text() if a.notes else "")


if __name__ == "__main__":
    main()
