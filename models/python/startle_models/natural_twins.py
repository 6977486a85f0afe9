"""Twins of real footage from fixed cameras: a shot, and the same shot with one thing in it made impossible.

`python -m startle_models.natural_twins --footage DIR --out DIR`: DIR holds shots and manifest.csv (name, camera,
realtime). Both twins are equal, pixel for pixel before encoding, up to the onset. Six edits: the thing vanishes, appears
(from the empty background), jumps, changes its colour; all of the picture freezes; time runs back.
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from .objects.natural import background, is_test, load, masks, shots
from .samples import write_video

KINDS = ("vanish", "appear", "jump", "colour", "freeze", "reverse")
FPS = 10.0
LONGEST = 80  # pictures of a twin
SHORTEST = 30
ONSET = (0.4, 0.65)  # shares of the twin
AREA = (0.004, 0.12)  # of the edited thing, share of the picture
MOVES = 0.004  # mean change from picture to picture around the onset without which freezing shows nothing


def _thing(mask, at: int):
    """bool [F,H,W]: the largest fitting component at picture `at`, followed by overlap; None without one."""
    label, count = ndimage.label(mask[at])
    area = np.bincount(label.ravel(), minlength=count + 1)[1:] / label.size
    fits = [i for i in np.argsort(-area) if AREA[0] < area[i] < AREA[1]] if count else []
    if not fits:
        return None
    out = np.zeros_like(mask)
    out[at] = label == fits[0] + 1
    for order in (range(at + 1, len(mask)), range(at - 1, -1, -1)):
        last = out[at]
        for t in order:
            parts, _ = ndimage.label(mask[t])
            touched = np.unique(parts[ndimage.binary_dilation(last, iterations=3)])
            out[t] = np.isin(parts, touched[touched > 0])
            last = out[t] if out[t].any() else last
    return out


def _soft(mask):
    return ndimage.gaussian_filter(ndimage.binary_dilation(mask, iterations=2).astype(np.float32), 1.0)[..., None]


def _painted(video, empty, thing, frames):
    out = video.copy()
    for t in frames:
        a = _soft(thing[t])
        out[t] = (video[t] * (1 - a) + empty * 255 * a).astype(np.uint8)
    return out


def _jumped(video, empty, thing, frames, shift):
    out = _painted(video, empty, thing, frames)
    for t in frames:
        a = np.roll(_soft(thing[t]), shift, (0, 1))
        out[t] = (out[t] * (1 - a) + np.roll(video[t], shift, (0, 1)) * a).astype(np.uint8)
    return out


def edit(kind: str, video, empty, thing, onset: int):
    """Lawful and unlawful twin, or None where the edit would not show."""
    after = range(onset, len(video))
    if kind in ("freeze", "reverse"):
        moving = np.abs(np.diff(video[onset - 4:onset + 4].astype(np.float32), axis=0)).mean() / 255
        if moving < MOVES:
            return None
        if kind == "freeze":
            hold = np.repeat(video[onset - 1:onset], len(video) - onset, 0)
            return video, np.concatenate([video[:onset], hold])
        back = video[onset - 2::-1][:len(video) - onset]
        return video[:onset + len(back)], np.concatenate([video[:onset], back])
    if thing is None or not thing[onset:onset + 5].any((1, 2)).all():
        return None
    if kind == "vanish":
        return video, _painted(video, empty, thing, after)
    if kind == "appear":
        gone = _painted(video, empty, thing, range(len(video)))
        return gone, np.concatenate([gone[:onset], video[onset:]])
    if kind == "colour":
        out = video.copy()
        for t in after:
            a = _soft(thing[t])
            out[t] = (video[t] * (1 - a) + video[t][..., [1, 2, 0]] * a).astype(np.uint8)
        change = np.abs(out[onset].astype(int) - video[onset])[thing[onset]].mean()
        return (video, out) if change > 18 else None
    columns = np.where(thing[onset].any(0))[0]
    wide, middle = np.ptp(columns) + 1, columns.mean()
    way = int(wide * 1.3 + 0.08 * video.shape[2])
    return video, _jumped(video, empty, thing, after, (0, -way if middle > video.shape[2] / 2 else way))


def twins(name: str, file: Path, out: Path):
    """Write the twins of a shot; label rows."""
    video = load(file, None)
    if len(video) < SHORTEST:
        return []
    video = video[:LONGEST, :video.shape[1] // 2 * 2, :video.shape[2] // 2 * 2]
    empty = background(video)
    mask, rows = masks(video, empty), []
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for kind in KINDS:
        for _ in range(6):
            onset = int(rng.uniform(*ONSET) * len(video))
            pair = edit(kind, video, empty, _thing(mask, onset), onset)
            if pair is not None:
                break
        else:
            continue
        stem = f"{Path(name).stem}_{kind}"
        for twin, possible in zip(pair, (True, False)):
            path = f"{stem}_{'possible' if possible else 'impossible'}.mp4"
            write_video(out / path, torch.from_numpy(np.ascontiguousarray(twin)), int(FPS), crf=18)
            rows.append({"path": path, "pair": stem, "possible": possible, "type": kind, "onset_s": onset / FPS})
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--footage", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--train", action="store_true", help="of the sources to train on, not of those kept for tests")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, file in shots(a.footage):
        if is_test(name) != a.train:
            rows += twins(name, file, a.out)
    (a.out / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    print(f"{len(rows) // 2} pairs")


if __name__ == "__main__":
    main()
