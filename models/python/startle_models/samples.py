"""Sample videos: twins per violation with labels, a whole benchmark, or lawful videos for calibration.

`python -m startle_models.samples --out samples` writes the twins of this repository's `samples/`;
`python -m startle_models.samples --benchmark 50 --out DIR` writes held-out twins of every violation and lawful control
pairs; `python -m startle_models.samples --lawful 40 --out DIR` writes lawful videos. H.264, yuv420p, BT.709.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch

from .world import (
    ADDS_MOTION, REMOVES_MOTION, VARIED, VIOLATIONS, SceneSpec, lawful_video, render_pairs, sample_controls, sample_pairs,
)

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 6.0
SEED = 20_000
BENCHMARK_SEED = 830_000_023
NORMAL, NORMAL_SECONDS, NORMAL_SEED = 20, 30.0, 840_000_000  # long lawful videos on which events are false alarms
CONTROL = "control"  # pairs of which both twins are lawful
# a simple scene first, then of the full variety: two pairs, which are a quadruplet where the kind has them
SPECS = ((1, SceneSpec.plain()), (2, SceneSpec()))


def write_video(path: Path, video, fps: int = FPS, crf: int = 25) -> int:
    """Encode uint8 RGB [F,H,W,3] as H.264 with BT.709 limited-range tags; returns the size in bytes."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "slow", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = video.shape[2], video.shape[1], "yuv420p"
        ctx = stream.codec_context
        ctx.color_primaries, ctx.color_trc, ctx.colorspace, ctx.color_range = 1, 1, 1, ColorRange.MPEG
        for picture in video.numpy():
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG)
            frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
            frame.color_primaries, frame.color_trc = 1, 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path.stat().st_size


def twin_seed(kind: str, part: int) -> int:
    return SEED + 100 * VIOLATIONS.index(kind) + part


def motion_group(kind: str) -> str:
    """Whether the violation adds motion to the picture, removes some, or neither."""
    return "adds" if kind in ADDS_MOTION else "removes" if kind in REMOVES_MOTION else "neither"


def make_pairs(kind: str, part: int, height: int = HEIGHT, width: int = WIDTH, fps: int = FPS):
    """Twin videos uint8 [2P,F,height,width,3] of part 0 or 1 of SPECS and their pairs: a function of kind and part."""
    g = torch.Generator().manual_seed(twin_seed(kind, part))
    count, spec = SPECS[part]
    pairs = sample_pairs(kind, count, round(SECONDS * fps), fps, g, spec, earliest=0.42, latest=0.6)
    return render_pairs(pairs, height, width, g), pairs


def write_mask(path: Path, mask) -> None:
    """A silhouette [H,W] bool as a one-bit PNG."""
    from PIL import Image

    Image.fromarray(mask.numpy()).convert("1").save(path, optimize=True)


WHAT = {"vanish": "missing", "appear": "new", "colour": "colour", "shape": "shape", "size": "size"}
"""What an event at a violation should be; every other kind is of something that moves as it can't."""


def what(kind: str) -> str:
    """The label `what` of a kind of violation."""
    return WHAT.get(kind.removesuffix("_hidden"), "moved")


def write_pairs(kind: str, part: int, first: int, out: Path) -> list[dict]:
    """Encode the pairs of one part as KIND_N from N = first on; returns their label rows."""
    video, pairs = make_pairs(kind, part)
    boxes, masks, rows = pairs.boxes(HEIGHT, WIDTH), pairs.masks(HEIGHT, WIDTH), []
    for i in range(len(pairs)):
        pair = f"{kind}_{first + i}"
        write_mask(out / f"{pair}_mask.png", masks[i])
        for row, possible in ((2 * i, True), (2 * i + 1, False)):
            name = f"{pair}_{'possible' if possible else 'impossible'}.mp4"
            write_video(out / name, video[row])
            rows.append({
                "path": name, "pair": pair, "quadruplet": f"{kind}_{part}_{int(pairs.group[i])}",
                "possible": possible, "type": kind, "motion": motion_group(kind), "hidden": pairs.hidden,
                "onset_s": round(int(pairs.onset[i]) / FPS, 4), "visible_s": round(int(pairs.seen[i]) / FPS, 4),
                "box": [round(v, 1) for v in boxes[i].tolist()], "mask": f"{pair}_mask.png",
                "what": what(kind), "seed": twin_seed(kind, part), "frames_sha256": hashlib.sha256(video[row].numpy().tobytes()).hexdigest(),
            })
    return rows


def benchmark_kind(job: tuple[str, int, Path, int, int, int]) -> str:
    """Write `count` held-out twins of one kind, or control pairs: shapes and textures that training never shows.

    Its labels go to labels_KIND.jsonl when all its videos are there; a kind that has them is left as it is.
    """
    kind, count, out, width, height, fps = job
    torch.set_num_threads(1)
    labels = out / f"labels_{kind}.jsonl"
    if labels.exists() and len(labels.read_text().splitlines()) == 2 * count:
        return kind
    # vanish and appear of equal seeds are mirror images
    place = len(VIOLATIONS) if kind == CONTROL else VIOLATIONS.index(kind.replace("appear", "vanish"))
    g = torch.Generator().manual_seed(BENCHMARK_SEED + place)
    sample = sample_controls if kind == CONTROL else (lambda *a: sample_pairs(kind, *a))
    pairs = sample(count, round(SECONDS * fps), fps, g, SceneSpec(held_out=True))
    video, boxes, rows = render_pairs(pairs, height, width, g), pairs.boxes(height, width), []
    for i in range(count):
        for row, first in ((2 * i, True), (2 * i + 1, False)):
            name = f"{kind}_{i:03d}_{'ab'[not first] if kind == CONTROL else 'possible' if first else 'impossible'}.mp4"
            write_video(out / name, video[row], fps, crf=18)
            rows.append({
                "path": name, "pair": f"{kind}_{i:03d}", "quadruplet": f"{kind}_{int(pairs.group[i]):03d}",
                "possible": first or kind == CONTROL, "control": kind == CONTROL, "type": kind,
                "motion": motion_group(kind), "hidden": bool(pairs.hidden), "visible_s": int(pairs.seen[i]) / fps,
                "onset_s": int(pairs.onset[i]) / fps, "box": [round(v, 1) for v in boxes[i].tolist()],
            } | ({} if kind == CONTROL else {"what": what(kind)}))
    labels.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return kind


def benchmark(count: int, out: Path, width: int, height: int, fps: int, kinds=(*VIOLATIONS, CONTROL), jobs: int = 2):
    """Write the benchmark's videos and their labels.jsonl."""
    out.mkdir(parents=True, exist_ok=True)
    with torch.multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for kind in pool.imap_unordered(benchmark_kind, [(k, count, out, width, height, fps) for k in kinds]):
            print(kind, flush=True)
    normal = []
    for i in range(NORMAL):
        name, g = f"normal_{i:03d}.mp4", torch.Generator().manual_seed(NORMAL_SEED + i)
        if not (out / name).exists():
            write_video(out / name, lawful_video(1, round(NORMAL_SECONDS * fps), fps, height, width, g)[0], fps, crf=18)
        normal.append(json.dumps({"path": name, "possible": True, "type": "normal"}) + "\n")
    lists = [(out / f"labels_{k}.jsonl").read_text() for k in kinds]
    (out / "labels.jsonl").write_text("".join(lists + normal))


def lawful(count: int, out: Path, seed: int = 700_000, height: int = HEIGHT, width: int = WIDTH,
           fps: int = FPS, wide: bool = False) -> None:
    """Write `count` lawful videos lawful_0000.mp4 … of 6 s and labels.jsonl; wide: half of them with cameras and lights of all kinds,
    half with surfaces of many kinds."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "labels.jsonl").open("w") as labels:
        for i in range(count):
            g = torch.Generator().manual_seed(seed + i)
            name = f"lawful_{i:04d}.mp4"
            change = VARIED if wide and i // 2 % 2 else {}
            spec = SceneSpec.wide(**change) if wide and i // 4 % 2 else SceneSpec(**change)
            write_video(out / name, lawful_video(1, round(SECONDS * fps), fps, height, width, g, spec)[0], fps)
            labels.write(json.dumps({"path": name, "possible": True, "type": "none", "seed": seed + i}) + "\n")
            labels.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--only", nargs="*", default=list(VIOLATIONS), help="violations")
    p.add_argument("--lawful", type=int, default=0, help="write so many lawful videos instead")
    p.add_argument("--wide", action="store_true", help="lawful videos with cameras, lights and surfaces of many kinds")
    p.add_argument("--benchmark", type=int, default=0, help="write so many held-out twins of every violation instead")
    p.add_argument("--seed", type=int, default=700_000, help="first seed of the lawful videos")
    p.add_argument("--size", default=f"{WIDTH}x{HEIGHT}", help="of lawful and benchmark videos; 320x180: a quarter of the time")
    p.add_argument("--fps", type=int, default=FPS, help="of lawful and benchmark videos; 10, the model's: a third of the time")
    args = p.parse_args()
    torch.set_num_threads(1)
    width, height = (int(v) for v in args.size.split("x"))
    if args.benchmark:
        benchmark(args.benchmark, args.out, width, height, args.fps)
        return
    if args.lawful:
        lawful(args.lawful, args.out, args.seed, height, width, args.fps, args.wide)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind in args.only:
        for part, first in ((0, 0), (1, SPECS[0][0])):
            rows += write_pairs(kind, part, first, args.out)
        print(kind, sum((args.out / r["path"]).stat().st_size for r in rows if r["type"] == kind), flush=True)
    (args.out / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
