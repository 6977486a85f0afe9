"""What `compare.py` does for a bundle of the family `object-jepa`: its contenders, a live camera, the table.

The contenders, each in a process of its own:

* startle            the release program with the bundle
* startle-s1         the same program with the small V-JEPA of this repository
* onnxruntime        PyAV + Pillow + the same graphs under Python's onnxruntime: the encoder takes the pictures in batches,
                     the predictor one after the other
* onnxruntime-swscale   the same, but FFmpeg converts and shrinks the pictures: the fastest way from Python, with pixels
                     that are not quite the model's

The curves of the first and the last two must agree, or the benchmark fails. A live camera (MPEG-TS over UDP, at its own
pace) is watched by `startle monitor`, whose histogram says how long a slot's verdict takes.
"""

from __future__ import annotations

import argparse
import subprocess
import time
import tomllib
from pathlib import Path

from soak import free_port, metrics, quantile, resident_mb

ROOT = Path(__file__).resolve().parent.parent
OTHER = ROOT / "models" / "startle-s1"
CONTENDERS = ("startle", "startle-s1", "onnxruntime", "onnxruntime-swscale")
AGREE = 0.85  # correlation of curves, at least: a thing that is just seen, or just not, is a difference of whole nats
GOALS = {"startle-s1": 2.0, "onnxruntime": 2.0, "megabytes": 250, "latency_s": 0.1}


def read_manifest(bundle: Path) -> dict:
    """Without this project's Python package, whose imports would count against a contender."""
    return tomllib.loads((bundle / "bundle.toml").read_text())


def shrinker(name: str, side: int):
    """What makes a decoded picture the model's square, uint8 [side, side, 3]."""
    import numpy as np
    from av.video.reformatter import VideoReformatter
    from PIL import Image

    scaler = VideoReformatter()

    def swscale(frame):
        return scaler.reformat(frame, side, side, "rgb24", interpolation="AREA").to_ndarray()

    def pillow(frame):
        picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
        return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))

    return swscale if name.endswith("swscale") else pillow


def pipeline(name: str, bundle: Path, frames, threads: int, batch: int) -> dict:
    """Runs one Python contender in this process; `frames` gives the model's squares for what shrinks a picture."""
    import numpy as np
    import onnxruntime

    manifest = read_manifest(bundle)
    mean, std = (np.asarray(manifest["preprocess"][key], np.float32) for key in ("mean", "std"))
    warm_up = manifest["clip"]["frames_per_clip"] - 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    encoder, predictor = (
        onnxruntime.InferenceSession(str(bundle / f"{graph}.onnx"), options, providers=["CPUExecutionProvider"])
        for graph in ("encoder", "predictor")
    )
    state, curve, inside = np.zeros((1, manifest["objects"]["state"]), np.float32), [], 0.0

    def score(squares: list) -> None:
        nonlocal state, inside
        pixels = (np.stack(squares).astype(np.float32) / 255 - mean) / std
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        begun = time.perf_counter()
        tokens, maps = encoder.run(["tokens", "maps"], {"pixel_values": pixels})
        for at in range(len(squares)):
            seen = {"state": state, "tokens": tokens[at : at + 1], "maps": maps[at : at + 1]}
            state, energy, _, _ = predictor.run(["next_state", "energy", "expected", "seen"], seen)
            curve.append(float(energy[0].max(0).mean()))
        inside += time.perf_counter() - begun

    started, waiting = time.perf_counter(), []
    for square in frames(manifest["clip"]["model_fps"], shrinker(name, manifest["clip"]["crop_size"])):
        waiting.append(square)
        if len(waiting) == batch:
            score(waiting)
            waiting = []
    if waiting:
        score(waiting)
    wall, curve = time.perf_counter() - started, curve[warm_up:]
    return {"wall_s": wall, "inference_s": inside, "windows": len(curve), "avg": float(np.mean(curve)), "curve": curve}


def agreement(best: dict[str, dict]) -> float:
    """The least correlation of a Python contender's curve with startle's; drops the curves."""
    import numpy as np

    curves = {name: result.pop("curve") for name, result in best.items() if name != OTHER.name}
    best[OTHER.name].pop("curve", None)
    ours = curves.pop("startle")
    if any(len(curve) != len(ours) for curve in curves.values()):
        raise SystemExit(f"the pipelines did not score the same slots: {[len(ours), *map(len, curves.values())]}")
    least = min(float(np.corrcoef(ours, curve)[0, 1]) for curve in curves.values())
    if not least >= AGREE:
        raise SystemExit(f"the pipelines did not do the same work: their curves correlate by {least:.3f}")
    return least


def live(bundle: Path, video: Path, seconds: float) -> dict:
    """Latency of verdicts, seconds, and memory, MB, of `startle monitor` with one camera."""
    film, port, camera = video.with_suffix(".ts"), free_port(), f"udp://127.0.0.1:{free_port()}"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "30", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", "-i", str(video), *encode, str(film)], check=True)
    send = ["ffmpeg", "-loglevel", "quiet", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy"]
    command = [ROOT / "target/release/startle", "monitor", camera, "--model", bundle, "--state", video.parent / "state"]
    command += ["--listen", f"127.0.0.1:{port}", "--quiet"]
    program = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, cwd=ROOT)
    sender = subprocess.Popen([*send, "-f", "mpegts", f"{camera}?pkt_size=1316"])
    try:
        time.sleep(seconds)
        samples, megabytes = metrics(port), resident_mb(program.pid)
    finally:
        for process in (sender, program):
            process.terminate()
        for process in (sender, program):
            process.wait(timeout=20)
    name = "startle_verdict_latency_seconds"
    count = sum(value for key, value in samples.items() if key.startswith(f"{name}_count"))
    spent = sum(value for key, value in samples.items() if key.startswith(f"{name}_sum"))
    dropped = sum(value for key, value in samples.items() if key.startswith("startle_clips_dropped_total"))
    if not count:
        raise SystemExit(f"the live camera gave no verdict in {seconds} s")
    most = {q: quantile(samples, name, float(q)) for q in ("0.5", "0.9", "0.99")}
    return {"verdicts": count, "mean_s": spent / count, "at_most_s": most, "dropped": dropped, "megabytes": megabytes}


def table(best: dict[str, dict], camera: dict, agree: float, options: argparse.Namespace) -> str:
    """The page; `options` has also `load` (the least and the largest load average), `called` and `machine`."""
    ours = best["startle"]
    seconds, low, high = ours["duration_s"], min(options.load), max(options.load)
    lines = [
        f"# CPU: {options.bundle.name}, {seconds:.0f} s of 640×360 at 30 fps",
        "",
        f"`{options.called}` on {options.machine}, {options.threads} threads, batch {options.batch}; fastest of "
        f"{options.repeats} interleaved repeats; load average {low:.1f} to {high:.1f}"
        + (" (other work ran on these cores: go by the seconds of cores)." if low > 2.5 else "."),
        "",
        "| pipeline | wall s | × real time | whole process s | seconds of cores | outside inference | peak MB | startle is better by (wall, process, cores) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in best.items():
        outside = 1 - result["inference_s"] / result["wall_s"]
        lines.append(
            f"| {name} | {result['wall_s']:.2f} | {seconds / result['wall_s']:.1f} | {result['process_s']:.2f} | "
            f"{result['cores_s']:.2f} | {outside:.1%} | {result['peak_rss'] / 1e6:.0f} | {result['wall_s'] / ours['wall_s']:.2f}×, "
            f"{result['process_s'] / ours['process_s']:.2f}×, {result['cores_s'] / ours['cores_s']:.2f}× |"
        )
    latency = camera["at_most_s"]
    within = latency["0.99"] <= GOALS["latency_s"]
    lines += [
        "",
        f"A live camera under `startle monitor` ({camera['verdicts']:.0f} slots): a slot's verdict comes "
        f"{camera['mean_s'] * 1e3:.0f} ms after the arrival of its last picture on average, within {latency['0.5'] * 1e3:.0f} ms "
        f"for half of them and {latency['0.99'] * 1e3:.0f} ms for 99 % (bounds of the histogram's buckets); "
        f"{camera['dropped']:.0f} slots dropped; {camera['megabytes']:.0f} MB.",
        "",
        "| goal | reached |",
        "|---|---|",
        *(
            f"| {goal:g} times as fast as {name} | {best[name][key] / ours[key]:.2f}: {yes(best[name][key] >= goal * ours[key])} |"
            for name, goal, key in (
                (OTHER.name, GOALS["startle-s1"], "process_s"),
                ("onnxruntime", GOALS["onnxruntime"], "wall_s"),
                ("onnxruntime-swscale", GOALS["onnxruntime"], "wall_s"),
            )
        ),
        f"| {GOALS['megabytes']} MB | {ours['peak_rss'] / 1e6:.0f}: {yes(ours['peak_rss'] <= GOALS['megabytes'] * 1e6)} |",
        f"| a live slot's verdict within {GOALS['latency_s'] * 1e3:.0f} ms | {yes(within)} |",
        "",
        "Wall: from opening the video to the last score, model load not counted; for startle without writing the "
        "reports. Whole process: from start to end, reports or the imports of Python included (startle-s1 is compared by "
        "it). Seconds of cores: of the whole process. Outside inference: share of wall time in which no graph runs. `onnxruntime` shrinks with Pillow, from which the "
        "model's pixels are defined; `onnxruntime-swscale` lets FFmpeg convert and shrink in one go. The curves correlate by "
        f"at least {agree:.3f} (they decode and resize by different libraries, and a thing that is just seen in one "
        "is just not in another).",
        "",
    ]
    return "\n".join(lines)


def yes(reached: bool) -> str:
    return "yes" if reached else "no"

