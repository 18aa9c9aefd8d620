"""What the trials of one family come to so far: the numbers by which MLflow's rows compare families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweeper.results import mlflow_layout as layout
from sweeper.results.record import TrialRecord
from sweeper.results.schema import MINORITY

METRICS = ("iou", "recall", "precision")
POINTS = ("argmax", "shifted")

BY_LEVEL = "by_level/"
"""Before the names of metrics that hold one value per level; their step is `level_step`."""
SEARCH_BEST = "search/best_validation_objective"
"""The best of many, and so flattered by luck; on validation. A family's results are its confirm scores."""


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """The few numbers of a trial that its family's run averages."""

    stage: str
    is_default: bool
    level: float
    failed: bool
    objective: float | None
    minority: Mapping[tuple[str, str], float | None]
    """(point, metric) -> the mean over the minority classes on test; None where undefined, as for search trials."""


def summary_of_record(record: TrialRecord) -> TrialSummary:
    """Return the summary of a trial just recorded."""
    found = {
        (score.point, score.metric): score.value
        for score in record.scores
        if score.image is None and score.split == "test" and score.klass == MINORITY
    }
    minority = {(point, metric): found.get((point, metric)) for point in POINTS for metric in METRICS}
    failed = record.status == "failed"
    return TrialSummary(record.stage, record.is_default, record.level, failed, record.objective, minority)


def summary_of_run(tags: Mapping[str, str], metrics: Mapping[str, float]) -> TrialSummary:
    """Return the summary of a trial that MLflow already holds: equal to that of its record."""
    label = layout.class_labels([MINORITY])[MINORITY]
    minority = {
        (point, metric): metrics.get(layout.score_metric("test", point, label, metric))
        for point in POINTS
        for metric in METRICS
    }
    is_default, failed = tags[layout.IS_DEFAULT] == "true", tags[layout.STATUS] == "failed"
    level = float(tags[layout.LEVEL])
    return TrialSummary(tags[layout.STAGE], is_default, level, failed, metrics.get("objective"), minority)


def family_scores(trials: Iterable[TrialSummary], reference: float | None) -> dict[str, float]:
    """Return a family's metrics; their names are the same for every family.

    `trials` and `failed` count all trials; `search/best_validation_objective` is of the search. All others are means
    over the confirm trials on test: of the tuned setting `level_<l>/minority_<metric>` at argmax and
    `level_<l>/shifted/minority_<metric>` with the threshold tuned on validation, of the untuned default, which may be
    the tuned setting too, `default/level_<l>/minority_<metric>`, at argmax. Those of the tuned
    setting at the `reference` level are repeated without it: `minority_<metric>`, `shifted/minority_<metric>`.

    A mean leaves out the trials whose score is undefined; a metric that no trial has is left out.
    """
    rows = list(trials)
    scores: dict[str, float] = {"trials": len(rows), "failed": sum(row.failed for row in rows)}
    objectives = [row.objective for row in rows if row.stage == "search" and row.objective is not None]
    if objectives:
        scores[SEARCH_BEST] = max(objectives)
    confirmed = [row for row in rows if row.stage == "confirm"]
    tuned = _tuned(confirmed)
    for level, some in _by_level(tuned).items():
        for point in POINTS:
            for prefix in prefixes(level, point, reference):
                scores |= _means(some, point, prefix)
    for level, some in _by_level([row for row in confirmed if row.is_default]).items():
        scores |= _means(some, "argmax", f"default/{level_prefix(level)}")
    return scores


def curves_by_level(trials: Iterable[TrialSummary]) -> dict[str, dict[int, float]]:
    """Return the means of the tuned setting as metrics over the level: name -> step (see `level_step`) -> value."""
    curves: dict[str, dict[int, float]] = {}
    for level, some in _by_level(_tuned([row for row in trials if row.stage == "confirm"])).items():
        for point, prefix in (("argmax", BY_LEVEL), ("shifted", f"{BY_LEVEL}shifted/")):
            for name, value in _means(some, point, prefix).items():
                curves.setdefault(name, {})[level_step(level)] = value
    return curves


def prefixes(level: float, point: str, reference: float | None) -> list[str]:
    """Return what names of metrics of a level and point start with; without the level too at the reference level."""
    plain = "" if point == "argmax" else f"{point}/"
    return [f"{level_prefix(level)}{plain}", *([plain] if level == reference else [])]


def level_prefix(level: float) -> str:
    """Return what the names of a level's metrics start with, e.g. `level_0.97/`."""
    return f"level_{level:g}/"


def level_step(level: float) -> int:
    """Return a level as the step of a metric, which has to be whole: background pixels in 10,000."""
    return round(level * 10_000)


def _tuned(rows: list[TrialSummary]) -> list[TrialSummary]:
    """Leave out the confirm trials of the untuned default, except at levels where the search chose nothing else."""
    chosen = {row.level for row in rows if not row.is_default}
    return [row for row in rows if not row.is_default or row.level not in chosen]


def _by_level(rows: Iterable[TrialSummary]) -> dict[float, list[TrialSummary]]:
    found: dict[float, list[TrialSummary]] = {}
    for row in sorted(rows, key=lambda row: row.level):
        found.setdefault(row.level, []).append(row)
    return found


def _means(rows: Iterable[TrialSummary], point: str, prefix: str) -> dict[str, float]:
    means = {}
    for metric in METRICS:
        values = [value for row in rows if (value := row.minority[point, metric]) is not None]
        if values:
            means[f"{prefix}minority_{metric}"] = sum(values) / len(values)
    return means
