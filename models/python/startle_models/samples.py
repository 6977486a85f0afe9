"""Sample videos: twins per violation with labels, or lawful videos for calibration.

`python -m startle_models.samples --out samples` writes the twins of this repository's `samples/`;
`python -m startle_models.samples --lawful 40 --out DIR` writes lawful videos. H.264, yuv420p, BT.709.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from .world import VIOLATIONS, SceneSpec, render, render_pairs, sample_pairs, sample_scenes, simulate

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 6.0
SEED = 20_000
SPEC = SceneSpec(noise=0.006)
# simpler scenes for the first pair of each type, the full variety for the others
SIMPLE = SceneSpec(noise=0.004, objects=(0.0, 0.7, 0.3, 0.0), screens=0.0, textured=0.3, pattern=0.0)


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


def twin_seed(kind: str, index: int) -> int:
    return SEED + 100 * VIOLATIONS.index(kind) + index


def make_pair(kind: str, index: int):
    """Twin videos uint8 [2,F,360,640,3] and their pair, a function of (kind, index) alone."""
    g = torch.Generator().manual_seed(twin_seed(kind, index))
    spec = SIMPLE if index == 0 else SPEC
    pairs = sample_pairs(kind, 1, round(SECONDS * FPS), FPS, g, spec, earliest=0.42, latest=0.6)
    return render_pairs(pairs, HEIGHT, WIDTH, g, chunk=6), pairs


def write_pair(kind: str, index: int, out: Path) -> list[dict]:
    """Encode one pair; returns its two label rows."""
    video, pairs = make_pair(kind, index)
    box = [round(v, 1) for v in pairs.boxes(HEIGHT, WIDTH)[0].tolist()]
    rows = []
    for row, possible in ((0, True), (1, False)):
        name = f"{kind}_{index}_{'possible' if possible else 'impossible'}.mp4"
        size = write_video(out / name, video[row])
        rows.append({
            "path": name, "pair": f"{kind}_{index}", "possible": possible, "type": kind,
            "onset_s": round(int(pairs.onset[0]) / FPS, 4), "visible_s": round(int(pairs.seen[0]) / FPS, 4),
            "hidden": pairs.hidden, "box": box, "seed": twin_seed(kind, index), "bytes": size,
        })
    return rows


def lawful(count: int, out: Path, seed: int = 700_000, height: int = HEIGHT, width: int = WIDTH) -> None:
    """Write `count` lawful videos lawful_0000.mp4 … of 6 s and labels.jsonl."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "labels.jsonl").open("w") as labels:
        for i in range(count):
            g = torch.Generator().manual_seed(seed + i)
            scene = sample_scenes(1, SECONDS, g, SPEC)
            track = simulate(scene, round(SECONDS * FPS), FPS)
            name = f"lawful_{i:04d}.mp4"
            write_video(out / name, render(scene, track, height, width, g, chunk=6)[0])
            labels.write(json.dumps({"path": name, "possible": True, "type": "none", "seed": seed + i}) + "\n")
            labels.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--pairs", type=int, default=1, help="pairs per violation")
    p.add_argument("--only", nargs="*", default=list(VIOLATIONS), help="violations")
    p.add_argument("--lawful", type=int, default=0, help="write so many lawful videos instead")
    p.add_argument("--seed", type=int, default=700_000, help="first seed of the lawful videos")
    p.add_argument("--size", default=f"{WIDTH}x{HEIGHT}", help="of the lawful videos; 320x180: a quarter of the time")
    args = p.parse_args()
    torch.set_num_threads(1)
    if args.lawful:
        width, height = (int(v) for v in args.size.split("x"))
        lawful(args.lawful, args.out, args.seed, height, width)
        return
    rows = []
    for kind in args.only:
        for index in range(args.pairs):
            rows += write_pair(kind, index, args.out)
            print(rows[-1]["pair"], rows[-1]["onset_s"], rows[-2]["bytes"], rows[-1]["bytes"], flush=True)
    (args.out / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
