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
    return TrialSummary(record.level, record.status == "failed", record.objective, minority)


def summary_of_run(tags: Mapping[str, str], metrics: Mapping[str, float]) -> TrialSummary:
    """Return the summary of a trial that MLflow already holds: equal to that of its record."""
    split = SPLIT.get(tags[layout.STAGE], "val")
    label = layout.class_labels([MINORITY])[MINORITY]
    minority = {metric: metrics.get(layout.score_metric(split, "argmax", label, metric)) for metric in METRICS}
    return TrialSummary(float(tags[layout.LEVEL]), tags[layout.STATUS] == "failed", metrics.get("objective"), minority)


def family_scores(trials: Iterable[TrialSummary]) -> dict[str, float]:
    """Return a family's metrics: `trials`, `failed`, `best_objective`, `minority_<metric>`, and the means per level.

    A mean leaves out the trials whose score is undefined; a metric that no trial has is left out.
    """
    rows = list(trials)
    scores: dict[str, float] = {"trials": len(rows), "failed": sum(row.failed for row in rows)}
    objectives = [row.objective for row in rows if row.objective is not None]
    if objectives:
        scores["best_objective"] = max(objectives)
    scores |= _means(rows, "minority_")
    for level in sorted({row.level for row in rows}):
        scores |= _means([row for row in rows if row.level == level], f"level_{level:g}/minority_")
    return scores


def _means(rows: Iterable[TrialSummary], prefix: str) -> dict[str, float]:
    means = {}
    for metric in METRICS:
        values = [value for row in rows if (value := row.minority[metric]) is not None]
        if values:
            means[prefix + metric] = sum(values) / len(values)
    return means
