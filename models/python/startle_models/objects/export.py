"""The two graphs of a bundle: encoder.onnx and predictor.onnx, with dynamic batch."""

from __future__ import annotations

import pathlib
import warnings

import torch

from .encoder import Encoder, Perception
from .labels import ATTRIBUTES, CELLS, LAYERS, SIDE
from .predictor import Predictor

OPSET = 18


def write_graph(module, inputs, path, names, outputs):
    """A module as ONNX with dynamic batch."""
    axes = {name: {0: "batch"} for name in (*names, *outputs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, str(path), input_names=list(names), output_names=list(outputs),
                          dynamic_axes=axes, opset_version=OPSET, dynamo=False)


def export(encoder: Encoder, predictor: Predictor, folder, things: int = 12, files: int = 12):
    """Write the graphs: the encoder gives `things` tokens, the predictor keeps `files` files."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder = encoder.to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        write_graph(Perception(encoder, things), (torch.zeros(2, 3, SIDE, SIDE),), folder / "encoder.onnx",
                    ("pixel_values",), ("tokens", "maps"))
        inputs = (torch.zeros(2, predictor.width(files)), torch.zeros(2, things, ATTRIBUTES),
                  torch.zeros(2, LAYERS, CELLS, CELLS))
        write_graph(predictor, inputs, folder / "predictor.onnx", ("state", "tokens", "maps"),
                    ("next_state", "energy", "expected", "seen"))
