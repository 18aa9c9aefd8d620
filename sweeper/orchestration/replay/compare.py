"""A recorded trial beside its replay, metric by metric. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sweeper.results.record import MINORITY, TrialRecord

Value = float | bool | None

UNTIMED = ("epoch", "seconds")
"""Of a row of the history: its place, and what is of the machine and not of the trial."""


@dataclass(frozen=True)
class Row:
    """One metric. Where it has many values, of epochs, classes or pictures, those that differ most are shown."""

    metric: str
    count: int
    """Values it has."""
    different: int
    """Of them, those that are not equal to the last bit."""
    place: str | None
    """Which of them is shown."""
    recorded: Value
    replayed: Value
    difference: float | None
    """Replayed minus recorded; None where either is undefined."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(recorded: TrialRecord, replayed: TrialRecord) -> tuple[Row, ...]:
    """Return a row per metric that was recorded, in the order of the record."""
    then, now = measurements(recorded), measurements(replayed)
    return tuple(_row(metric, values, now.get(metric, {})) for metric, values in then.items())


def not_recorded(recorded: TrialRecord, replayed: TrialRecord) -> list[str]:
    """Return the metrics that only the replay has: trials recorded by an older version lack some."""
    then = measurements(recorded)
    return [metric for metric in measurements(replayed) if metric not in then]


def measurements(record: TrialRecord) -> dict[str, dict[str, Value]]:
    """Return everything measured of a trial, by metric and then by place; the place of a single value is empty."""
    found: dict[str, dict[str, Value]] = defaultdict(dict)
    for metric, place, value in _all(record):
        found[metric][place] = value
    return dict(found)


def _all(record: TrialRecord) -> Iterator[tuple[str, str, Value]]:
    if record.objective is not None or record.status == "completed":
        yield "objective", "", record.objective
    if record.offset is not None:
        yield "offset", "", record.offset
        yield "offset_at_limit", "", record.offset_at_limit
    for score in record.scores:
        where = f"{score.split}/{score.point}"
        if score.image is not None:
            yield f"{where}/{score.metric} per picture", f"{score.klass}, {score.image}", score.value
        elif score.klass == MINORITY:
            yield f"{where}/minority/{score.metric}", "", score.value
        else:
            yield f"{where}/{score.metric} per class", score.klass, score.value
    for row in record.history:
        for name, value in row.items():
            if name not in UNTIMED:
                yield f"history/{name}", f"epoch {row['epoch']:g}", value
    for counts in record.margins:
        for name in ("found", "alarms"):
            for number, value in enumerate(getattr(counts, name)):
                yield f"{counts.split}/margins/{name}", f"{counts.image or 'all'}, bin {number}", value
    for one in record.reliability:
        for name in ("pixels", "probability", "share"):
            yield f"{one.split}/reliability/{name}", f"bin {one.bin}", getattr(one, name)


def _row(metric: str, then: Mapping[str, Value], now: Mapping[str, Value]) -> Row:
    # A place of one side only is a difference: the replay has an epoch less, say.
    places = [*then, *(place for place in now if place not in then)]
    missing = object()
    different = [place for place in places if then.get(place, missing) != now.get(place, missing)]
    shown = max(different, key=lambda place: _size(then.get(place), now.get(place))) if different else places[0]
    recorded, replayed = then.get(shown), now.get(shown)
    defined = recorded is not None and replayed is not None
    return Row(
        metric=metric,
        count=len(places),
        different=len(different),
        place=shown or None,
        recorded=recorded,
        replayed=replayed,
        difference=float(replayed) - float(recorded) if defined else None,  # type: ignore[arg-type]
    )


def _size(recorded: Value, replayed: Value) -> float:
    if recorded is None or replayed is None:
        return float("inf")
    return abs(float(replayed) - float(recorded))
