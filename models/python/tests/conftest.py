"""Fixtures of the exporter's tests."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from small import CONFIG, WEIGHTS, run

from startle_models.random_model import save_hugging_face, save_meta


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Path:
    """A folder with the same weights as `hf/` and `meta.pt`, and their shape as `shape.json`."""
    folder = tmp_path_factory.mktemp("sources")
    save_hugging_face(WEIGHTS, folder / "hf")
    save_meta(WEIGHTS, folder / "meta.pt")
    (folder / "shape.json").write_text(json.dumps(asdict(CONFIG)))
    return folder


@pytest.fixture(scope="module")
def exported(sources, tmp_path_factory) -> Path:
    """The bundle exported from the Hugging Face layout."""
    out = tmp_path_factory.mktemp("bundles") / "small"
    run(sources / "hf", out)
    return out
