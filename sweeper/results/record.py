"""One recorded trial: what the journal keeps, MLflow shows and the tables are built from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
        data = dataclasses.asdict(self)
        for name in _ROWS:
            data[name] = [dataclasses.astuple(row) for row in getattr(self, name)]
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> TrialRecord:
        data: dict[str, Any] = json.loads(line)
        for name, kind in _ROWS.items():
            data[name] = rows(kind, data.get(name, ()))
        data["history"] = tuple(data["history"])
        return cls(**data)


_ROWS = {"scores": Score, "margins": MarginCounts, "reliability": ReliabilityBin}


def rows(kind: Any, plain: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    """Return rows of a `kind` from their values, lists among them as tuples, as they come back from JSON."""
    return tuple(kind(*(tuple(value) if isinstance(value, list) else value for value in row)) for row in plain)
