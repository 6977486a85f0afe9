"""Bundles of the family `object-jepa`: written from two graphs, sealed and verified.

    python -m startle_models.objects_bundle verify DIR    hashes, sizes of the graphs, self-test
    python -m startle_models.objects_bundle seal DIR      recompute hashes and operations, e.g. after adding baseline.json

`write` copies `encoder.onnx` and `predictor.onnx` into a folder, reads every size off them, runs the self-test (noise from a
seed; see `self_test`) and writes the manifest. The graphs are
described in `src/model/objects/mod.rs`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import bundle
from .bundle import BundleError, Manifest
from .reference import lcg_pixels, normalise

FAMILY = "object-jepa"
THING = 13
"""Numbers of a row of `expected` and of `seen`."""
KINDS = ("missing", "new", "moved", "size", "colour", "shape")
"""What a part of the energy can be about."""
INPUTS = {"encoder": {"pixel_values": 4}, "predictor": {"state": 2, "tokens": 3, "maps": 4}}
OUTPUTS = {"encoder": {"tokens": 3, "maps": 4}, "predictor": {"next_state": 2, "energy": 3, "expected": 3, "seen": 3}}


@dataclass(frozen=True)
class Options:
    """What a bundle says beside its graphs. `parts`: name and kind of each part of the energy, in the graph's order."""

    name: str
    parts: tuple[tuple[str, str], ...]
    description: str
    source: str
    license: str = "MIT OR Apache-2.0"
    model_fps: float = 10.0
    warm_up: int = 8
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    resize: str = "squash"
    seed: int = 1
    tolerance_rel: float = 1e-3
    card: str = ""
    parity: dict[str, float] = field(default_factory=dict)


class Session:
    """The two graphs in ONNX Runtime on the CPU."""

    def __init__(self, encoder: Path, predictor: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._graphs = {}
        for name, path in (("encoder", encoder), ("predictor", predictor)):
            graph = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for kind, wanted, found in (
                ("input", INPUTS[name], graph.get_inputs()),
                ("output", OUTPUTS[name], graph.get_outputs()),
            ):
                got = {x.name: len(x.shape) for x in found}
                if got != wanted:
                    raise BundleError(f"{path}: {kind}s {got}, expected {wanted}")
            if not isinstance(graph.get_inputs()[0].shape[0], (str, type(None))):
                raise BundleError(f"{path}: the batch is fixed to {graph.get_inputs()[0].shape[0]}")
            self._graphs[name] = graph

    def shapes(self) -> dict[str, int]:
        """K, A, M, G, S and Z, off the inputs of the graphs."""
        side = self._graphs["encoder"].get_inputs()[0].shape[3]
        state, tokens, maps = (x.shape for x in self._graphs["predictor"].get_inputs())
        return {
            "side": side, "state": state[1], "tokens": tokens[1], "attributes": tokens[2],
            "maps": maps[1], "grid": maps[2],
        }  # fmt: skip

    def see(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised pictures [B, 3, S, S] → tokens [B, K, A], maps [B, M, G, G]."""
        return tuple(self._graphs["encoder"].run(["tokens", "maps"], {"pixel_values": pixels}))

    def step(self, state: np.ndarray, tokens: np.ndarray, maps: np.ndarray) -> list[np.ndarray]:
        """States [B, Z] and what is seen → next_state [B, Z], energy [B, R, P], expected and seen [B, R, 13]."""
        feed = {"state": state, "tokens": tokens, "maps": maps}
        return self._graphs["predictor"].run(list(OUTPUTS["predictor"]), feed)

    def run(self, pixels: np.ndarray) -> list[list[np.ndarray]]:
        """What `step` gives for each picture [T, 3, S, S] of a stream, from a state of zeros."""
        tokens, maps = self.see(pixels)
        state, steps = np.zeros((1, self.shapes()["state"]), np.float32), []
        for t in range(len(pixels)):
            steps.append(self.step(state, tokens[t : t + 1], maps[t : t + 1]))
            state = steps[-1][0]
        return steps


def operations(path: Path) -> int:
    """Operations of the convolutions and matrix products of a graph for one picture or stream: two for a multiplication
    with its addition. The sizes are those of a run."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    given = {graph_input.name for graph_input in model.graph.input}
    wanted = {name for node in products for name in (node.input[0], node.input[1], node.output[0])}
    wanted = sorted(wanted - set(weights) - given - {output.name for output in model.graph.output})
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    sizes = {x.name: [n if isinstance(n, int) else 1 for n in x.shape] for x in session.get_inputs()}
    feed = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    names = [output.name for output in session.get_outputs()]
    shapes = weights | {name: x.shape for name, x in zip(names, session.run(names, feed), strict=True)} | sizes
    total = 0
    for node in products:
        first, second, out = (shapes[name] for name in (node.input[0], node.input[1], node.output[0]))
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        summed = np.prod(second[1:]) if node.op_type == "Conv" else first[-2] if turned else first[-1]
        total += 2 * int(np.prod(out)) * int(summed)
    return total


def count(folder: Path, manifest: Manifest) -> None:
    """Writes into the manifest what one picture costs."""
    graphs = ("encoder", "predictor")
    manifest["objects"]["operations"] = {name: operations(folder / manifest["graphs"][name]["file"]) for name in graphs}


def self_test_pictures(seed: int, frames: int, side: int, mean, std) -> np.ndarray:
    """The normalised pictures [T, 3, S, S] of the self-test."""
    return normalise(lcg_pixels(seed, frames, side), mean, std)


def self_test(session: Session, manifest: Manifest) -> tuple[dict[str, float], dict[str, float]]:
    """For each part the sum over all rows of the energies of the last picture; and mean absolute values of all tokens, all
    maps and the last state, since the energies of noise may all be 0."""
    clip, pre = manifest["clip"], manifest["preprocess"]
    pixels = self_test_pictures(
        manifest["self_test"]["seed"], clip["frames_per_clip"], clip["crop_size"], pre["mean"], pre["std"]
    )
    last = session.run(pixels)[-1]
    energy, seen = last[1][0], session.see(pixels)
    stages = {name: float(np.abs(x).mean(dtype=np.float64))
              for name, x in (("tokens", seen[0]), ("maps", seen[1]), ("state", last[0]))}
    names = [part["name"] for part in manifest["objects"]["parts"]]
    if energy.shape[1] != len(names):
        raise BundleError(f"the predictor gives {energy.shape[1]} parts, {len(names)} are named")
    if not (np.isfinite(energy).all() and (energy >= 0).all()):
        raise BundleError("the predictor gives energies that are not finite and at least 0")
    return dict(zip(names, energy.sum(0, dtype=np.float64).tolist(), strict=True)), stages


def write(folder: Path, encoder: Path, predictor: Path, options: Options) -> Manifest:
    """Writes a bundle; `options.parity` may hold `encoder_max_rel`, `predictor_max_rel` and `surprise_max_rel`."""
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in ((encoder, "encoder.onnx"), (predictor, "predictor.onnx")):
        if source.resolve() != (folder / name).resolve():
            shutil.copyfile(source, folder / name)
    unknown = [kind for _, kind in options.parts if kind not in KINDS]
    if unknown:
        raise BundleError(f"kinds {unknown}: known are {KINDS}")
    session = Session(folder / "encoder.onnx", folder / "predictor.onnx")
    manifest = _manifest(session, options)
    found, stages = self_test(session, manifest)
    manifest["self_test"]["energy"] = [{"part": name, "value": value} for name, value in found.items()]
    manifest["self_test"]["stages"] = stages
    for name in ("encoder", "predictor"):
        manifest["graphs"][name] = bundle.file_entry(folder, f"{name}.onnx", [])
    count(folder, manifest)
    (folder / "README.md").write_text(options.card or _card(manifest))
    manifest["card"] = bundle.file_entry(folder, "README.md")
    bundle.take_baselines(folder, manifest)
    bundle.write_manifest(folder, manifest)
    return manifest


def _manifest(session: Session, options: Options) -> Manifest:
    sizes = session.shapes()
    state = np.zeros((1, sizes["state"]), np.float32)
    tokens = np.zeros((1, sizes["tokens"], sizes["attributes"]), np.float32)
    maps = np.zeros((1, sizes["maps"], sizes["grid"], sizes["grid"]), np.float32)
    rows = session.step(state, tokens, maps)[1].shape[1]
    parity = {"encoder_max_rel": 0.0, "predictor_max_rel": 0.0, "surprise_max_rel": 0.0} | options.parity
    manifest: dict[str, Any] = {
        "format": bundle.FORMAT, "name": options.name, "family": FAMILY, "description": options.description,
        "source": options.source, "license": options.license, "precision": "fp32", "opset": _opset(session),
        "clip": {
            "crop_size": sizes["side"], "patch_size": sizes["side"] // sizes["grid"], "tubelet_size": 1,
            "frames_per_clip": options.warm_up + 1, "model_fps": float(options.model_fps),
            "context_lengths": [options.warm_up], "horizon": 1, "stride": 1,
        },
        "preprocess": {
            "resize": options.resize, "resize_size": sizes["side"], "filter": "bilinear",
            "mean": list(options.mean), "std": list(options.std),
        },
        "objects": {
            "tokens": sizes["tokens"], "attributes": sizes["attributes"], "maps": sizes["maps"],
            "files": rows - sizes["tokens"], "state": sizes["state"],
            "parts": [{"name": name, "kind": kind} for name, kind in options.parts],
        },
        "graphs": {}, "card": {}, "parity": parity,
        "self_test": {"seed": options.seed, "tolerance_rel": options.tolerance_rel, "energy": []},
    }  # fmt: skip
    return manifest


def _opset(session: Session) -> int:
    import onnx

    path = session._graphs["predictor"]._model_path
    imports = onnx.load(path, load_external_data=False).opset_import
    return max(x.version for x in imports if x.domain in ("", "ai.onnx"))


def _card(manifest: Manifest) -> str:
    objects, clip = manifest["objects"], manifest["clip"]
    parts = ", ".join(f"{part['name']} ({part['kind']})" for part in objects["parts"])
    return f"""# {manifest["name"]}

{manifest["description"]}

| | |
|---|---|
| source | {manifest["source"]} |
| licence | {manifest["license"]} |
| input | pictures of {clip["crop_size"]}×{clip["crop_size"]} at {clip["model_fps"]:g} per second |
| warm-up | {clip["frames_per_clip"] - 1} pictures |
| things | {objects["tokens"]} found in a picture, {objects["files"]} kept in mind, a state of {objects["state"]} numbers |
| energy | {parts} |
"""


def verify(folder: Path) -> dict[str, float]:
    """Checks hashes, sizes and the self-test; returns the energy of each part."""
    manifest = bundle.check_files(folder)
    session = Session(*(folder / manifest["graphs"][name]["file"] for name in ("encoder", "predictor")))
    sizes, objects = session.shapes(), manifest["objects"]
    for key in ("tokens", "attributes", "maps", "state"):
        if sizes[key] != objects[key]:
            raise BundleError(f"objects.{key} is {objects[key]}, the graphs have {sizes[key]}")
    found, stages = self_test(session, manifest)
    expected = {e["part"]: e["value"] for e in manifest["self_test"]["energy"]}
    if list(found) != list(expected):
        raise BundleError(f"self-test values for {list(expected)}, parts are {list(found)}")
    tolerance, scale = manifest["self_test"]["tolerance_rel"], max(1.0, *map(abs, expected.values()))
    for part, value in found.items():
        if not abs(value - expected[part]) <= tolerance * scale:
            raise BundleError(f"self-test, part {part}: energy {value}, expected {expected[part]}")
    for stage, value in manifest["self_test"]["stages"].items():
        if not abs(stages[stage] - value) <= tolerance * abs(value):
            raise BundleError(f"self-test, {stage}: mean size {stages[stage]}, expected {value}")
    return found


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="startle_models.objects_bundle", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("seal", "verify"))
    parser.add_argument("folder", type=Path)
    args = parser.parse_args(argv)
    try:
        if args.action == "seal":
            manifest = bundle.seal(args.folder)
            count(args.folder, manifest)
            bundle.write_manifest(args.folder, manifest)
        found = verify(args.folder)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.folder}: ok; self-test energies " + ", ".join(f"{k} {v:.6f}" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
