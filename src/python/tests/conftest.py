"""Tests of the installed wheel; run by `.ci/wheel.sh` in a fresh environment, away from the repository's folder."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True, scope="session")
def elsewhere(tmp_path_factory):
    """Nothing may be found by luck in the repository's folder, nor be left in the user's."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    for name in ("ORT_DYLIB_PATH", "STARTLE_MODELS", "STARTLE_MODEL"):
        os.environ.pop(name, None)
    os.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def samples():
    return ROOT / "samples"


@pytest.fixture(scope="session")
def clip(samples):
    """A box that changes its colour at 3 s."""
    return samples / "colour_0_impossible.mp4"
