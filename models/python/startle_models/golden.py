"""Write the committed test data: tiny bundles, a tiny video and the numbers they must give.

    python -m startle_models.golden --out tests/data

Two bundles with random weights (`bundles/tiny-random`, `bundles/tiny-target`), two of other families
(`bundles/tiny-levels`, `bundles/tiny-actions`) whose self-test is all that they must give, one H.264 clip
(`golden/clip.mp4`) and, for each bundle, everything between pixels and surprise (`golden/<bundle>/`,
`golden/golden_<bundle>.json`), computed by `reference.py` on `transformers.VJEPA2Model`.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from . import bundle, checkpoints, export, random_model, reference
from .checkpoints import ModelConfig, Weights

WIDTH, HEIGHT, FRAMES, FPS = 102, 72, 40, 10
"""The clip, in pixels, frames and frames per second. 102 wide, so that the centre crop has an odd rest."""

RAW_EVERY = 13
"""One decoded frame in 13 is kept at full size, to check the resize apart from the decoder."""

COMMAND = "python -m startle_models.golden --out tests/data"


@dataclass(frozen=True)
class Case:
    """One bundle: its weights' shape and seed, and the exporter's options."""

    name: str
    config: ModelConfig
    seed: int
    options: tuple[str, ...]
    target_layers: int | None = None


CASES = (
    Case(
        "tiny-random",
        ModelConfig(
            crop_size=32, patch_size=8, frames_per_clip=16,
            hidden_size=64, num_attention_heads=2, num_hidden_layers=2,
            pred_hidden_size=48, pred_num_attention_heads=3, pred_num_hidden_layers=2, pred_num_mask_tokens=3,
        ),
        seed=11,
        options=("--fps", "10", "--contexts", "4,8,12", "--stride", "2", "--resize", "shorter-side", "--mask-token", "1"),
    ),
    Case(
        "tiny-target",
        ModelConfig(
            crop_size=24, patch_size=8, frames_per_clip=12,
            hidden_size=48, num_attention_heads=2, num_hidden_layers=1, mlp_ratio=48 / 11,
            pred_hidden_size=40, pred_num_attention_heads=5, pred_num_hidden_layers=1, pred_num_mask_tokens=1,
        ),
        seed=12,
        options=(
            "--fps", "5", "--contexts", "4,6,8", "--stride", "4", "--resize", "squash", "--horizon", "2",
            "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25",
        ),
        target_layers=0,
    ),
)  # fmt: skip


OTHERS = (
    Case(
        "tiny-levels",
        ModelConfig(
            model_type="vjepa21", crop_size=32, patch_size=16, frames_per_clip=8,
            hidden_size=16, num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.0,
            pred_hidden_size=12, pred_num_attention_heads=2, pred_num_hidden_layers=1, pred_num_mask_tokens=2,
            hierarchical_layers=(0, 1), num_distillation_outputs=2,
        ),
        seed=13,
        options=("--contexts", "2,4", "--resize", "squash"),
    ),
    Case(
        "tiny-actions",
        ModelConfig(
            model_type="vjepa2ac", crop_size=16, patch_size=8, frames_per_clip=4,
            hidden_size=16, num_attention_heads=2, num_hidden_layers=1, mlp_ratio=2.0,
            pred_hidden_size=12, pred_num_attention_heads=2, pred_num_hidden_layers=2, pred_num_mask_tokens=0,
            action_dim=7,
        ),
        seed=14,
        options=("--fps", "5", "--contexts", "1,3", "--resize", "squash"),
    ),
)  # fmt: skip
"""Bundles of families that no model library has: their self-test is the golden number."""


def draw_clip() -> np.ndarray:
    """RGB frames uint8 [FRAMES, HEIGHT, WIDTH, 3]: a disc that flies, a bar that turns up, a shaded wall."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    frames = []
    for n in range(FRAMES):
        picture = np.stack([60 + x, 40 + 1.5 * y, 160 - 0.8 * x], axis=-1)
        disc = (x - 10 - 2.2 * n) ** 2 + (y - 50 + 25 * np.sin(n / 9)) ** 2 < 81
        picture[disc] = (230, 60, 40)
        if n >= 24:
            picture[(abs(x - 70) < 5) & (abs(y - 22) < 14)] = (30, 200, 90)
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return np.stack(frames)


def write_clip(frames: np.ndarray, path: Path) -> None:
    """H.264 in MP4: 4:2:0, BT.709, limited range, tagged as such; B-frames, so that order matters."""
    import av
    from av.video.reformatter import Colorspace, ColorRange

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.options = {"crf": "16", "preset": "medium", "bf": "2", "threads": "1", "flags": "+bitexact"}
        context = stream.codec_context
        context.colorspace, context.color_range = 1, ColorRange.MPEG
        context.color_primaries, context.color_trc = 1, 1
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_clip(path: Path) -> np.ndarray:
    """Decoded RGB frames uint8 [T, H, W, 3]; BT.709 limited to full-range RGB by FFmpeg's swscale."""
    import av
    from av.video.reformatter import Colorspace, ColorRange

    with av.open(str(path)) as container:
        frames = [
            frame.reformat(
                format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
            ).to_ndarray()
            for frame in container.decode(video=0)
        ]  # fmt: skip
    return np.stack(frames)


def make_bundle(case: Case, out: Path) -> tuple[Weights, Weights | None]:
    """Exports the case's bundle to `out`, through the exporter's command line; returns the weights."""
    weights = random_model.random_weights(case.config, case.seed)
    with tempfile.TemporaryDirectory() as scratch:
        source = random_model.save_hugging_face(weights, Path(scratch) / f"{case.name}-seed{case.seed}")
        options, target = list(case.options), None
        if case.target_layers is not None:
            config = replace(case.config, num_hidden_layers=case.target_layers)
            folder = Path(scratch) / f"{case.name}-target-seed{case.seed + 1}"
            random_model.save_hugging_face(random_model.random_weights(config, case.seed + 1), folder)
            target = checkpoints.read_weights(str(folder), encoder_only=True)
            options += ["--target-source", str(folder)]
        options += ["--license", "MIT OR Apache-2.0", "--description", "Random weights: for tests, it knows nothing."]
        if export.main([str(source), "--out", str(out), "--name", case.name, "--force", *options]):
            raise RuntimeError(f"{case.name}: the export failed")
        return weights, target


def make_other(case: Case, out: Path) -> None:
    """Exports a case of `OTHERS` to `out`, from a checkpoint in Meta's layout."""
    with tempfile.TemporaryDirectory() as scratch:
        weights = random_model.random_weights(case.config, case.seed)
        source = random_model.save_meta(weights, Path(scratch) / f"{case.name}-seed{case.seed}.pt")
        shape = Path(scratch) / "shape.json"
        shape.write_text(json.dumps(asdict(case.config)))
        said = ["--license", "MIT OR Apache-2.0", "--description", "Random weights: for tests, it knows nothing."]
        options = [*case.options, *said, "--force", "--encoder-key", "target_encoder"]
        if export.main([str(source), "--config", str(shape), "--out", str(out), "--name", case.name, *options]):
            raise RuntimeError(f"{case.name}: the export failed")


def window_starts(frames: int, length: int, stride: int) -> list[int]:
    """First frames of all complete windows of a clip of `frames` model frames."""
    return list(range(0, frames - length + 1, stride))


def write_golden(case: Case, weights: Weights, target: Weights | None, decoded: np.ndarray, folder: Path) -> None:
    """Writes `golden_<bundle>.json` and `<bundle>/*.npy` from the decoded clip."""
    manifest = bundle.read_manifest(folder.parent / "bundles" / case.name)
    clip, pre = manifest["clip"], manifest["preprocess"]
    step = round(FPS / clip["model_fps"])
    sizes = {"crop_size": clip["crop_size"], "resize": pre["resize"], "resize_size": pre["resize_size"]}
    pixels = np.stack([reference.preprocess(frame, **sizes) for frame in decoded[::step]])
    starts = window_starts(len(pixels), clip["frames_per_clip"], clip["stride"])
    windows = np.stack([pixels[s : s + clip["frames_per_clip"]] for s in starts])
    inputs = torch.from_numpy(reference.normalise(windows, pre["mean"], pre["std"]))
    model = reference.hugging_face_model(weights)
    separate = reference.hugging_face_encoder(target) if target else None
    whole = reference.encode(separate or model.encoder, inputs)
    stages = reference.surprise(model, inputs, clip["context_lengths"], horizon=clip.get("horizon"), whole=whole)

    data = folder / case.name
    data.mkdir(parents=True, exist_ok=True)
    arrays = {"pixels": pixels, "input": inputs[0].numpy(), "whole_tokens": whole[0].numpy()}
    for length, stage in stages.items():
        arrays[f"errors_c{length}"] = stage.error.numpy()
    middle = clip["context_lengths"][1]
    for name in ("context", "prediction", "target"):
        arrays[f"{name}_c{middle}"] = getattr(stages[middle], name)[0].numpy()
    for name, array in arrays.items():
        np.save(data / f"{name}.npy", np.ascontiguousarray(array))
    record = {
        "command": COMMAND,
        "versions": versions(),
        "bundle": f"bundles/{case.name}",
        "video": "golden/clip.mp4",
        "frame_step": step,
        "decoded": {"file": "golden/decoded.npy", "every": RAW_EVERY, "is": "decoded RGB frames 0, 13, 26, 39"},
        "stage_window": 0,
        "stage_context": middle,
        "arrays": {name: describe(case.name, name, array) for name, array in arrays.items()},
        "windows": [
            {"start_frame": s, "surprise": {str(c): float(stage.surprise[i]) for c, stage in stages.items()}}
            for i, s in enumerate(starts)
        ],
    }
    (folder / f"golden_{case.name}.json").write_text(as_json(record))


def as_json(record: dict) -> str:
    """JSON with one line for each leaf of the tree that fits on one."""
    compact = {k: [json.dumps(x) for x in v] if isinstance(v, list) else v for k, v in record.items()}
    compact["arrays"] = {k: json.dumps(v) for k, v in record["arrays"].items()}
    text = json.dumps(compact, indent=1)
    for line in [*compact["windows"], *compact["arrays"].values()]:
        text = text.replace(json.dumps(line), line)
    return text + "\n"


MEANINGS = {
    "pixels": "after resize and crop, RGB, [model frame, row, column, channel]",
    "input": "window 0, normalised, [frame, channel, row, column]",
    "whole_tokens": "window 0, (target) encoder output before the layer norm, [token, feature]",
    "errors": "mean |prediction - target| over features, [window, slot after the context, row, column]",
    "context": "window 0, encoder output of the context alone, [token, feature]",
    "prediction": "window 0, predictor output, [target token, feature]",
    "target": "window 0, layer-normed whole_tokens after the context, [target token, feature]",
}


def describe(case: str, name: str, array: np.ndarray) -> dict[str, object]:
    """File, shape, type and meaning of one array, for the JSON."""
    meaning = MEANINGS[name.rpartition("_c")[0] if "_c" in name else name]
    return {"file": f"golden/{case}/{name}.npy", "shape": list(array.shape), "dtype": str(array.dtype), "is": meaning}


def versions() -> dict[str, str]:
    """Versions of everything that has a part in the numbers."""
    import av
    import onnx
    import onnxruntime
    import PIL
    import transformers

    modules = (torch, transformers, onnx, onnxruntime, np, PIL, av)
    found = {m.__name__: m.__version__ for m in modules} | {"python": platform.python_version()}
    return found | {"libswscale": ".".join(map(str, av.library_versions["libswscale"]))}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="startle_models.golden", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="tests/data")
    parser.add_argument("--keep-clip", action="store_true", help="use the clip that is there: x264 builds differ")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    golden = args.out / "golden"
    golden.mkdir(parents=True, exist_ok=True)
    video = golden / "clip.mp4"
    if not args.keep_clip:
        write_clip(draw_clip(), video)
    decoded = read_clip(video)
    np.save(golden / "decoded.npy", decoded[::RAW_EVERY])
    for case in CASES:
        weights, target = make_bundle(case, args.out / "bundles" / case.name)
        write_golden(case, weights, target, decoded, golden)
    for case in OTHERS:
        make_other(case, args.out / "bundles" / case.name)


if __name__ == "__main__":
    main()
