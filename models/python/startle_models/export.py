"""Export a V-JEPA 1 or 2 model to a verified bundle.

    python -m startle_models.export SOURCE --out models/NAME --name NAME [options]

SOURCE is a folder with a Hugging Face `VJEPA2Model` (config.json and safetensors), a hub id, or one
of Meta's `.pt` or `.pth.tar` checkpoints (with `--arch` or `--config`). The graphs are written to a temporary
folder, compared with PyTorch through ONNX Runtime, and only then moved into place.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import bundle, reference
from .checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, Weights, read_weights
from .onnx_graphs import external_files, quantise, write_encoder, write_predictor
from .positions import distance_from_sine
from .vjepa2_lean import ATTENTION_KINDS, LeanEncoder, LeanPredictor

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float32}


@dataclass(frozen=True)
class Limits:
    """Largest relative differences from PyTorch float32 with which a bundle is let through.

    `features`: max |a − b| / max |b| of encoder and predictor outputs. `surprise`: of the window
    surprise on the self-test clip. `self_test`: the tolerance written into the manifest, wider, for
    other processors and execution providers.
    """

    features: float
    surprise: float
    self_test: float


LIMITS = {"fp32": Limits(1e-4, 1e-5, 1e-4), "fp16": Limits(5e-2, 2e-3, 5e-3), "int8": Limits(1e-1, 1e-2, 2e-2)}
"""Chosen from measurements: fp32 graphs differ by about 1e-6 and 1e-7, fp16 by about 1e-3 and 1e-5. int8 differs by
some per cent in features; its limit is on surprise, and a processor without the same integer kernels rounds otherwise."""


@dataclass(frozen=True)
class Family:
    """What differs between the families: texts, and the defaults of `--fps` and `--mask-index`."""

    title: str
    reference: str
    fps: float
    mask_index: int


FAMILIES = {
    "vjepa1": Family("V-JEPA", "`reference_vjepa1.py`", 7.5, 0),
    "vjepa2": Family("V-JEPA 2", "`transformers.VJEPA2Model`", 4.0, 1),
}
"""V-JEPA 1 was trained on every 4th frame of 30 per second or so (`sampling_rate: 4` in `configs/pretrain/`), and
Garrido et al. ask with token 0, that of the first mask (`PredictorMultiMaskWrapper`). V-JEPA 2 was trained at 4 frames
per second; `VJEPA2Model` asks with token 1."""


class ParityError(RuntimeError):
    """An exported graph whose numbers are not those of the model it was made from."""


@dataclass(frozen=True)
class Parity:
    """Measured relative differences, graphs against PyTorch, and the surprise PyTorch gives."""

    encoder_max_rel: float
    predictor_max_rel: float
    surprise_max_rel: float
    surprise: dict[int, float]


def export(weights: Weights, target: Weights | None, manifest: bundle.Manifest, out: Path, options) -> Parity:
    """Writes the bundle `out` from checked weights and a manifest without `graphs`, `parity` and values.

    `options` holds `attention`, `mask_index`, `opset`, `precision`, `notes` and `force`.
    """
    if out.exists() and not options.force:
        raise FileExistsError(f"{out} exists; --force replaces it")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        work.chmod(0o755)
        manifest["graphs"] = _write_graphs(weights, target, work, options)
        parity = measure(weights, target, manifest, work, options.mask_index)
        manifest["parity"] = {k: v for k, v in vars(parity).items() if k.endswith("_max_rel")}
        check_parity(parity, LIMITS[options.precision])
        values = [{"context": c, "value": v} for c, v in parity.surprise.items()]
        manifest["self_test"] |= {"tolerance_rel": LIMITS[options.precision].self_test, "surprise": values}
        (work / "README.md").write_text(card(manifest, weights, options))
        manifest["card"] = bundle.file_entry(work, "README.md")
        bundle.write_manifest(work, manifest)
        bundle.check_files(work)  # the self-test is what `measure` has just run
        if out.exists():
            shutil.rmtree(out)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return parity


def _write_graphs(weights: Weights, target: Weights | None, folder: Path, options) -> dict[str, Any]:
    kind = {"attention": options.attention, "dtype": PRECISIONS[options.precision]}
    graphs = {}
    encoders = {"encoder": weights} | ({"target_encoder": target} if target else {})
    for name, source in encoders.items():
        path = folder / f"{name}.onnx"
        write_encoder(LeanEncoder(source.config, source.encoder, **kind), source.config, path, options.opset)
        if options.precision == "int8" and name == "encoder":  # targets stay exact
            quantise(path)
        graphs[name] = bundle.file_entry(folder, path.name, external_files(path))
    path = folder / "predictor.onnx"
    predictor = LeanPredictor(weights.config, weights.predictor, mask_index=options.mask_index, **kind)
    write_predictor(predictor, weights.config, path, options.opset)
    if options.precision == "int8":
        quantise(path)
    graphs["predictor"] = bundle.file_entry(folder, path.name, external_files(path))
    return graphs


def measure(
    weights: Weights, target: Weights | None, manifest: bundle.Manifest, folder: Path, mask_index: int
) -> Parity:
    """Runs the self-test clip, its prefixes and a batch of two through both; see `Parity`."""
    clip = manifest["clip"]
    inputs = bundle.self_test_input(manifest)
    pixels = torch.from_numpy(inputs)
    session = bundle.Session(folder, manifest)
    model = reference.load_model(weights, mask_index)
    separate = reference.load_encoder(target) if target else None
    whole = reference.encode(separate or model.encoder, pixels)
    found, found_stages = session.stages(inputs)
    encoder = relative(found, whole)
    shortest = inputs[:, : min(clip["context_lengths"])]
    pair = np.concatenate([shortest, shortest[:, ::-1]])
    encoder = max(encoder, relative(session.encode(pair), reference.encode(model.encoder, torch.from_numpy(pair))))
    horizon = clip.get("horizon")
    stages = reference.surprise(model, pixels, clip["context_lengths"], horizon=horizon, whole=whole)
    predictor, surprise, values = 0.0, 0.0, {}
    for length, stage in stages.items():
        known, unknown = stage.context.shape[1], stage.prediction.shape[1]
        places = np.arange(known + unknown)[None]
        predicted = session.predict(stage.context.numpy(), places[:, :known].copy(), places[:, known:].copy())
        predictor = max(predictor, relative(predicted, stage.prediction))
        encoder = max(encoder, relative(found_stages[length].context, stage.context))
        values[length] = float(stage.surprise[0])
        surprise = max(surprise, abs(found_stages[length].surprise - values[length]) / values[length])
    return Parity(encoder, predictor, surprise, values)


def relative(found: np.ndarray, expected: torch.Tensor) -> float:
    """max |found − expected| / max |expected|, in float64; NaN anywhere gives infinity."""
    want = expected.numpy().astype(np.float64)
    if found.shape != want.shape:
        raise ParityError(f"output has shape {found.shape}, expected {want.shape}")
    difference = np.abs(found - want).max() / np.abs(want).max()
    return float(difference) if np.isfinite(difference) else float("inf")


def check_parity(parity: Parity, limits: Limits) -> None:
    """Raises `ParityError`, with all three figures, if one is over its limit."""
    figures = (
        ("encoder features", parity.encoder_max_rel, limits.features),
        ("predictor features", parity.predictor_max_rel, limits.features),
        ("surprise", parity.surprise_max_rel, limits.surprise),
    )
    if not all(value <= limit for _, value, limit in figures):
        text = ", ".join(f"{name} {value:.2e} (limit {limit:.0e})" for name, value, limit in figures)
        raise ParityError(f"the graphs differ from PyTorch: {text}; no bundle was written")


def card(manifest: bundle.Manifest, weights: Weights, options) -> str:
    """The model card, Markdown; `options.notes` is appended."""
    c, clip, pre, parity = weights.config, manifest["clip"], manifest["preprocess"], manifest["parity"]
    encoder = f"{c.num_hidden_layers} layers, width {c.hidden_size}, {c.num_attention_heads} heads"
    predictor = f"{c.pred_num_hidden_layers} layers, width {c.pred_hidden_size}, {c.pred_num_attention_heads} heads"
    attention = "fused (com.microsoft)" if options.attention == "mha" else "plain operators"
    contexts = ", ".join(map(str, clip["context_lengths"]))
    horizon = f"{clip['horizon']} slots after the context" if "horizon" in clip else "to the end of the clip"
    tests = "\n".join(f"| {e['context']} | {e['value']:.8f} |" for e in manifest["self_test"]["surprise"])
    resize = {
        "squash": f"whole picture to {clip['crop_size']}×{clip['crop_size']}",
        "shorter-side": f"shorter side to {pre['resize_size']}, centre crop {clip['crop_size']}",
    }[pre["resize"]]
    return f"""# {manifest["name"]}

{manifest["description"]}

| | |
|---|---|
| source | {manifest["source"]} |
| licence | {manifest["license"]} |
| encoder | {encoder} |
| predictor | {predictor} |
| positions | {_positions(weights)} |
| target encoder | {"separate" if "target_encoder" in manifest["graphs"] else "the encoder itself"} |
| input | {clip["frames_per_clip"]} frames at {clip["model_fps"]:g} per second, {resize}, antialiased bilinear |
| contexts | {contexts} frames; predicted: {horizon} |
| precision | {manifest["precision"]} weights, float32 inputs and outputs |
| graphs | ONNX opset {manifest["opset"]}, attention: {attention} |

## Parity

ONNX Runtime on CPU against PyTorch float32 ({FAMILIES[c.model_type].reference}, context encoded alone), on the
self-test clip and parts of it:

| figure | largest relative difference |
|---|---|
| encoder features | {parity["encoder_max_rel"]:.2e} |
| predictor features | {parity["predictor_max_rel"]:.2e} |
| window surprise | {parity["surprise_max_rel"]:.2e} |

Self-test surprise (noise input, seed {manifest["self_test"]["seed"]}):

| context frames | surprise |
|---|---|
{tests}

## Mask tokens

{mask_token_report(weights, options.mask_index)}
{options.notes}"""


def _positions(weights: Weights) -> str:
    if weights.config.rotary:
        return "rotary"
    far = max(
        distance_from_sine(weights.encoder["encoder.embeddings.positions"], weights.config.grid),
        distance_from_sine(weights.predictor["predictor.embeddings.positions"], weights.config.grid),
    )
    return f"the checkpoint's tables; largest difference from the sine-cosine formula: {far:.1e}"


def mask_token_report(weights: Weights, mask_index: int) -> str:
    """Which mask token the predictor uses, and how long each is.

    Upstream's inference code and `VJEPA2Model` always take token 1, but its training wrapper
    (`PredictorMultiSeqWrapper` in `src/utils/wrappers.py`) numbers tokens by clip length, so a model
    trained with one clip length has trained token 0 only and the others are as initialised: zero.
    V-JEPA 1 has a token per mask generator, all trained: 0 for 8 small blocks, 1 for 2 large ones.
    """
    tokens = weights.predictor["predictor.embeddings.mask_tokens"].flatten(1)
    norms, used = tokens.norm(dim=1).tolist(), mask_index % len(tokens)
    lengths = ", ".join(f"{i}: {norm:.3g}" for i, norm in enumerate(norms))
    text = f"Token {used} is used. Euclidean lengths: {lengths}."
    if norms[used] == 0 and any(norms):
        others = ", ".join(str(i) for i, norm in enumerate(norms) if norm)
        text += f" **Warning:** it is zero, and token {others} is not: it may never have been trained (--mask-index)."
    return text


def build_manifest(args: argparse.Namespace, weights: Weights, target: Weights | None) -> bundle.Manifest:
    """The manifest as far as it is known before the graphs exist; checked."""
    c, processor, family = weights.config, weights.processor, FAMILIES[weights.config.model_type]
    frames = args.frames or c.frames_per_clip
    if not c.rotary and frames > c.frames_per_clip:
        raise CheckpointError(f"{frames} frames: the table of positions ends after {c.frames_per_clip}")
    quarters = [frames * k // 4 // c.tubelet_size * c.tubelet_size for k in (1, 2, 3)]
    clip = {
        "crop_size": c.crop_size,
        "patch_size": c.patch_size,
        "tubelet_size": c.tubelet_size,
        "frames_per_clip": frames,
        "model_fps": args.fps or family.fps,
        "context_lengths": args.contexts or sorted({q for q in quarters if q > 0}),
        **({"horizon": args.horizon} if args.horizon else {}),
        "stride": args.stride or c.tubelet_size,
    }
    bundle.check_clip(clip)
    shorter = args.resize_size or processor.get("size", {}).get("shortest_edge") or int(c.crop_size * 256 / 224)
    if shorter < c.crop_size:
        raise CheckpointError(f"resize size {shorter} is smaller than the crop, {c.crop_size}")
    preprocess = {
        "resize": args.resize,
        "resize_size": c.crop_size if args.resize == "squash" else shorter,
        "filter": "bilinear",
        "mean": list(args.mean or processor.get("image_mean") or reference.IMAGENET_MEAN),
        "std": list(args.std or processor.get("image_std") or reference.IMAGENET_STD),
    }
    source = weights.origin + (f"; target encoder: {target.origin}" if target else "")
    return {
        "format": bundle.FORMAT,
        "name": args.name,
        "family": c.model_type,
        "description": args.description or f"{family.title} world model: encoder and predictor.",
        "source": source,
        "license": args.license,
        "precision": args.precision,
        "opset": args.opset,
        "clip": clip,
        "preprocess": preprocess,
        "features": {"dim": c.hidden_size},
        "self_test": {"seed": args.seed},
    }


def read_target(args: argparse.Namespace, config: ModelConfig) -> Weights | None:
    """The separate target encoder, if one was asked for; its token grid and width must be the model's."""
    if args.target_source is None:
        return None
    same_shape = config if Path(args.target_source).is_file() else None
    target = read_weights(args.target_source, config=same_shape, encoder_key=args.target_key, encoder_only=True)
    for name in ("model_type", "crop_size", "patch_size", "tubelet_size", "in_chans", "hidden_size"):
        ours, theirs = getattr(config, name), getattr(target.config, name)
        if ours != theirs:
            raise CheckpointError(f"target encoder has {name} {theirs}, the model {ours}")
    return target


def _numbers(kind):
    return lambda text: [kind(x) for x in text.split(",")]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line options."""
    p = argparse.ArgumentParser(prog="startle_models.export", description=__doc__.splitlines()[0])
    p.add_argument("source", help="folder with config.json and safetensors, hub id, or Meta .pt or .pth.tar file")
    p.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    p.add_argument("--name", help="bundle name (default: the folder's)")
    p.add_argument("--description")
    p.add_argument("--license", default="not stated; see the source of the weights")
    p.add_argument("--notes", type=Path, help="Markdown file appended to the model card")
    p.add_argument("--precision", choices=sorted(PRECISIONS), default="fp32")
    p.add_argument("--attention", choices=ATTENTION_KINDS, default="mha", help="fused contrib operator or plain ones")
    p.add_argument("--opset", type=int, default=17)
    p.add_argument("--force", action="store_true", help="replace an existing folder")
    source = p.add_argument_group("source")
    source.add_argument("--arch", choices=sorted(ARCHITECTURES), help="shape of a .pt checkpoint")
    source.add_argument("--config", type=Path, help="shape of a .pt checkpoint as JSON (fields of VJEPA2Config)")
    source.add_argument("--encoder-key", choices=("target_encoder", "encoder"), default="target_encoder")
    source.add_argument("--revision", help="hub revision (branch, tag or commit)")
    source.add_argument("--target-source", help="separate encoder for the targets: folder, hub id or .pt file")
    source.add_argument("--target-key", choices=("target_encoder", "encoder"), default="target_encoder")
    source.add_argument("--mask-index", type=int, help="mask token, modulo their number (default: 1; V-JEPA 1: 0)")
    clip = p.add_argument_group("clip and pixels")
    clip.add_argument("--frames", type=int, help="frames per clip (default: the configuration's)")
    clip.add_argument("--fps", type=float, help="model frame rate (default: about that of training, 4; V-JEPA 1: 7.5)")
    clip.add_argument("--contexts", type=_numbers(int), help="context lengths in frames, e.g. 4,8,12")
    clip.add_argument("--horizon", type=int, help="predict only this many slots after the context")
    clip.add_argument("--stride", type=int, help="frames between windows (default: the tubelet size)")
    clip.add_argument("--resize", choices=("shorter-side", "squash"), default="shorter-side")
    clip.add_argument("--resize-size", type=int, help="shorter side in pixels (default: crop·256/224)")
    clip.add_argument("--mean", type=_numbers(float), help="RGB mean in 0..1")
    clip.add_argument("--std", type=_numbers(float), help="RGB standard deviation in 0..1")
    clip.add_argument("--seed", type=int, default=1, help="of the self-test clip")
    return p.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    args = parse(argv)
    args.name = args.name or args.out.name
    config = ARCHITECTURES.get(args.arch) if args.arch else None
    try:
        if args.config:
            config = ModelConfig.from_dict(json.loads(args.config.read_text()))
        args.notes = "\n" + args.notes.read_text() if args.notes else ""
        weights = read_weights(args.source, config=config, encoder_key=args.encoder_key, revision=args.revision)
        target = read_target(args, weights.config)
        if args.mask_index is None:
            args.mask_index = FAMILIES[weights.config.model_type].mask_index
        parity = export(weights, target, build_manifest(args, weights, target), args.out, args)
    except (CheckpointError, ParityError, bundle.BundleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{args.out}: encoder {parity.encoder_max_rel:.1e}, predictor {parity.predictor_max_rel:.1e}, "
        f"surprise {parity.surprise_max_rel:.1e} relative to PyTorch"
    )
    report = mask_token_report(weights, args.mask_index)
    if "Warning" in report:
        print(report.replace("*", ""), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
