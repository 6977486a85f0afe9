"""Time the graphs of a model fused and not fused, in turns, on one thread of the CPU.

    python -m startle_models.fuse_bench ../startle-s1/weights --contexts 8,20 --horizon 1

Prints, for the encoder and the predictor at each context length, the least of the repeats in milliseconds and their
quotient, and the operators before and after ONNX Runtime's own optimisation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch

from . import checkpoints, random_model
from .checkpoints import ARCHITECTURES, Weights
from .export import networks
from .fused import FUSIONS
from .onnx_graphs import write_encoder, write_predictor


def write(weights: Weights, fuse: str, folder: Path) -> dict[str, Path]:
    """Writes `encoder` and `predictor`, in float32, and gives their paths."""
    encoder, predictor = networks(weights, fuse, {"attention": "mha", "dtype": torch.float32})
    paths = {name: folder / f"{fuse}-{name}.onnx" for name in ("encoder", "predictor")}
    write_encoder(encoder(weights.encoder), weights.config, paths["encoder"], 17)
    write_predictor(predictor(weights.predictor), weights.config, paths["predictor"], 17)
    return paths


def operators(path: Path) -> Counter[str]:
    """How many of each operator a graph has; constants don't count."""
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    return Counter(n.op_type for n in nodes if n.op_type != "Constant")


def session(path: Path):
    """A graph on one thread; what ONNX Runtime made of it lies beside it as `PATH.optimised`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = f"{path}.optimised"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def in_turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The least time of each run in milliseconds, taken in turns so that a busy machine is busy for all."""
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            least[name] = min(least[name], 1e3 * (time.perf_counter() - start))
    return least


def feeds(weights: Weights, context: int, horizon: int | None) -> dict[str, dict[str, np.ndarray]]:
    """Noise for each graph: a context of so many frames, and so many slots to predict."""
    c, rng = weights.config, np.random.default_rng(0)
    area = c.grid**2
    known, slots = context // c.tubelet_size, c.frames_per_clip // c.tubelet_size
    slots = slots if horizon is None else min(slots, known + horizon)
    places = np.arange(slots * area)[None]
    pixels = rng.standard_normal((1, context, c.in_chans, c.crop_size, c.crop_size)).astype(np.float32)
    tokens = rng.standard_normal((1, known * area, c.token_dim)).astype(np.float32)
    cut = known * area
    return {
        "encoder": {"pixel_values": pixels},
        "predictor": {"context": tokens, "context_pos": places[:, :cut], "target_pos": places[:, cut:]},
    }


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = argparse.ArgumentParser(prog="startle_models.fuse_bench", description=__doc__.splitlines()[0])
    p.add_argument("source", help="as for the exporter; or the name of an architecture, for random weights")
    p.add_argument("--contexts", type=lambda text: [int(x) for x in text.split(",")], default=[8])
    p.add_argument("--horizon", type=int)
    p.add_argument("--repeats", type=int, default=100)
    args = p.parse_args(argv)
    if args.source in ARCHITECTURES:
        weights = random_model.random_weights(ARCHITECTURES[args.source])
    else:
        weights = checkpoints.read_weights(args.source)
    with tempfile.TemporaryDirectory() as scratch:
        paths = {fuse: write(weights, fuse, Path(scratch)) for fuse in FUSIONS}
        for name in ("encoder", "predictor"):
            sessions = {fuse: session(paths[fuse][name]) for fuse in FUSIONS}
            for fuse in FUSIONS:
                before, after = operators(paths[fuse][name]), operators(Path(f"{paths[fuse][name]}.optimised"))
                print(f"{name} {fuse}: {before.total()} operators, {after.total()} when optimised")
            for context in args.contexts:
                feed = feeds(weights, context, args.horizon)[name]
                runs = {fuse: lambda s=s, feed=feed: s.run(None, feed) for fuse, s in sessions.items()}
                least = in_turns(runs, args.repeats)
                times = ", ".join(f"{f} {t:.3f} ms ({least['none'] / t:.2f} x)" for f, t in least.items())
                print(f"{name}, context {context}: {times}")


if __name__ == "__main__":
    main()
