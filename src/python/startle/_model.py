"""Models, and what can be done with one in a line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from ._result import Result
from ._runtime import bundle, extension, onnxruntime

DEFAULT = "startle-o1"
Progress = Callable[[float, "float | None"], object]
PathLike = str | os.PathLike[str]


class Options(TypedDict, total=False):
    """How a model is run and when a surprise is an event: the options of `startle analyze`."""

    model: str
    """A bundle's name or folder; `persistence` is the weight-free control."""
    device: str
    """auto, cpu, openvino, openvino-bf16, cuda[:N] or tensorrt[:N]; what is asked for and missing is an error."""
    threads: int
    """Threads of inference in all; 0: one per core."""
    batch: int | None
    sessions: int | None
    stride: int | None
    baseline: PathLike
    """`bundle`, `self` (the video's own past) or a file of `startle.calibrate`."""
    max_false_alarms: str
    """Events that normal footage may cause, for example 6/hour or 1/day."""
    p_value: float | None
    z: float | None
    merge: float
    min_duration: float
    cool_down: float
    top: float


def settings(options: Options, **usual: Any) -> dict[str, Any]:
    """Every setting, as the extension wants them."""
    every: dict[str, Any] = {
        "model": os.environ.get("STARTLE_MODEL") or DEFAULT, "device": "auto", "threads": 0, "batch": None, "sessions": None, "stride": None,
        "baseline": "bundle", "max_false_alarms": "30/hour", "p_value": None, "z": None, "merge": 0.5, "min_duration": 0.0, "cool_down": 0.0,
        "top": 0.06,
    }  # fmt: skip
    unknown = set(options) - set(every)
    if unknown:
        raise TypeError(f"unknown option {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    every |= usual | options
    every["model"] = bundle(os.fspath(every["model"]))
    every["baseline"] = os.fspath(every["baseline"])
    every["ort"] = onnxruntime()
    return every


class Model:
    """A loaded model with its baseline and detector: `startle.Model(device="cuda").analyze("clip.mp4")`.

    Threads may share one; they take turns. Options are those of `startle.Options`.
    """

    def __init__(self, **options: Any) -> None:
        self._engine = extension.Engine(settings(options))

    @property
    def name(self) -> str:
        """The model's name."""
        return self._engine.name

    @property
    def sha256(self) -> str:
        """Hash of its bundle."""
        return self._engine.sha256

    @property
    def fps(self) -> float:
        """Pictures a second that it looks at."""
        return self._engine.fps

    @property
    def question(self) -> str:
        """A mark of everything but the video that decides the numbers: model, baseline, threshold."""
        return self._engine.question

    def analyze(
        self,
        video: PathLike | bytes | np.ndarray | Iterable[np.ndarray],
        *,
        fps: float | None = None,
        track: int | None = None,
        name: str | None = None,
        progress: Progress | bool | None = None,
    ) -> Result:
        """Analyzes one video from its beginning to its end.

        `video`: a file, a URL, a folder of numbered pictures; the bytes of a video file; or pictures, as an array (time ×
        height × width × 3, uint8, RGB) or any iterable of such pictures, with their rate as `fps`. `progress`: a function of
        the seconds done and in all (None where that is not known), or True for a bar (needs tqdm).
        """
        told = _bar() if progress is True else progress or None
        if isinstance(video, (bytes, bytearray, memoryview)):
            with tempfile.NamedTemporaryFile(prefix="startle-") as file:
                file.write(video)
                file.flush()
                result = self._engine.analyze(file.name, (track, fps, None), told)
            return Result(result.named(name or "bytes"))
        if isinstance(video, (str, os.PathLike)):
            result = self._engine.analyze(os.fspath(video), (track, fps, fps if Path(video).is_dir() else None), told)
            return Result(result.named(name) if name else result)
        if fps is None or not 0.01 <= fps <= 1000:
            raise extension.ConfigError(f"fps: {fps} does not lie in 0.01..1000; pictures need their rate")
        return Result(self._engine.analyze_frames((name or "array", _pictures(video), float(fps)), told))


def _pictures(video: Iterable[Any]) -> Iterator[tuple[int, int, bytes]]:
    for index, picture in enumerate(video):
        picture = np.asarray(picture)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            got = f"{picture.dtype} of shape {picture.shape}"
            raise extension.InputError(f"array: picture {index} is {got}; height × width × 3 of uint8 expected (RGB)")
        yield picture.shape[0], picture.shape[1], picture.tobytes()


def _bar() -> Progress:
    from tqdm.auto import tqdm

    bar = tqdm(unit="s", bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}]", total=0.0)

    def tell(done: float, total: float | None) -> None:
        bar.total = max(total or 0.0, done)
        bar.update(done - bar.n)
        if total is not None and done >= total:
            bar.close()

    return tell


@lru_cache(maxsize=2)
def _kept(options: tuple[tuple[str, Any], ...]) -> Model:
    return Model(**dict(options))


def kept(options: dict[str, Any]) -> Model:
    """The model of these options; the last two stay loaded."""
    return _kept(tuple(sorted(options.items())))


def analyze(
    video: PathLike | bytes | np.ndarray | Iterable[np.ndarray],
    *,
    fps: float | None = None,
    track: int | None = None,
    name: str | None = None,
    progress: Progress | bool | None = None,
    **options: Any,
) -> Result:
    """Analyzes one video: see `Model.analyze`; options are those of `startle.Options`. The last two models stay loaded."""
    model = kept(options)
    return model.analyze(video, fps=fps, track=track, name=name, progress=progress)


def calibrate(
    normal: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    fixed_camera: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Learns what surprise looks like on footage that is known to be normal, and writes it to the file `out`, for `baseline=`.

    `normal`: files, folders, globs, URLs; a few minutes at least, filmed as the footage to be analyzed will be. With
    `fixed_camera` it is learnt for each place of the picture. `progress` hears the videos done and in all.
    """
    names = [normal] if isinstance(normal, (str, os.PathLike)) else list(normal)
    extension.calibrate([os.fspath(name) for name in names], (os.fspath(out), fixed_camera), settings(options), progress)
    return Path(out)


def inputs(names: PathLike | Iterable[PathLike], *, recursive: bool = False) -> list[str]:
    """What files, folders, globs and URLs stand for: each video once, in natural order."""
    names = [names] if isinstance(names, (str, os.PathLike)) else list(names)
    return extension.inputs([os.fspath(name) for name in names], recursive)
