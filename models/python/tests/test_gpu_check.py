"""The GPU check's packing and comparing; the rest of it needs the release program (run it with --device cpu)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

SCRIPT = Path(__file__).resolve().parents[3] / ".ci/gpu_check.py"
spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
gpu_check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu_check)


def test_what_is_packed_comes_back_whole_and_no_part_is_larger_than_asked(tmp_path):
    noise = np.random.default_rng(0).bytes(200_000)
    program = tmp_path / "startle"
    program.write_bytes(noise)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    folder, work = tmp_path / "packed", tmp_path / "work"
    gpu_check.put(program, "bin/startle", folder, 50_000)
    gpu_check.put(empty, "models/a/weights/empty.json", folder, 50_000)
    parts = [path.stat().st_size for path in folder.rglob("*.xz.*")]
    assert len(parts) >= 5 and max(parts) <= 50_000
    gpu_check.unpack(folder, work)
    assert (work / "bin/startle").read_bytes() == noise and (work / "models/a/weights/empty.json").read_bytes() == b""


def test_the_rank_correlation_is_scipys():
    a, b = np.random.default_rng(1).normal(size=(2, 50)).tolist()
    assert gpu_check.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert gpu_check.spearman(a, a) == 1.0


def test_libraries_of_the_system_stay_at_home():
    names = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libavcodec.so.59", "libcuda_like.so.1", "libcairo.so.2"]
    assert [name for name in names if not gpu_check.SYSTEM.match(name)] == names[3:]
