"""A finished analysis: numbers as numpy, events as records, and everything that can be made of them."""

from __future__ import annotations

import base64
import html
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._runtime import extension

if TYPE_CHECKING:
    import pandas
    import pyarrow

CURVE = np.dtype(
    [("t_s", "<f8")]
    + [(name, "<f4") for name in ("surprise", "z", "p_value", "raw", "motion")]
    + [(name, "<u2") for name in ("peak_row", "peak_col")]
    + [(name, "<f4") for name in ("x0_px", "y0_px", "x1_px", "y1_px", "unadjusted")]
)
"""The columns of a curve, as in curve.csv: times in seconds, boxes in pixels of the source picture; NaN where a z or a
p-value is not known."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Event:
    """A span of the curve above its threshold. Times are seconds from the start of the container, as players show them."""

    id: int
    kind: str
    """`spike` or `slow`."""
    onset_s: float
    peak_s: float
    end_s: float
    score: float
    """Surprise at the peak; `z` and `p_value` are those of the peak too."""
    z: float
    p_value: float | None
    per_hour: float | None
    """How often normal footage has such a peak."""
    box: Box
    """Where: left, top, right, bottom in pixels of the source picture."""
    heat: np.ndarray = field(repr=False, compare=False)
    """The surprise of every token at the peak, rows by columns."""
    heat_box: Box
    """The part of the picture that `heat` covers."""
    what: dict[str, Any] | None
    """What happened, where the model can tell: `kind`, `sentence`, `expected`, `seen`."""
    thumbnail: bytes = field(repr=False)
    """The picture at the peak, JPEG; empty when none was kept."""

    @classmethod
    def of(cls, record: dict[str, Any]) -> Event:
        """From an event of `result.json`."""
        heat = record["heat"]
        values = np.asarray(heat["values"], dtype=np.float32).reshape(-1, heat["grid"] or 1)
        same = {name: record.get(name) for name in ("id", "kind", "onset_s", "peak_s", "end_s", "score", "z", "p_value")}
        return cls(
            **same, per_hour=record.get("per_hour"), box=tuple(record["box"]), heat=values, heat_box=tuple(heat["area"]),
            what=record.get("what"), thumbnail=base64.b64decode(record.get("thumbnail") or ""),
        )  # fmt: skip


@dataclass(frozen=True)
class Gap:
    """A place where the run of frames is broken: nothing is judged across it."""

    start_s: float
    end_s: float
    reason: str
    """`scene-cut`, `timestamp-gap`, `corrupt`, `truncated`, …"""


class Plot:
    """The curve as a picture; a notebook shows it."""

    def __init__(self, report: Any) -> None:
        self._report = report

    @property
    def svg(self) -> str:
        """As SVG text."""
        return self._report.svg()

    @property
    def png(self) -> bytes:
        """As PNG, 2400×960."""
        return self._report.png()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes it as `.svg` or `.png`."""
        path = Path(path)
        if path.suffix not in (".svg", ".png"):
            raise ValueError(f"{path}: a plot is saved as .svg or .png")
        path.write_bytes(self.png if path.suffix == ".png" else self.svg.encode())
        return path

    def _repr_svg_(self) -> str:
        return self.svg


class Result:
    """What `startle.analyze` gives: all of `result.json`."""

    def __init__(self, report: Any) -> None:
        self._report = report

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """From a `result.json` or the folder that holds one."""
        path = Path(path)
        return cls.from_json((path / "result.json" if path.is_dir() else path).read_bytes())

    @classmethod
    def from_json(cls, data: bytes) -> Result:
        """From the bytes of a `result.json`."""
        return cls(extension.Report.parse(data))

    def to_json(self) -> bytes:
        """The bytes of `result.json`, schema `startle.result/1`."""
        return self._report.json()

    @cached_property
    def record(self) -> dict[str, Any]:
        """`result.json` as a dictionary."""
        return json.loads(self._report.json())

    @cached_property
    def curve(self) -> np.ndarray:
        """The curve as a structured array of `startle.CURVE`: `result.curve["surprise"]` is a column."""
        return np.frombuffer(self._report.curve(), dtype=CURVE)

    @cached_property
    def events(self) -> list[Event]:
        """The events in order of time."""
        return [Event.of(event) for event in self.record["events"]]

    @cached_property
    def heat_maps(self) -> np.ndarray:
        """The heat maps at the events' peaks: events × rows × columns."""
        heats = [event.heat for event in self.events]
        return np.stack(heats) if heats else np.zeros((0, 0, 0), np.float32)

    @cached_property
    def gaps(self) -> list[Gap]:
        """Breaks in the run of frames."""
        return [Gap(**gap) for gap in self.record["input"]["gaps"]]

    @property
    def path(self) -> str:
        """The input as it was named."""
        return self.record["input"]["path"]

    @property
    def sha256(self) -> str | None:
        """Hash of the input's content; None for streams and arrays."""
        return self.record["input"]["sha256"]

    @property
    def duration_s(self) -> float:
        """Seconds of video."""
        return self.record["input"]["duration_s"]

    @property
    def threshold(self) -> float | None:
        """Surprise at which an event opens."""
        return self.record["config"]["threshold"]

    @property
    def warnings(self) -> list[str]:
        """What limits the reading of the numbers."""
        return self.record["warnings"]

    @property
    def truncated(self) -> bool:
        """Whether the video broke off or the run ended early."""
        return self.record["truncated"]

    def to_arrow(self) -> pyarrow.Table:
        """The curve as an Arrow table, as in curve.parquet. Needs pyarrow."""
        import io

        import pyarrow.parquet

        return pyarrow.parquet.read_table(io.BytesIO(self._report.parquet()))

    def to_pandas(self) -> pandas.DataFrame:
        """The curve as a data frame. Needs pandas."""
        import pandas

        return pandas.DataFrame(self.curve)

    def plot(self) -> Plot:
        """The curve, the threshold and the events as a picture."""
        return Plot(self._report)

    def save_report(self, folder: str | os.PathLike[str]) -> Path:
        """Writes what `startle analyze` leaves (page, plots, tables) to a folder; gives the page."""
        return Path(self._report.save(folder))

    def __repr__(self) -> str:
        return f"<startle.Result of {self.path}: {len(self.curve)} moments, {len(self.events)} events>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{event.onset_s:.2f} s</td><td>{event.end_s:.2f} s</td><td>{event.score:.1f}</td>"
            f"<td>{html.escape((event.what or {}).get('sentence', event.kind))}</td></tr>"
            for event in self.events
        )
        table = f"<table><tr><th>onset</th><th>end</th><th>surprise</th><th>what</th></tr>{rows}</table>"
        return f"<p>{html.escape(repr(self))}</p>{table if rows else ''}{self.plot().svg}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Result.from_json, (self.to_json(),)
