"""Versions of one scene, the most lawful first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ._model import PathLike, Progress, kept
from ._result import Result

if TYPE_CHECKING:
    import pandas

Interval = tuple[float, float]


@dataclass(frozen=True)
class Behind:
    """How much less lawful than the first version."""

    by: float
    """Energy above that of the first."""
    interval: Interval
    """95 % of the resamples of blocks of moments."""
    clear: bool
    """Whether the interval lies above zero."""
    parts_s: float | None
    """First moment at which the two come further apart than lawful videos do, seconds."""


@dataclass(frozen=True)
class Ranked:
    """A version in its place."""

    place: int
    """1 is the most lawful; equal energies share a place."""
    input: str
    energy: float
    """Mean surprise over the moments that all versions have."""
    interval: Interval
    best_share: float
    """Share of the resamples in which it is the most lawful."""
    peak: float
    peak_s: float
    events: int
    behind: Behind | None
    """None of the first."""
    result: Result = field(repr=False, compare=False)


class Ranking(tuple[Ranked, ...]):
    """The versions, the most lawful first; `span_s` and `moments` say what was compared."""

    span_s: Interval
    moments: int
    parting: float | None
    """Difference of two surprises from which two versions part; None without a baseline."""

    def to_pandas(self) -> pandas.DataFrame:
        """A row a version; `behind` in columns of its own."""
        import pandas

        def row(ranked: Ranked) -> dict[str, Any]:
            one = {name: value for name, value in vars(ranked).items() if name not in ("behind", "result")}
            behind = asdict(ranked.behind) if ranked.behind else {}
            return one | {f"behind_{name}": value for name, value in behind.items()}

        return pandas.DataFrame([row(ranked) for ranked in self])


def rank(
    versions: Iterable[PathLike],
    *,
    progress: Progress | bool | None = None,
    **options: Any,
) -> Ranking:
    """Orders versions of one scene by how lawful they are, the best first: generated videos of one prompt, builds of a
    simulator. Energies, intervals and partings are those of `startle rank`; options are those of `startle.Options`.

    >>> best = startle.rank(startle.inputs("generated/*.mp4"))[0].input
    """
    model = kept(options)
    results = [model.analyze(version, progress=progress) for version in versions]
    told = json.loads(model._engine.rank([result._report for result in results]))
    by_name = {result.path: result for result in results}

    def ranked(one: dict[str, Any]) -> Ranked:
        behind = one["behind"] and Behind(**one["behind"] | {"interval": tuple(one["behind"]["interval"])})
        return Ranked(**one | {"interval": tuple(one["interval"]), "behind": behind, "result": by_name[one["input"]]})

    ranking = Ranking(map(ranked, told["versions"]))
    ranking.span_s, ranking.moments, ranking.parting = tuple(told["span_s"]), told["moments"], told["parting"]
    return ranking
