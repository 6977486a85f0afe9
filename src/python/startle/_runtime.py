"""What the extension needs from its surroundings: FFmpeg, ONNX Runtime, the bundled model."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

try:
    from . import _startle as extension
except ImportError as error:
    if not any(f"lib{part}" in str(error) for part in ("av", "sw", "postproc")):
        raise
    raise ImportError(
        f"{error}: startle needs FFmpeg's shared libraries of the version that this wheel was built with (FFmpeg 5.1: "
        "on Debian 12 `apt-get install ffmpeg`); elsewhere build the wheel on your own system with `make wheel`"
    ) from error

__all__ = ["bundle", "extension", "onnxruntime"]

MODELS = Path(__file__).with_name("models")


def onnxruntime() -> str | None:
    """ONNX Runtime's library inside the installed package (which is not imported), unless ORT_DYLIB_PATH names another."""
    if os.environ.get("ORT_DYLIB_PATH"):
        return None
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        # The library itself, not those of its providers.
        for found in sorted(Path(folder, "capi").glob("libonnxruntime.*"), reverse=True):
            return str(found)
    return None


def bundle(model: str) -> str:
    """The folder of a bundle that came with the package; other names and folders stay, and so does what the folders of
    STARTLE_MODELS hold."""
    own = MODELS / model
    named = [Path(folder, model) for folder in os.environ.get("STARTLE_MODELS", "").split(os.pathsep) if folder]
    if Path(model).name != model or any((path / "bundle.toml").is_file() for path in named):
        return model
    return str(own) if (own / "bundle.toml").is_file() else model
