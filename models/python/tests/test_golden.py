"""The committed goldens: still what the code gives, and within reach of ONNX Runtime."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from startle_models import bundle, golden, reference

DATA = Path(__file__).resolve().parents[3] / "tests" / "data"
NAMES = [case.name for case in golden.CASES]


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> Path:
    """The test data made anew from the committed clip."""
    out = tmp_path_factory.mktemp("data")
    (out / "golden").mkdir()
    shutil.copy(DATA / "golden" / "clip.mp4", out / "golden")
    golden.main(["--out", str(out), "--keep-clip"])
    return out


def record(name: str, data: Path = DATA) -> dict:
    return json.loads((data / "golden" / f"golden_{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_goldens_are_not_stale(again, name):
    old, new = record(name), record(name, again)
    for a, b in zip(old["windows"], new["windows"], strict=True):
        assert a["start_frame"] == b["start_frame"] and a["surprise"] == pytest.approx(b["surprise"], rel=1e-6)
    for entry in old["arrays"].values():
        a, b = (np.load(folder / entry["file"]) for folder in (DATA, again))
        assert list(a.shape) == entry["shape"] and a.dtype == entry["dtype"]
        assert np.allclose(a, b, rtol=1e-5, atol=1e-5)
    assert {k for k in old if k != "versions"} == {k for k in new if k != "versions"}


@pytest.mark.parametrize("name", [case.name for case in golden.OTHERS])
def test_self_tests_of_other_families_are_not_stale(again, name):
    old, new = (bundle.read_manifest(data / "bundles" / name)["self_test"] for data in (DATA, again))
    for a, b in zip(old["surprise"], new["surprise"], strict=True):
        assert a["context"] == b["context"] and a["value"] == pytest.approx(b["value"], rel=1e-6)


@pytest.mark.parametrize("name", [case.name for case in (*golden.CASES, *golden.OTHERS)])
def test_committed_bundles_verify(name):
    assert bundle.main(["verify", str(DATA / "bundles" / name)]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_onnx_runtime_reaches_the_golden_numbers(name):
    """Stage by stage from the committed pixels: input, tokens, prediction, errors, surprise, each within 1e-5."""
    gold = record(name)
    arrays = {k: np.load(DATA / v["file"]) for k, v in gold["arrays"].items()}
    session = bundle.Session(DATA / gold["bundle"])
    clip, pre = session.manifest["clip"], session.manifest["preprocess"]
    windows = np.stack([arrays["pixels"][w["start_frame"] :][: clip["frames_per_clip"]] for w in gold["windows"]])
    inputs = reference.normalise(windows, pre["mean"], pre["std"])
    assert np.array_equal(inputs[0], arrays["input"])
    c = gold["stage_context"]
    whole = session.encode_whole(inputs[:1])
    context = session.encode(inputs[:1, :c])
    cut, end = context.shape[1], context.shape[1] + len(arrays[f"target_c{c}"])
    places = np.arange(end)[None]
    stages = {
        "whole_tokens": whole,
        f"context_c{c}": context,
        f"target_c{c}": session.targets(whole)[:, cut:end],
        f"prediction_c{c}": session.predict(context, places[:, :cut].copy(), places[:, cut:].copy()),
    }
    for key, found in stages.items():
        assert np.abs(found[0] - arrays[key]).max() <= 1e-5 * np.abs(arrays[key]).max(), key
    for length, found in session.errors(inputs).items():
        assert np.allclose(found, arrays[f"errors_c{length}"], rtol=1e-5, atol=0)
        for i, window in enumerate(gold["windows"]):
            assert found[i].mean(dtype=np.float64) == pytest.approx(window["surprise"][str(length)], rel=1e-6)


def test_decoded_frames_lead_to_the_pixels():
    decoded = np.load(DATA / "golden" / "decoded.npy")
    assert np.array_equal(decoded, golden.read_clip(DATA / "golden" / "clip.mp4")[:: golden.RAW_EVERY])
    gold = record("tiny-random")
    manifest = bundle.read_manifest(DATA / gold["bundle"])
    clip, pre = manifest["clip"], manifest["preprocess"]
    found = [
        reference.preprocess(f, crop_size=clip["crop_size"], resize=pre["resize"], resize_size=pre["resize_size"])
        for f in decoded
    ]
    pixels = np.load(DATA / gold["arrays"]["pixels"]["file"])
    assert np.array_equal(np.stack(found), pixels[:: golden.RAW_EVERY])


def test_test_data_stays_small():
    assert sum(f.stat().st_size for f in (DATA / "golden").rglob("*") if f.is_file()) < 1.5e6
    for name in NAMES:
        assert sum(f.stat().st_size for f in (DATA / "bundles" / name).iterdir()) < 1.5e6
    assert (DATA / "golden" / "clip.mp4").stat().st_size < 60_000
