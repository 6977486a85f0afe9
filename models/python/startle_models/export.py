"""Export a V-JEPA 1, 2, 2.1 or 2-AC model to a verified bundle.

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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from . import bundle, deviation, positions, reference, windows
from .ac_lean import ActionPredictor, FrameEncoder, single_frame
from .card import FAMILIES, card, mask_token
from .checkpoints import ARCHITECTURES, CheckpointError, ModelConfig, Weights, read_weights
from .fused import FUSIONS, FusedEncoder, FusedPredictor
from .onnx_graphs import external_files, quantise, write_action_predictor, write_encoder, write_predictor
from .parity import LIMITS, Parity, ParityError, check_parity, measure
from .vjepa2_lean import ATTENTION_KINDS, LeanEncoder, LeanPredictor

BF16_OPSET = 20

ENCODER_KEYS = ("target_encoder", "encoder", "ema_encoder")

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.float32}


def export(weights: Weights, target: Weights | None, manifest: bundle.Manifest, out: Path, options) -> Parity:
    """Writes the bundle `out` from checked weights and a manifest without `graphs`, `parity` and values.

    `options` holds `attention`, `fuse`, `mask_index`, `opset`, `precision`, `notes`, `force`, and for reduced
    precisions `clips`, `rank_windows` and `seed`.
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
        if options.precision in deviation.TOLERANCES:
            manifest["parity"] |= vars(_deviate(weights, target, manifest, work, options))
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


def _deviate(weights: Weights, target: Weights | None, manifest: bundle.Manifest, folder: Path, options):
    """What the reduced precision does to surprise, if it is within its tolerance."""
    count = max(deviation.WINDOWS, options.rank_windows)
    if options.clips:
        chosen, said = windows.video_windows(manifest, options.clips, count), f"from {len(options.clips)} video files"
    else:
        chosen, said = windows.moving_windows(manifest, count, options.seed), f"drawn, seed {options.seed}"
    found = deviation.measure(weights, target, manifest, folder, options.mask_index, chosen, said)
    deviation.check(found, options.precision, deviation.TOLERANCES[options.precision])
    return found


def _write_graphs(weights: Weights, target: Weights | None, folder: Path, options) -> dict[str, Any]:
    kind = {"attention": options.attention, "dtype": PRECISIONS[options.precision]}
    graphs = {}
    encoders = {"encoder": weights} | ({"target_encoder": target} if target else {})
    for name, source in encoders.items():
        path = folder / f"{name}.onnx"
        write_encoder(_encoder(source, options.fuse, kind), source.config, path, options.opset)
        if options.precision == "int8" and name == "encoder":  # targets stay exact
            quantise(path)
        graphs[name] = bundle.file_entry(folder, path.name, external_files(path))
    path = folder / "predictor.onnx"
    if weights.config.conditioned:
        given = ActionPredictor(weights.config, weights.predictor, **kind)
        write_action_predictor(given, weights.config, path, options.opset)
    else:
        predictor = networks(weights, options.fuse, kind)[1](weights.predictor, mask_index=options.mask_index)
        write_predictor(predictor, weights.config, path, options.opset)
    if options.precision == "int8":
        quantise(path)
    graphs["predictor"] = bundle.file_entry(folder, path.name, external_files(path))
    return graphs


def _encoder(weights: Weights, fuse: str, kind: dict[str, Any]) -> torch.nn.Module:
    """The encoder, of frames one by one where the predictor takes actions."""
    if not weights.config.conditioned:
        return networks(weights, fuse, kind)[0](weights.encoder)
    alike, tensors = single_frame(weights.config, weights.encoder)
    return FrameEncoder(networks(replace(weights, config=alike), fuse, kind)[0](tensors), weights.config)


def networks(weights: Weights, fuse: str, kind: dict[str, Any]):
    """How to make the encoder and the predictor of a model from their tensors; `fuse` as the option says."""
    c = weights.config
    fused = fuse != "none" and kind["attention"] == "mha"
    own = kind | {"gpu": fuse == "gpu"}
    encoder, predictor = partial(LeanEncoder, c, **kind), partial(LeanPredictor, c, **kind)
    if fused and c.num_hidden_layers:
        encoder = partial(FusedEncoder, c, **own)
    if fused and c.pred_num_hidden_layers:
        predictor = partial(FusedPredictor, c, **own)
    return encoder, predictor


def build_manifest(args: argparse.Namespace, weights: Weights, target: Weights | None) -> bundle.Manifest:
    """The manifest as far as it is known before the graphs exist; checked."""
    if args.precision == "bf16" and args.opset < BF16_OPSET:
        raise CheckpointError(f"--opset {args.opset}: bf16 graphs need {BF16_OPSET}, whose Gelu has a kernel for them")
    if args.precision == "int8" and args.fuse == "gpu":
        raise CheckpointError("int8 graphs are for CPUs; leave out --fuse gpu")
    c, processor, family = weights.config, weights.processor, FAMILIES[weights.config.model_type]
    frames = args.frames or c.frames_per_clip
    quarters = [frames * k // 4 // c.slot_frames * c.slot_frames for k in (1, 2, 3)]
    if c.conditioned:
        if args.horizon not in (None, 1):
            raise CheckpointError(f"--horizon {args.horizon}: V-JEPA 2-AC predicts one frame")
        args.horizon = 1
    clip = {
        "crop_size": c.crop_size,
        "patch_size": c.patch_size,
        "tubelet_size": c.slot_frames,
        "frames_per_clip": frames,
        "model_fps": args.fps or family.fps,
        "context_lengths": args.contexts or sorted({q for q in quarters if q > 0}),
        **({"horizon": args.horizon} if args.horizon else {}),
        "stride": args.stride or c.slot_frames,
    }
    bundle.check_clip(clip)
    stated = None if args.crop else processor.get("size", {}).get("shortest_edge")
    shorter = args.resize_size or stated or int(c.crop_size * 256 / 224)
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
        "features": features(c),
        **architecture(c, target),
        **mask_token(weights, args.mask_index),
        **({"conditioning": {"action_dim": c.action_dim}} if c.conditioned else {}),
        "self_test": {"seed": args.seed},
    }


def fitted(weights: Weights, args: argparse.Namespace) -> Weights:
    """`weights` for the picture and the clip that were asked for."""
    if args.crop:
        if weights.config.model_type != "vjepa2":
            raise CheckpointError(f"--crop {args.crop}: only V-JEPA 2 has positions that go on beyond its own picture")
        weights = replace(weights, config=replace(weights.config, crop_size=args.crop))
    return positions.lengthened(weights, args.frames or 0)


def features(config: ModelConfig) -> dict[str, int]:
    """`dim` of targets and predictions; `levels` normed apart and the context's `context_dim` where they differ."""
    section = {"dim": config.target_dim}
    if config.levels > 1:
        section["levels"] = config.levels
    if config.token_dim != config.target_dim:
        section["context_dim"] = config.token_dim
    return section


def architecture(config: ModelConfig, target: Weights | None) -> dict[str, Any]:
    """Widths and depths for counting operations, where `startle`'s formula holds: one plain transformer each."""
    if config.conditioned or config.levels > 1 or config.token_dim != config.target_dim:
        return {}
    names = ("hidden_size", "num_hidden_layers", "mlp_ratio")
    shape = {"model": {name: getattr(config, name) for name in (*names, *(f"pred_{name}" for name in names))}}
    if target:
        shape["target"] = {name: getattr(target.config, name) for name in names}
    return {"architecture": shape}


def read_target(args: argparse.Namespace, config: ModelConfig) -> Weights | None:
    """The separate target encoder, if one was asked for; its grid and width must be those of the predictions."""
    if args.target_source is None:
        if config.teacher_embed_dim is not None:
            raise CheckpointError(
                f"a distilled model: it predicts the {config.teacher_embed_dim} features of its teacher, where its own "
                f"encoder gives {config.hidden_size}, so it has no target of its own; give the teacher with "
                "--target-source vjepa2_1_vitG_384.pt --target-arch vjepa21-gigantic-384"
            )
        return None
    shape = _target_shape(args, config) if Path(args.target_source).is_file() else None
    target = read_weights(args.target_source, config=shape, encoder_key=args.target_key, encoder_only=True)
    target = fitted(target, args)
    for name in ("model_type", "crop_size", "patch_size", "tubelet_size", "in_chans"):
        ours, theirs = getattr(config, name), getattr(target.config, name)
        if ours != theirs:
            raise CheckpointError(f"target encoder has {name} {theirs}, the model {ours}")
    if target.config.token_dim != config.target_dim:
        theirs = f"tokens of {target.config.token_dim} features (hidden_size {target.config.hidden_size})"
        raise CheckpointError(f"target encoder has {theirs}, the model predicts {config.target_dim}")
    return target


def _target_shape(args: argparse.Namespace, config: ModelConfig) -> ModelConfig:
    """Shape of a target encoder in Meta's layout; of a teacher's depths, those that were predicted."""
    if args.target_config:
        shape = ModelConfig.from_dict(json.loads(args.target_config.read_text()))
    else:
        shape = ARCHITECTURES[args.target_arch] if args.target_arch else args.shape or config
    if config.teacher_embed_dim is None:
        return shape
    return replace(shape, num_distillation_outputs=config.num_distillation_outputs, teacher_embed_dim=None)


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
    p.add_argument(
        "--clips", type=Path, nargs="+", help="videos on which a reduced precision is compared (default: drawn windows)"
    )
    p.add_argument("--rank-windows", type=int, default=deviation.WINDOWS, help="windows to compare on, 64 or more")
    p.add_argument("--attention", choices=ATTENTION_KINDS, default="mha", help="fused contrib operator or plain ones")
    p.add_argument(
        "--fuse", choices=FUSIONS, default="cpu", help="fewer, larger operators; gpu: also what is slow on a CPU"
    )
    p.add_argument("--opset", type=int, help="ONNX operator set (default: 17; bf16: 20)")
    p.add_argument("--force", action="store_true", help="replace an existing folder")
    source = p.add_argument_group("source")
    source.add_argument("--arch", choices=sorted(ARCHITECTURES), help="shape of a .pt checkpoint")
    source.add_argument("--config", type=Path, help="shape of a .pt checkpoint as JSON (fields of VJEPA2Config)")
    source.add_argument(
        "--encoder-key", choices=ENCODER_KEYS, help="default: target_encoder; distilled 2.1: ema_encoder; 2-AC: encoder"
    )
    source.add_argument("--revision", help="hub revision (branch, tag or commit)")
    source.add_argument("--target-source", help="separate encoder for the targets: folder, hub id or .pt file")
    source.add_argument("--target-key", choices=ENCODER_KEYS, default="target_encoder")
    source.add_argument("--target-arch", choices=sorted(ARCHITECTURES), help="its shape (default: the model's)")
    source.add_argument("--target-config", type=Path, help="its shape as JSON")
    source.add_argument("--mask-token", dest="mask_index", type=int, default=0, help="mask token, modulo their number (default: 0; one that is zero is refused)")
    clip = p.add_argument_group("clip and pixels")
    clip.add_argument("--crop", type=int, help="side of the picture in pixels (default: the configuration's)")
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
        distilled = config is not None and config.teacher_embed_dim is not None
        conditioned = config is not None and config.conditioned
        default = "ema_encoder" if distilled else "encoder" if conditioned else "target_encoder"
        args.encoder_key = args.encoder_key or default
        args.opset = args.opset or (BF16_OPSET if args.precision == "bf16" else 17)
        args.shape = config
        weights = read_weights(args.source, config=config, encoder_key=args.encoder_key, revision=args.revision)
        weights = fitted(weights, args)
        target = read_target(args, weights.config)
        parity = export(weights, target, build_manifest(args, weights, target), args.out, args)
    except (CheckpointError, ParityError, bundle.BundleError, OSError, windows.WindowsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{args.out}: encoder {parity.encoder_max_rel:.1e}, predictor {parity.predictor_max_rel:.1e}, "
        f"surprise {parity.surprise_max_rel:.1e} relative to PyTorch"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
