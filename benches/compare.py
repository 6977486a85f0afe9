"""Speed of `startle analyze` against a straightforward Python pipeline, in one run.

    make bench          (or: python benches/compare.py --out reports/benchmarks)

Every contender analyzes the same file with the same model, windows, batch and number of threads, each repeat in a
process of its own, interleaved; the fastest of the repeats counts. The contenders:

* startle         the release program (decode, score, judge, write every report);
* onnxruntime     PyAV + Pillow + the same graphs under Python's onnxruntime, one window batch after the other;
* torch           the same with PyTorch eager on `VJEPA2Model`'s own modules.

All must agree on the video's mean surprise, or the benchmark fails. Writes `cpu.json` and `cpu.md`; for another bundle
(`--bundle DIR`, with its weights in Hugging Face layout in `DIR/weights`) `cpu-NAME.json` and `cpu-NAME.md`. A bundle of
objects has other contenders: see `compare_objects.py`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import compare_objects
from soak import processor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "models" / "python"))
CONTENDERS = ("startle", "onnxruntime", "torch")


def make_video(path: Path, seconds: int) -> None:
    """640×360, 30 fps H.264: the samples one after the other, looped."""
    samples = sorted((ROOT / "samples").glob("*.mp4"))
    playlist = path.with_suffix(".txt")
    playlist.write_text("".join(f"file '{sample}'\n" for sample in samples) * 20)
    subprocess.run(
        ["ffmpeg", "-y", "-loglevel", "error", "-f", "concat", "-safe", "0", "-i", str(playlist), "-t", str(seconds)]
        + ["-vf", "scale=640:360,fps=30", "-pix_fmt", "yuv420p", str(path)],
        check=True,
    )


def clock_frames(path: Path, fps: float, square):
    """What `square` makes of decoded frames, on the model's clock: each tick shows the frame on show at that time."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "FRAME", 2
        start, tick, held = None, 0, None
        for frame in container.decode(stream):
            start = frame.time if start is None else start
            while held is not None and tick / fps < frame.time - start - 1e-9:
                yield square(held)
                tick += 1
            held = frame
        end = float(held.time - start + 1 / stream.average_rate)
        while tick / fps < end - 1e-9:
            yield square(held)
            tick += 1


def windows(frames, length: int, stride: int, batch: int):
    """Batches of uint8 windows [B, T, H, W, 3]."""
    import numpy as np

    buffer, ready = [], []
    for index, frame in enumerate(frames):
        buffer = (buffer + [frame])[-length:]
        if index + 1 >= length and (index + 1 - length) % stride == 0:
            ready.append(np.stack(buffer))
        if len(ready) == batch:
            yield np.stack(ready)
            ready = []
    if ready:
        yield np.stack(ready)


def python_pipeline(name: str, bundle: Path, video: Path, threads: int, batch: int) -> dict:
    """Runs one Python contender in this process."""
    import numpy as np

    from startle_models import reference
    from startle_models.bundle import Session, read_manifest

    manifest = read_manifest(bundle)
    clip, pre = manifest["clip"], manifest["preprocess"]
    if name == "torch":
        score = torch_scorer(bundle, manifest, threads)
    else:
        session = Session(bundle, manifest, threads)
        score = session.errors
    started = time.perf_counter()
    inside, count, total = 0.0, 0, 0.0
    preprocess = functools.partial(
        reference.preprocess, crop_size=clip["crop_size"], resize=pre["resize"], resize_size=pre["resize_size"]
    )
    frames = clock_frames(video, clip["model_fps"], lambda frame: preprocess(frame.to_ndarray(format="rgb24")))
    for stack in windows(frames, clip["frames_per_clip"], clip["stride"], batch):
        pixels = reference.normalise(stack, pre["mean"], pre["std"])
        begun = time.perf_counter()
        errors = score(pixels)
        inside += time.perf_counter() - begun
        means = np.mean([np.asarray(e, np.float64).mean(axis=(1, 2, 3)) for e in errors.values()], axis=0)
        total, count = total + means.sum(), count + len(means)
    wall = time.perf_counter() - started
    return {"wall_s": wall, "inference_s": inside, "windows": count, "avg": total / count}


def torch_scorer(bundle: Path, manifest: dict, threads: int):
    """Windows → errors per context, by `VJEPA2Model`'s modules with the bundle's own weights."""
    import torch

    from startle_models import reference
    from startle_models.checkpoints import read_hugging_face

    torch.set_num_threads(threads)
    model = reference.hugging_face_model(read_hugging_face(bundle / "weights"))
    target = bundle / "weights" / "target"
    encoder = reference.hugging_face_encoder(read_hugging_face(target, encoder_only=True)) if target.exists() else None
    clip = manifest["clip"]

    def score(pixels):
        stages = reference.surprise(
            model, torch.from_numpy(pixels), clip["context_lengths"], horizon=clip.get("horizon"), target_encoder=encoder
        )
        return {context: stage.error.numpy() for context, stage in stages.items()}

    return score


def run_startle(bundle: Path, video: Path, threads: int, batch: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        program = ROOT / "target" / "release" / "startle"
        command = [program, "analyze", video, "--model", bundle, "--threads", threads, "--batch", batch]
        command += ["--no-scene-cuts", "--device", "cpu", "--quiet", "--out", folder]
        begun = time.perf_counter()
        subprocess.run([str(part) for part in command], check=True, cwd=ROOT)
        process = time.perf_counter() - begun
        report = json.loads((Path(folder) / "result.json").read_text())
    timings, surprise = report["timings"], report["video_surprise"]
    return {
        "wall_s": timings["wall_s"],
        "process_s": process,
        "inference_s": timings["inference_s"],
        "decode_s": timings["decode_s"],
        "frames_decoded": report["input"]["frames_decoded"],
        "duration_s": report["input"]["duration_s"],
        "windows": surprise["windows"],
        "avg": surprise["avg"],
        "peak_rss": timings["peak_rss_bytes"],
        "curve": [point["raw"] for point in report["curve"]],
    }


def measure(name: str, options: argparse.Namespace, video: Path) -> dict:
    if name.startswith("startle"):
        bundle = options.bundle if name == "startle" else compare_objects.OTHER
        return run_startle(bundle, video, options.threads, options.batch)
    command = [sys.executable, __file__, "--child", name, "--video", str(video), "--bundle", str(options.bundle)]
    command += ["--threads", str(options.threads), "--batch", str(options.batch)]
    begun = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result = json.loads(output.stdout)
    result["process_s"] = time.perf_counter() - begun
    return result


def table(best: dict[str, dict], options: argparse.Namespace) -> str:
    ours = best["startle"]
    seconds = ours["duration_s"]
    lines = [
        f"# CPU: {options.bundle.name}, {seconds:.0f} s of 640×360 at 30 fps",
        "",
        f"`{called(options)}` on {processor()}, {options.threads} threads, batch {options.batch}; fastest of {options.repeats} "
        f"interleaved repeats; load average at the end {os.getloadavg()[0]:.1f}.",
        "",
        "| pipeline | wall s | × real time | windows/s | outside inference | peak MB | startle is faster by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in best.items():
        outside = 1 - result["inference_s"] / result["wall_s"]
        lines.append(
            f"| {name} | {result['wall_s']:.2f} | {seconds / result['wall_s']:.1f} | "
            f"{result['windows'] / result['wall_s']:.1f} | {outside:.1%} | {result['peak_rss'] / 1e6:.0f} | "
            f"{result['wall_s'] / ours['wall_s']:.2f}× |"
        )
    lines += [
        "",
        f"startle's decode thread: {ours['frames_decoded'] / ours['decode_s']:.0f} frames decoded (and the model's "
        f"share of them converted and resized) per busy second. Whole process with reports: {ours['process_s']:.2f} s.",
        "",
        "Wall: from opening the video to the last score, model load not counted; for startle without writing the "
        "reports. Outside inference: share of wall time in which no graph runs. The pipelines agree on the mean "
        f"surprise to {spread(best):.1e} (they decode and resize by different libraries).",
        "",
    ]
    return "\n".join(lines)


def called(options: argparse.Namespace) -> str:
    bundled = options.bundle.resolve().parent == ROOT / "models"
    return "make bench" if bundled else f"benches/compare.py --bundle {options.bundle.name}"


def spread(best: dict[str, dict]) -> float:
    values = [result["avg"] for result in best.values()]
    return (max(values) - min(values)) / min(values)


def stem(bundle: Path) -> str:
    return {"startle-s1": "cpu", "startle-o1": "cpu-o1"}.get(bundle.name, f"cpu-{bundle.name}")


def child(options: argparse.Namespace, objects: bool) -> dict:
    """Runs a Python contender in this process."""
    how = (options.threads, options.batch)
    if objects:
        frames = functools.partial(clock_frames, options.video)
        result = compare_objects.pipeline(options.child, options.bundle, frames, *how)
    else:
        result = python_pipeline(options.child, options.bundle, options.video, *how)
    return result | {"peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def cores_s() -> float:
    """Seconds of processor cores that ended child processes took: other work on the machine hardly changes it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fastest(names: tuple[str, ...], options: argparse.Namespace, video: Path) -> dict[str, dict]:
    """The fastest run of each contender; notes the load averages in `options.load`."""
    best: dict[str, dict] = {}
    options.load = []
    for repeat in range(options.repeats):
        options.load.append(os.getloadavg()[0])
        for name in names:
            before = cores_s()
            result = measure(name, options, video)
            result["cores_s"] = cores_s() - before
            print(f"{repeat + 1}/{options.repeats} {name}: {result['wall_s']:.2f} s", file=sys.stderr)
            if name not in best or result["wall_s"] < best[name]["wall_s"]:
                best[name] = result
    options.load.append(os.getloadavg()[0])
    return best


def compared(options: argparse.Namespace, video: Path) -> tuple[dict, str]:
    """Results and page for a bundle that predicts features."""
    best = fastest(CONTENDERS, options, video)
    for result in best.values():
        result.pop("curve", None)
    if spread(best) > 0.02 or len({result["windows"] for result in best.values()}) != 1:
        raise SystemExit(f"the pipelines did not do the same work: {json.dumps(best, indent=1)}")
    return best, table(best, options)


def compared_objects(options: argparse.Namespace, video: Path) -> tuple[dict, str]:
    """Results and page for a bundle of objects."""
    best = fastest(compare_objects.CONTENDERS, options, video)
    agree = compare_objects.agreement(best)
    camera = compare_objects.live(options.bundle, video, options.live)
    options.called, options.machine = called(options), processor()
    page = compare_objects.table(best, camera, agree, options)
    return best | {"live": camera, "agreement": agree, "load": options.load}, page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmarks")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "startle-o1")
    parser.add_argument("--video", type=Path, help="default: a minute made of the samples")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--live", type=float, default=40.0, help="seconds that a live camera is watched, of a bundle of objects")
    parser.add_argument("--child", choices=(*CONTENDERS, *compare_objects.CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    objects = "objects" in compare_objects.read_manifest(options.bundle)
    if options.child:
        print(json.dumps(child(options, objects)))
        return
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or Path(folder) / "bench.mp4"
        if options.video is None:
            make_video(video, options.seconds)
        results, page = (compared_objects if objects else compared)(options, video)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{stem(options.bundle)}.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / f"{stem(options.bundle)}.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
