"""What MLflow is told of a trial and of a study, as plain data made without MLflow; see `results.mlflow_layout`."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.results import mlflow_layout as layout
from sweeper.results.record import Score, TrialRecord
from sweeper.results.schema import MINORITY
from sweeper.tracking.study_info import StudyInfo

SHORT = 250
"""Characters up to which a value is shown as a parameter or tag; the full text is in an artifact."""
REASON_LENGTH = 500

SHOWN_SETTINGS = (
    "model.arch",
    "model.encoder",
    "model.weights",
    "training.epochs",
    "training.batch_size",
    "training.steps_per_epoch",
    "training.optimizer",
    "training.lr",
    "training.weight_decay",
    "training.precision",
)
"""Settings shown with each trial; the study run has them all."""

_ROW = tuple(
    field.name
    for field in dataclasses.fields(TrialRecord)
    if field.name not in ("history", "scores", "margins", "reliability")
)
"""Fields of a record that are the trial's own; the others are rows of the other tables."""

_UNSAFE_NAME = re.compile(r"[^\w.\- ]+")


@dataclass(frozen=True, slots=True)
class Point:
    """One metric value; `seconds` is how long after the trial's start it was known."""

    name: str
    value: float
    step: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrialEntry:
    """One trial as MLflow will hold it."""

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    points: tuple[Point, ...]
    status: str
    """Of the MLflow run: FINISHED, KILLED or FAILED."""


def trial_entry(record: TrialRecord, study: StudyInfo) -> TrialEntry:
    """Return all that is logged of one trial; the same record gives the same entry."""
    pooled = [score for score in record.scores if score.image is None]
    labels = layout.class_labels([MINORITY, *study.class_names, *(score.klass for score in pooled)])
    return TrialEntry(
        name=_trial_name(record),
        tags=_trial_tags(record, study, pooled, labels),
        params=_trial_params(record, study),
        points=(*_history_points(record), *_final_points(record, pooled, labels)),
        status=layout.RUN_STATUS[record.status],
    )


def study_params(study: StudyInfo) -> dict[str, str]:
    """Return the resolved study as dotted parameters, those that are short."""
    params = {}
    for name, value in _flatten(study.meta.get("study", {})):
        text = _text(value)
        if len(text) <= SHORT:
            params[_UNSAFE_NAME.sub("_", name)[:SHORT]] = text
    return params


def family_params(record: TrialRecord, study: StudyInfo) -> dict[str, str]:
    """Return what a family is, for its run."""
    family = study.meta.get("families", {}).get(record.family, {})
    described = {name: _text(family.get(name, "")) for name in ("title", "formula", "source")}
    placed = {"level": record.loss_level, "overlap": record.overlap, "tradeoff": record.tradeoff}
    return {name: text for name, text in (placed | described).items() if text and len(text) <= SHORT}


def _trial_name(record: TrialRecord) -> str:
    which = f"seed {record.seed}" if record.number is None else f"#{record.number}"
    default = " default" if record.is_default else ""
    return f"{record.family} {record.level:g} {record.stage}{default} {which}"


def _trial_tags(
    record: TrialRecord, study: StudyInfo, pooled: Sequence[Score], labels: Mapping[str, str]
) -> dict[str, str]:
    row = {name: getattr(record, name) for name in _ROW}
    absent = [_metric(score, labels) for score in pooled if not _is_finite(score.value)]
    tags = {
        layout.KIND: "trial",
        layout.STUDY: study.name,
        layout.FAMILY: record.family,
        layout.STAGE: record.stage,
        layout.LEVEL: _text(record.level),
        layout.SEED: _text(record.seed),
        layout.TRIAL_KEY: record.key,
        layout.STATUS: record.status,
        layout.IS_DEFAULT: _text(record.is_default),
        "mlflow.source.name": "sweeper",
    }
    if record.reason:
        tags[layout.REASON] = record.reason[:REASON_LENGTH]
    if record.history:
        tags |= layout.to_tags(layout.HISTORY, layout.pack(record.history))
    if record.reliability:
        tags |= layout.to_tags(layout.RELIABILITY, layout.pack(map(dataclasses.asdict, record.reliability)))
    fields = {"trial": row, "image_scores": len(pooled) < len(record.scores), "margins": bool(record.margins)}
    return {
        **tags,
        **layout.to_tags(layout.RECORD, fields),
        **layout.to_tags(layout.CLASSES, {label: name for name, label in labels.items()}),
        **layout.to_tags(layout.ABSENT, absent),
    }


def _trial_params(record: TrialRecord, study: StudyInfo) -> dict[str, str]:
    settings = dict(_flatten(study.meta.get("study", {})))
    shown = {name: settings[name] for name in SHOWN_SETTINGS if name in settings}
    own = {"level": record.level, "seed": record.seed, "stage": record.stage}
    # A loss may call an argument as a trial calls what it is: both are shown, the trial's own under the plain name.
    dials = {f"loss.{name}" if name in own else name: value for name, value in record.hyperparameters.items()}
    values = {**shown, **dials, **own}
    return {_UNSAFE_NAME.sub("_", name): _text(value)[:SHORT] for name, value in values.items()}


def _history_points(record: TrialRecord) -> Iterator[Point]:
    elapsed = 0.0
    for index, entry in enumerate(record.history, start=1):
        values: Mapping[str, float | None] = entry
        step = int(values.get("epoch") or index)
        elapsed += values.get("seconds") or 0.0
        for name, value in values.items():
            if name != "epoch" and value is not None and _is_finite(value):
                yield Point(f"epoch/{name}", float(value), step, elapsed)


def _final_points(record: TrialRecord, pooled: Iterable[Score], labels: Mapping[str, str]) -> Iterator[Point]:
    final = {
        "objective": record.objective,
        "offset": record.offset,
        "seconds": record.seconds,
        "epochs": record.epochs,
        **{_metric(score, labels): score.value for score in pooled},
    }
    for name, value in final.items():
        if value is not None and _is_finite(value):
            yield Point(name, float(value), record.epochs, record.seconds)


def _metric(score: Score, labels: Mapping[str, str]) -> str:
    return layout.score_metric(score.split, score.point, labels[score.klass], score.metric)


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            yield from _flatten(item, f"{name}.")
        else:
            yield name, item


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
