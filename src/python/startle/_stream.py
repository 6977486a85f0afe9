"""Live streams, as they happen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._model import settings
from ._result import Event, Gap
from ._runtime import extension


@dataclass(frozen=True)
class Moment:
    """A moment whose surprise is final. `t_s` counts from the first frame, `wall` is seconds since 1970."""

    t_s: float
    wall: float
    surprise: float
    z: float | None
    p_value: float | None
    motion: float
    threshold: float
    """Where an event opens: on the scale of `surprise`, or of `z` while the stream is compared with its own past."""
    threshold_in_z: bool
    heat: np.ndarray = field(repr=False, compare=False)
    """The surprise of every token, rows by columns."""


@dataclass(frozen=True)
class Incident:
    """An event that has begun (its end is not known yet), or is over: both with the same `event.id`."""

    phase: str
    """`begun` or `over`."""
    event: Event
    wall: tuple[float, float, float]
    """Onset, peak and end, seconds since 1970."""


@dataclass(frozen=True)
class Health:
    """How the source is: `opening`, `watching`, `waiting` (to connect anew), `ended`."""

    state: str
    reason: str | None
    reconnects: int
    dropped: int
    """Clips dropped because the model could not keep up."""


News = Moment | Incident | Gap | Health


def stream(url: str | os.PathLike[str], *, warm_up: float = 0.0, stall: float = 10.0, **options: Any) -> Iterator[News]:
    """Watches a camera's URL for ever (a file to its end) and yields what happens: `Moment`, `Incident`, `Gap`, `Health`.

    By default the baseline is the stream's own past and it may have one false alarm a day; other options are those of
    `startle.Options`. `warm_up`: seconds of footage before the first incident; `stall`: seconds without a picture after
    which it is connected anew. Closing the iterator ends the watch; a slow reader makes a live source drop clips.
    """
    chosen = settings(options, baseline="self", max_false_alarms="1/day")
    source = extension.Stream(os.fspath(url), chosen, (float(warm_up), float(stall)))
    return _told(source)


def _told(source: Any) -> Iterator[News]:
    try:
        while (told := source.next()) is not None:
            kind, text, heat = told
            yield _news(kind, json.loads(text), heat)
    finally:
        source.close()


def _news(kind: str, record: dict[str, Any], heat: bytes | None) -> News:
    if kind == "moment":
        point = record["point"]
        values = np.frombuffer(heat or b"", "<f4").reshape(-1, record["grid"] or 1)
        same = {name: point[name] for name in ("t_s", "surprise", "z", "p_value", "motion")}
        levels = {name: record[name] for name in ("wall", "threshold", "threshold_in_z")}
        return Moment(**same, **levels, heat=values)
    if kind == "incident":
        return Incident(record["phase"], Event.of(record["event"]), tuple(record["wall"]))
    if kind == "gap":
        return Gap(**record)
    same = {name: record[name] for name in ("state", "reconnects", "dropped")}
    return Health(**same, reason=record.get("reason"))
