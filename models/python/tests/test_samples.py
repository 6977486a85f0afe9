"""The repository's samples: reproducible before encoding, and labelled."""

import json
from collections import Counter
from pathlib import Path

import torch

from startle_models.samples import benchmark_kind, make_pairs, motion_group
from startle_models.world import HIDDEN, VIOLATIONS

SAMPLES = Path(__file__).resolve().parents[3] / "samples"


def test_pairs_repeat_bit_for_bit():
    (a, pairs), (b, _) = (make_pairs("colour", 1, 36, 64, 10) for _ in range(2))
    assert a.shape == (4, 60, 36, 64, 3) and torch.equal(a, b)
    assert pairs.group.tolist() == [0, 0]
    for i, onset in enumerate(pairs.onset.tolist()):
        assert torch.equal(a[2 * i, :onset], a[2 * i + 1, :onset]) and not torch.equal(a[2 * i], a[2 * i + 1])


def test_labels_describe_the_files():
    rows = [json.loads(line) for line in (SAMPLES / "labels.jsonl").read_text().splitlines()]
    assert Counter(r["type"] for r in rows) == dict.fromkeys(VIOLATIONS, 6)
    assert {r["path"] for r in rows} == {p.name for p in SAMPLES.glob("*.mp4")}
    assert {r["mask"] for r in rows} == {p.name for p in SAMPLES.glob("*.png")}
    for possible, impossible in zip(rows[0::2], rows[1::2]):
        assert possible["possible"] and not impossible["possible"] and possible["pair"] == impossible["pair"]
        assert possible["frames_sha256"] != impossible["frames_sha256"]
        assert possible["hidden"] == (possible["type"] in HIDDEN) and possible["motion"] == motion_group(possible["type"])
        assert possible["onset_s"] <= possible["visible_s"] < 6
        x0, y0, x1, y1 = possible["box"]
        assert 0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 360


def test_benchmark_videos_are_labelled_and_made_once(tmp_path):
    job = ("control", 1, tmp_path, 64, 36, 10)
    benchmark_kind(job)
    rows = [json.loads(line) for line in (tmp_path / "labels_control.jsonl").read_text().splitlines()]
    assert [r["control"] and r["possible"] for r in rows] == [True, True]
    assert len({r["pair"] for r in rows}) == 1 and all((tmp_path / r["path"]).stat().st_size > 500 for r in rows)
    before = [(tmp_path / r["path"]).stat().st_mtime_ns for r in rows]
    benchmark_kind(job)
    assert [(tmp_path / r["path"]).stat().st_mtime_ns for r in rows] == before
