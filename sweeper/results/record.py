"""One recorded trial: what the journal keeps, MLflow shows and the tables are built from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sweeper.domains import Value

MINORITY = "(minority)"
"""The `klass` of scores averaged over the minority classes present."""

NSD_TOLERANCE = 2.0
"""Pixels by which a boundary may be off and still count as found, in the normalized surface distance."""


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the `scores` table, without its trial's key."""

    split: str
    point: str
    image: str | None
    klass: str
    metric: str
    value: float | None


@dataclass(frozen=True, slots=True)
class MarginCounts:
    """One row of the `margins` table, without its trial's key."""

    split: str
    image: str | None
    pixels: float
    target: float
    found: tuple[float, ...]
    alarms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One row of the `reliability` table, without its trial's key."""

    split: str
    bin: int
    pixels: float
    probability: float | None
    share: float | None


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A finished trial. Fields named as columns of `schema.TRIALS` mean the same."""

    key: str
    study: str
    family: str
    loss_level: str
    overlap: str
    tradeoff: str
    hyperparameters: Mapping[str, Value]
    """Of the loss, and `training.lr` and the like where the study tunes them."""
    is_default: bool
    stage: str
    number: int | None
    level: float
    level_train: float | None = None
    level_val: float | None = None
    level_test: float | None = None
    weighting_train: str | None = None
    weighting_val: str | None = None
    weighting_test: str | None = None
    ess_train: float | None = None
    ess_val: float | None = None
    ess_test: float | None = None
    seed: int
    status: str
    reason: str | None = None
    epochs: int
    planned_epochs: int
    objective: float | None = None
    offset: float | None = None
    offset_at_limit: bool | None = None
    seconds: float
    device: str | None = None
    precision: str | None = None
    started: str | None = None
    history: tuple[Mapping[str, float], ...] = ()
    """Per epoch: `epoch` (from 1), `train_loss`, `seconds`, and the validation scores, e.g. `minority_iou`."""
    scores: tuple[Score, ...] = ()
    margins: tuple[MarginCounts, ...] = ()
    reliability: tuple[ReliabilityBin, ...] = ()

    def to_json(self) -> str:
        """Return one line of JSON that `from_json` reads back exactly."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        data |= {name: plain_rows(data[name]) for name in _ROWS}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> TrialRecord:
        data: dict[str, Any] = json.loads(line)
        # Records written before a kind of row was known have none of it.
        data |= {name: rows(kind, data.get(name, ())) for name, kind in _ROWS.items()}
        data["history"] = tuple(data["history"])
        return cls(**data)


Row = TypeVar("Row", Score, MarginCounts, ReliabilityBin)

_ROWS: Mapping[str, type[Any]] = {"scores": Score, "margins": MarginCounts, "reliability": ReliabilityBin}
"""The fields of a record that hold rows of tables, and of which kind."""


def plain_rows(found: Iterable[Row]) -> list[list[Any]]:
    """Return rows as lists of their values, which JSON holds and `rows` reads."""
    return [[getattr(row, name) for name in row.__slots__] for row in found]


def rows(kind: type[Row], plain: Iterable[Iterable[Any]]) -> tuple[Row, ...]:
    """Return rows of a kind from what `plain_rows` made of them, before or after a trip through JSON."""
    make: Callable[..., Row] = kind
    return tuple(make(*(tuple(value) if isinstance(value, list) else value for value in row)) for row in plain)
