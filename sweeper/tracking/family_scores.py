"""What the trials of one family and stage come to so far: the numbers by which MLflow's top rows compare families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweeper.results import mlflow_layout as layout
from sweeper.results.record import TrialRecord
from sweeper.results.schema import MINORITY

METRICS = ("iou", "recall", "precision")
SPLIT = {"search": "val", "confirm": "test"}
"""Stage -> the split its trials are judged on."""


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """The few numbers of a trial that its family's run averages."""

    stage: str
    is_default: bool
    level: float
    failed: bool
    objective: float | None
    minority: Mapping[str, float | None]
    """Metric -> the mean over the minority classes, at argmax; None where undefined."""


def summary_of_record(record: TrialRecord) -> TrialSummary:
    """Return the summary of a trial just recorded."""
    split = SPLIT.get(record.stage, "val")
    found = {
        score.metric: score.value
        for score in record.scores
        if score.image is None and score.split == split and score.point == "argmax" and score.klass == MINORITY
    }
    minority = {metric: found.get(metric) for metric in METRICS}
    failed = record.status == "failed"
    return TrialSummary(record.stage, record.is_default, record.level, failed, record.objective, minority)


def summary_of_run(tags: Mapping[str, str], metrics: Mapping[str, float]) -> TrialSummary:
    """Return the summary of a trial that MLflow already holds: equal to that of its record."""
    stage = tags[layout.STAGE]
    split = SPLIT.get(stage, "val")
    label = layout.class_labels([MINORITY])[MINORITY]
    minority = {metric: metrics.get(layout.score_metric(split, "argmax", label, metric)) for metric in METRICS}
    is_default, failed = tags[layout.IS_DEFAULT] == "true", tags[layout.STATUS] == "failed"
    return TrialSummary(stage, is_default, float(tags[layout.LEVEL]), failed, metrics.get("objective"), minority)


def family_scores(trials: Iterable[TrialSummary]) -> dict[str, float]:
    """Return a family's metrics: `trials`, `failed`, `best_objective`, `minority_<metric>`, and the means per level.

    `trials` and `failed` count all trials. Of confirm trials the rest is of the tuned setting alone; where the untuned
    default was confirmed beside it, its means follow under `default/`. The one of `default/` over all levels is left
    out unless the default ran at each of them, so that it always compares with the plain one.

    A mean leaves out the trials whose score is undefined; a metric that no trial has is left out.
    """
    rows = list(trials)
    scores: dict[str, float] = {"trials": len(rows), "failed": sum(row.failed for row in rows)}
    tuned = _tuned(rows)
    objectives = [row.objective for row in tuned if row.objective is not None]
    if objectives:
        scores["best_objective"] = max(objectives)
    scores |= _means(tuned, "minority_") | _means_by_level(tuned)
    if len(tuned) < len(rows):
        default = [row for row in rows if row.is_default]
        scores |= _means_by_level(default, "default/")
        if _levels(default) == _levels(rows):
            scores |= _means(default, "default/minority_")
    return scores


def _tuned(rows: list[TrialSummary]) -> list[TrialSummary]:
    """Leave out the confirm trials of the untuned default, except at levels where the search chose nothing else."""
    chosen = {row.level for row in rows if not row.is_default}
    return [row for row in rows if row.stage != "confirm" or not row.is_default or row.level not in chosen]


def _levels(rows: Iterable[TrialSummary]) -> list[float]:
    return sorted({row.level for row in rows})


def _means_by_level(rows: list[TrialSummary], prefix: str = "") -> dict[str, float]:
    means: dict[str, float] = {}
    for level in _levels(rows):
        means |= _means([row for row in rows if row.level == level], f"{prefix}level_{level:g}/minority_")
    return means


def _means(rows: Iterable[TrialSummary], prefix: str) -> dict[str, float]:
    means = {}
    for metric in METRICS:
        values = [value for row in rows if (value := row.minority[metric]) is not None]
        if values:
            means[prefix + metric] = sum(values) / len(values)
    return means
