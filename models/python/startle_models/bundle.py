"""Bundles: a folder with ONNX graphs and the `bundle.toml` that says how to use them.

    python -m startle_models.bundle verify DIR    hashes, graph signatures, self-test
    python -m startle_models.bundle seal DIR      recompute hashes, e.g. after adding baseline.json

The manifest is held as the plain dictionary that TOML gives; `LAYOUT` is its order on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bf16 import emulate
from .checkpoints import sha256_file
from .reference import Conditions, lcg_conditions, lcg_pixels, normalise

FORMAT = "startle.bundle/1"
MANIFEST = "bundle.toml"
LAYOUT = (
    "clip",
    "preprocess",
    "features",
    "objects",
    "architecture",
    "mask_token",
    "conditioning",
    "graphs.encoder",
    "graphs.predictor",
    "graphs.target_encoder",
    "baseline",
    "card",
    "parity",
    "self_test",
)
"""Sections of `bundle.toml` in the order in which they are written; top-level keys come first."""

SIGNATURES = {
    "encoder": ({"pixel_values": 5}, {"tokens": 3}),
    "target_encoder": ({"pixel_values": 5}, {"tokens": 3}),
    "predictor": ({"context": 3, "context_pos": 2, "target_pos": 2}, {"prediction": 3}),
}
"""Names and ranks of inputs and outputs of each graph."""

CONDITIONED = ({"context": 3, "actions": 3, "states": 3}, {"prediction": 3})
"""Those of a predictor that takes actions and states."""

Manifest = dict[str, Any]


class BundleError(ValueError):
    """A bundle that must not be used."""


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, format checked."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder}: no {MANIFEST}")
    manifest = tomllib.loads(path.read_text())
    if manifest.get("format") != FORMAT:
        raise BundleError(f"{path}: format {manifest.get('format')!r}, expected {FORMAT!r}")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes `bundle.toml`, through a temporary file, in the order of `LAYOUT`."""
    graphs = {f"graphs.{name}": section for name, section in manifest.get("graphs", {}).items()}
    sections = {k: v for k, v in manifest.items() if isinstance(v, dict) and k != "graphs"} | graphs
    lines = [_assign(k, v) for k, v in manifest.items() if not isinstance(v, dict)]
    for name in [n for n in LAYOUT if n in sections] + [n for n in sections if n not in LAYOUT]:
        lines += ["", f"[{name}]"] + [_assign(k, v) for k, v in sections[name].items()]
    temporary = folder / f".{MANIFEST}.tmp"
    temporary.write_text("\n".join(lines) + "\n")
    tomllib.loads(temporary.read_text())
    os.replace(temporary, folder / MANIFEST)


def _assign(key: str, value: Any) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(_assign(k, v) for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(_toml, value))
        return f"[{inner}]"
    raise TypeError(f"{value!r} can't be written to a manifest")


def file_entry(folder: Path, file: str, external: list[str] | None = None) -> dict[str, Any]:
    """`{file, sha256[, external]}` for a file of the bundle."""
    entry: dict[str, Any] = {"file": file, "sha256": sha256_file(folder / file)}
    if external is not None:
        entry["external"] = [file_entry(folder, name) for name in external]
    return entry


def take_baselines(folder: Path, manifest: Manifest) -> None:
    """States the baselines that lie in the folder: the usual one, and others by their names."""
    for section in ("baseline", "baselines"):
        manifest.pop(section, None)
    if (folder / "baseline.json").is_file():
        manifest["baseline"] = file_entry(folder, "baseline.json")
    named = sorted(folder.glob("baseline-*.json"))
    if named:
        manifest["baselines"] = {f.stem.removeprefix("baseline-"): file_entry(folder, f.name) for f in named}


def seal(folder: Path) -> Manifest:
    """Recomputes every hash; picks up `baseline.json` and `baseline-NAME.json` or drops what is gone from the manifest."""
    manifest = read_manifest(folder)
    for section in manifest["graphs"].values():
        section |= file_entry(folder, section["file"], [e["file"] for e in section["external"]])
    manifest["card"] = file_entry(folder, manifest["card"]["file"])
    take_baselines(folder, manifest)
    write_manifest(folder, manifest)
    return manifest


@dataclass(frozen=True)
class Stage:
    """For one context length: `context` tokens [B, Nc, D], and `error` [B, S, g, g], mean over features."""

    context: np.ndarray
    error: np.ndarray

    @property
    def surprise(self) -> float:
        """Mean error over tokens and windows."""
        return float(self.error.mean(dtype=np.float64))


class Session:
    """The graphs of a bundle in ONNX Runtime on the CPU, and the surprise protocol on top of them.

    Written in numpy, apart from `reference.py`, so that parity compares two implementations. Graphs in bfloat16,
    which the CPU provider refuses, are emulated; see `bf16.py`.
    """

    def __init__(self, folder: Path, manifest: Manifest | None = None, threads: int = 0) -> None:
        import onnxruntime

        self.folder, self.manifest = folder, manifest or read_manifest(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        half = self.manifest["precision"] == "bf16"
        if half:  # what is optimised away might be a rounding
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._graphs = {}
        with tempfile.TemporaryDirectory() as scratch:
            for name, section in self.manifest["graphs"].items():
                path = folder / section["file"]
                if half:
                    emulate(path, path := Path(scratch) / section["file"])
                providers = ["CPUExecutionProvider"]
                self._graphs[name] = onnxruntime.InferenceSession(str(path), options, providers=providers)
                _check_signature(name, self._graphs[name], self.manifest)

    def encode(self, pixels: np.ndarray, graph: str = "encoder") -> np.ndarray:
        """Normalised pixels [B, T, 3, H, W] → tokens [B, N, D]; `graph` may be `target_encoder`."""
        return self._graphs[graph].run(["tokens"], {"pixel_values": pixels})[0]

    def predict(self, context: np.ndarray, context_pos: np.ndarray, target_pos: np.ndarray) -> np.ndarray:
        """Tokens [B, Nc, D] with positions [B, Nc], [B, Nt] → prediction [B, Nt, D]."""
        feed = {"context": context, "context_pos": context_pos, "target_pos": target_pos}
        return self._graphs["predictor"].run(["prediction"], feed)[0]

    def predict_given(self, context: np.ndarray, actions: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Tokens [B, S·g², D] of S frames and what was done and was [B, S, A] → prediction [B, g², D] of the next."""
        feed = {"context": context, "actions": actions, "states": states}
        return self._graphs["predictor"].run(["prediction"], feed)[0]

    def encode_whole(self, pixels: np.ndarray) -> np.ndarray:
        """Tokens [B, N, D] of whole windows, by the target encoder if the bundle has one."""
        return self.encode(pixels, "target_encoder" if "target_encoder" in self._graphs else "encoder")

    def targets(self, whole: np.ndarray) -> np.ndarray:
        """Layer norm (no affine, eps 1e-5) of the tokens [B, N, D] of whole windows, each of its levels by itself."""
        levels = self.manifest["features"].get("levels", 1)
        tokens = whole.astype(np.float64).reshape(*whole.shape[:-1], levels, -1)
        centred = tokens - tokens.mean(axis=-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return normed.reshape(whole.shape).astype(np.float32)

    def stages(
        self, pixels: np.ndarray, conditions: Conditions | None = None
    ) -> tuple[np.ndarray, dict[int, Stage]]:
        """Windows [B, T, 3, H, W] → their whole tokens [B, N, D], and a `Stage` for each context length.

        `conditions`: actions and states of their frames, where the manifest has a `conditioning`.
        """
        clip = self.manifest["clip"]
        grid = clip["crop_size"] // clip["patch_size"]
        whole, batch = self.encode_whole(pixels), pixels.shape[0]
        targets, results = self.targets(whole), {}
        for length in clip["context_lengths"]:
            first, last = length // clip["tubelet_size"], pixels.shape[1] // clip["tubelet_size"]
            last = min(last, first + clip.get("horizon", last))
            places = np.broadcast_to(np.arange(last * grid * grid), (batch, last * grid * grid))
            cut = first * grid * grid
            context = self.encode(np.ascontiguousarray(pixels[:, :length]))
            if conditions is None:
                predicted = self.predict(context, places[:, :cut].copy(), places[:, cut:].copy())
            else:
                predicted = self.predict_given(context, *(np.ascontiguousarray(x[:, :first]) for x in conditions))
            error = np.abs(predicted - targets[:, cut : last * grid * grid]).mean(axis=-1)
            results[length] = Stage(context, error.reshape(batch, last - first, grid, grid))
        return whole, results

    def errors(self, pixels: np.ndarray) -> dict[int, np.ndarray]:
        """Windows [B, T, 3, H, W] → for each context length, errors [B, S, g, g]."""
        return {length: stage.error for length, stage in self.stages(pixels)[1].items()}


def _check_signature(name: str, session, manifest: Manifest) -> None:
    conditioned = name == "predictor" and "conditioning" in manifest
    inputs, outputs = CONDITIONED if conditioned else SIGNATURES[name]
    for kind, wanted, found in (("input", inputs, session.get_inputs()), ("output", outputs, session.get_outputs())):
        got = {x.name: len(x.shape) for x in found}
        if got != wanted:
            raise BundleError(f"graph {name}: {kind}s {got}, expected {wanted}")
    crop, dim = manifest["clip"]["crop_size"], manifest["features"]["dim"]
    context = manifest["features"].get("context_dim", dim)
    shape = session.get_inputs()[0].shape
    static = shape[2:] if name != "predictor" else shape[2:] + session.get_outputs()[0].shape[2:]
    expected = [3, crop, crop] if name != "predictor" else [context, dim]
    if static != expected:
        raise BundleError(f"graph {name}: fixed sizes {static}, expected {expected}")


def self_test_input(manifest: Manifest) -> np.ndarray:
    """The normalised self-test clip [1, T, 3, crop, crop] of a manifest."""
    clip, pre = manifest["clip"], manifest["preprocess"]
    pixels = lcg_pixels(manifest["self_test"]["seed"], clip["frames_per_clip"], clip["crop_size"])
    return normalise(pixels, pre["mean"], pre["std"])[None]


def self_test_conditions(manifest: Manifest) -> Conditions | None:
    """Actions and states of the self-test clip, where the predictor takes any."""
    if "conditioning" not in manifest:
        return None
    seed, frames = manifest["self_test"]["seed"], manifest["clip"]["frames_per_clip"]
    return lcg_conditions(seed, frames, manifest["conditioning"]["action_dim"])


def check_files(folder: Path) -> Manifest:
    """Checks that every file is there with its hash and that the clip is consistent; returns the manifest."""
    manifest = read_manifest(folder)
    entries = [manifest["card"]] + ([manifest["baseline"]] if "baseline" in manifest else [])
    entries += manifest.get("baselines", {}).values()
    for section in manifest["graphs"].values():
        entries += [section, *section["external"]]
    for entry in entries:
        path = folder / entry["file"]
        if not path.is_file():
            raise BundleError(f"{folder}: {entry['file']} is missing")
        if sha256_file(path) != entry["sha256"]:
            raise BundleError(f"{folder}: {entry['file']} is not the file that was sealed (sha256 differs)")
    check_clip(manifest["clip"])
    return manifest


def verify(folder: Path, threads: int = 0) -> dict[int, float]:
    """Checks hashes, shapes, signatures and the self-test; returns the surprise per context length."""
    manifest = check_files(folder)
    session = Session(folder, manifest, threads)
    stages = session.stages(self_test_input(manifest), self_test_conditions(manifest))[1]
    found = {length: stage.surprise for length, stage in stages.items()}
    expected = {e["context"]: e["value"] for e in manifest["self_test"]["surprise"]}
    tolerance = manifest["self_test"]["tolerance_rel"]
    if set(found) != set(expected):
        raise BundleError(f"self-test values for contexts {sorted(expected)}, clip has {sorted(found)}")
    for length, value in found.items():
        if not abs(value - expected[length]) <= tolerance * abs(expected[length]):
            raise BundleError(f"self-test, context {length}: surprise {value}, expected {expected[length]}")
    return found


def check_clip(clip: dict[str, Any]) -> None:
    """Raises `BundleError` unless the `clip` section is consistent."""
    tubelet, frames = clip["tubelet_size"], clip["frames_per_clip"]
    divided = ((frames, tubelet), (clip["crop_size"], clip["patch_size"]), (clip["stride"], tubelet))
    if any(size < 1 or size % unit for size, unit in divided) or not clip["model_fps"] > 0:
        raise BundleError(f"clip: sizes that don't divide, or a rate out of range: {clip}")
    bad = [c for c in clip["context_lengths"] if c % tubelet or not 0 < c < frames]
    if bad or not clip["context_lengths"]:
        raise BundleError(f"context lengths {clip['context_lengths']}: multiples of {tubelet} in 0..{frames} wanted")
    if clip.get("horizon", 1) < 1:
        raise BundleError(f"horizon {clip['horizon']}: at least 1 slot wanted")


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="startle_models.bundle", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("seal", "verify"))
    parser.add_argument("folder", type=Path)
    args = parser.parse_args(argv)
    try:
        if args.action == "seal":
            seal(args.folder)
        found = verify(args.folder)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.folder}: ok; self-test surprise " + ", ".join(f"{v:.8f} at {c}" for c, v in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
