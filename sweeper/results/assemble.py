"""From recorded trials to the tables. Pure: the same trials give the same tables, in whatever order they ended."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from sweeper.domains import Value
from sweeper.errors import ResultsError
from sweeper.results.meta import plain
from sweeper.results.record import MarginCounts, ReliabilityBin, Score, TrialRecord
from sweeper.results.results import Results
from sweeper.results.schema import TABLES, TRIALS

STAGE_ORDER = {"search": 0, "confirm": 1}


def assemble(records: Iterable[TrialRecord], meta: Mapping[str, Any]) -> Results:
    """Build all tables to schema, rows ordered by family, level, stage, number, seed and key.

    A trial given twice counts once. A score that is not a finite number becomes null.

    Raises: ResultsError when two different trials share a key, or `meta` is not plain JSON.
    """
    ordered = sorted(_distinct(records), key=_trial_order)
    tuned = _tuned_settings(ordered, meta.get("reference"))
    columns = {name: _Columns(schema) for name, schema in TABLES.items()}
    for record in ordered:
        columns["trials"].add(_trial_row(record, tuned))
        for score in sorted(record.scores, key=_score_order):
            columns["scores"].add(_score_row(record.key, score))
        for epoch in record.history:
            columns["epochs"].add({"key": record.key, **epoch})
        for counts in sorted(record.margins, key=_margin_order):
            columns["margins"].add({"key": record.key, **_fields(counts)})
        for one in sorted(record.reliability, key=lambda each: (each.split, each.bin)):
            columns["reliability"].add({"key": record.key, **_fields(one)})
    return Results(**{name: each.table() for name, each in columns.items()}, meta=plain(meta))


def canonical(hyperparameters: Mapping[str, Value]) -> str:
    """Return hyperparameters as the tables hold them: JSON with sorted keys, equal text for equal settings."""
    return json.dumps(hyperparameters, sort_keys=True)


def _distinct(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    by_key: dict[str, TrialRecord] = {}
    for record in records:
        known = by_key.setdefault(record.key, record)
        if known != record:
            raise ResultsError(
                f"trial {record.key} of {record.family} was recorded twice with different outcomes; "
                "these records come from different studies, read them apart"
            )
    return list(by_key.values())


def _tuned_settings(records: Iterable[TrialRecord], reference: float | None) -> dict[tuple[str, float], str]:
    """Return the chosen setting per (family, level); a level that was not searched takes the reference level's."""
    best: dict[tuple[str, float], TrialRecord] = {}
    levels: set[float] = set()
    families: set[str] = set()
    for record in records:
        levels.add(record.level)
        families.add(record.family)
        if record.stage != "search" or record.status != "completed" or _finite(record.objective) is None:
            continue
        cell = (record.family, record.level)
        if cell not in best or _rank(record) < _rank(best[cell]):
            best[cell] = record
    searched = {(record.family, record.level) for record in records if record.stage == "search"}
    settings: dict[tuple[str, float], str] = {}
    for family in families:
        for level in levels:
            cell = (family, level) if (family, level) in searched or reference is None else (family, reference)
            if cell in best:
                settings[family, level] = canonical(best[cell].hyperparameters)
    return settings


def _rank(record: TrialRecord) -> tuple[float, float]:
    objective = _finite(record.objective)
    number = math.inf if record.number is None else record.number
    return (math.inf if objective is None else -objective, number)


class _Columns:
    """A table in the making. A row may lack fields that can be null; fields that the table lacks are left out."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._values: dict[str, list[Any]] = {name: [] for name in schema.names}

    def add(self, row: Mapping[str, Any]) -> None:
        for name, values in self._values.items():
            values.append(row.get(name))

    def table(self) -> pa.Table:
        return pa.Table.from_pydict(self._values, schema=self._schema)


def _fields(row: MarginCounts | ReliabilityBin) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def _trial_row(record: TrialRecord, tuned: Mapping[tuple[str, float], str]) -> dict[str, Any]:
    hyperparameters = canonical(record.hyperparameters)
    computed = {
        "hyperparameters": hyperparameters,
        "is_tuned": record.stage == "confirm" and tuned.get((record.family, record.level)) == hyperparameters,
        "objective": _finite(record.objective),
        "offset": _finite(record.offset),
    }
    return {name: computed[name] if name in computed else getattr(record, name) for name in TRIALS.names}


def _score_row(key: str, score: Score) -> dict[str, Any]:
    return {
        "key": key,
        "split": score.split,
        "point": score.point,
        "image": score.image,
        "class": score.klass,
        "metric": score.metric,
        "value": _finite(score.value),
    }


def _trial_order(record: TrialRecord) -> tuple[object, ...]:
    number = math.inf if record.number is None else record.number
    return (record.family, record.level, STAGE_ORDER.get(record.stage, 2), number, record.seed, record.key)


def _score_order(score: Score) -> tuple[object, ...]:
    # Pooled rows (no image) come before those of single images.
    return (score.split, score.point, score.image is not None, score.image or "", score.klass, score.metric)


def _margin_order(counts: MarginCounts) -> tuple[object, ...]:
    return (counts.split, counts.image is not None, counts.image or "")


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
