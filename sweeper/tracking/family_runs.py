"""The rows by which MLflow compares families: one run per family, its scores kept level with its trials."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import search_runs
from sweeper.results.record import TrialRecord
from sweeper.tracking.family_scores import (
    BY_LEVEL,
    TrialSummary,
    curves_by_level,
    family_scores,
    summary_of_record,
    summary_of_run,
)
from sweeper.tracking.mlflow_batches import log
from sweeper.tracking.mlflow_entries import Point, family_params
from sweeper.tracking.mlflow_runs import make, only
from sweeper.tracking.outcome import FamilyOutcome
from sweeper.tracking.study_info import StudyInfo

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient


@dataclass(slots=True)
class _Row:
    """A family's run and what it shows."""

    run: Run
    shown: dict[str, float]
    """Latest value of every metric; NaN where it was cleared."""
    trials: dict[str, TrialSummary] = field(default_factory=dict)
    latest: int = 0
    """Time of the latest metric logged, in milliseconds since 1970."""


class FamilyRuns:
    """The family runs of one study run.

    MLflow shows of a metric the value of the highest step, then of the latest time, and removes none. Scores are
    logged at step 0, of which its page makes bars that compare the families; what no trial stands behind any more
    becomes NaN. Curves over the level have the level for a step.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, study_run: str, study: StudyInfo) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._study_run = study_run
        self._study = study
        self._rows: dict[str, _Row] = {}
        self._recorded: dict[str, dict[str, TrialSummary]] | None = None
        self.noticed: list[str] = []
        """Rows that were deleted and are made anew, one sentence each."""

    def open(self, record: TrialRecord) -> str:
        """Return the id of the run of a trial's family, which is made where it is missing."""
        if record.family not in self._rows:
            run = self.find(record.family) or self._create(record.family)
            log(self._client, run, family_params(record, self._study))
            if self._recorded is None:
                self._recorded = self._summaries()
            row = self._row(run)
            row.trials = self._recorded.pop(record.family, {})
            self._rows[record.family] = row
        return str(self._rows[record.family].run.info.run_id)

    def find(self, family: str) -> Run | None:
        """Return the run of a family as it stands, or None."""
        found = self._of(family)
        return only(self._client, found, _is_shown) if found else None

    def forget(self, family: str) -> None:
        """Look a family's run up again when it is next asked for: it may have been deleted."""
        row = self._rows.pop(family, None)
        if row is not None:
            self._recorded = {**(self._recorded or {}), family: row.trials}

    def add(self, record: TrialRecord) -> None:
        """Bring the scores of a trial's family up to date; `open` was called with the record before."""
        row = self._rows[record.family]
        row.trials[record.key] = summary_of_record(record)
        self._show(row, family_scores(row.trials.values(), self._study.meta.get("reference")))

    def settle(self, keys: Collection[str] | None, outcomes: Mapping[str, FamilyOutcome]) -> Iterator[Run]:
        """Make every family show its final scores and curves, and yield its run.

        Args:
            keys: The trials that count; None for all.
            outcomes: What is shown beside, by family.
        """
        self._rows.clear()  # what other processes logged since counts too
        self._recorded = None
        summaries = self._summaries()
        for run in self._all():
            family = run.data.tags[layout.FAMILY]
            counted = [one for key, one in summaries.get(family, {}).items() if keys is None or key in keys]
            outcome = outcomes.get(family, FamilyOutcome())
            row = self._row(run)
            self._show(row, family_scores(counted, self._study.meta.get("reference")) | dict(outcome.scores))
            self._draw(row, curves_by_level(counted))
            if outcome.color is not None and run.data.tags.get(layout.COLOR) != outcome.color:
                self._client.set_tag(run.info.run_id, layout.COLOR, outcome.color)
            yield run

    def _all(self) -> Iterator[Run]:
        """Yield the run of every family."""
        families = dict.fromkeys(run.data.tags.get(layout.FAMILY) for run in self._rows_found())
        for family in families:
            run = None if family is None else self.find(family)
            if run is not None:
                yield run

    def _of(self, family: str) -> list[Run]:
        return [run for run in self._rows_found() if run.data.tags.get(layout.FAMILY) == family]

    def _rows_found(self, *, deleted: bool = False) -> Iterator[Run]:
        """Yield the family runs, oldest first, leaving out those of one stage that earlier versions made."""
        for run in self._runs("family", deleted=deleted):
            if layout.STAGE not in run.data.tags:
                yield run

    def _runs(self, kind: str, *, deleted: bool = False) -> Iterator[Run]:
        condition = f"tags.`{layout.STUDY_RUN}` = '{self._study_run}' and tags.`{layout.KIND}` = '{kind}'"
        return search_runs(self._client, self._experiment_id, condition, deleted=deleted)

    def _create(self, family: str) -> Run:
        tags = {
            layout.KIND: "family",
            layout.STUDY: self._study.name,
            layout.STUDY_RUN: self._study_run,
            layout.FAMILY: family,
            layout.PARENT: self._study_run,
            "mlflow.source.name": "sweeper",
        }
        run = make(self._client, self._experiment_id, lambda: self._of(family), name=family, tags=tags, holds=_is_shown)
        if any(one.data.tags.get(layout.FAMILY) == family for one in self._rows_found(deleted=True) if _is_gone(one)):
            self.noticed.append(f"the run of family {family} was deleted in MLflow and is made anew")
        self._adopt(family, run.info.run_id)
        return run

    def _adopt(self, family: str, run_id: str) -> None:
        """Put the trials of a family under its run: those of a run that was deleted hang in the air."""
        for trial in self._runs("trial"):
            tags = trial.data.tags
            if tags.get(layout.FAMILY) == family and tags.get(layout.PARENT) != run_id:
                self._client.set_tag(trial.info.run_id, layout.PARENT, run_id)

    def _summaries(self) -> dict[str, dict[str, TrialSummary]]:
        """Return the summaries of all trials recorded whole, by family and key."""
        found: dict[str, dict[str, TrialSummary]] = {}
        for run in self._runs("trial"):
            if run.info.status in layout.RUN_STATUS.values():
                tags = run.data.tags
                summary = summary_of_run(tags, run.data.metrics)
                found.setdefault(tags[layout.FAMILY], {}).setdefault(tags[layout.TRIAL_KEY], summary)
        return found

    def _row(self, run: Run) -> _Row:
        shown = dict(run.data.metrics)
        # `trials` is logged whenever anything is, but for curves.
        history = self._client.get_metric_history(run.info.run_id, "trials") if "trials" in shown else []
        latest = max((metric.timestamp for metric in history), default=run.info.start_time)
        return _Row(run, shown, latest=latest)

    def _show(self, row: _Row, wanted: Mapping[str, float]) -> None:
        changed = {name: value for name, value in wanted.items() if row.shown.get(name) != value}
        changed |= {
            name: math.nan
            for name, value in row.shown.items()
            if name not in wanted and not name.startswith(BY_LEVEL) and not math.isnan(value)
        }
        if changed:
            self._log(row, [(name, 0, value) for name, value in {"trials": wanted["trials"], **changed}.items()])
            row.shown |= changed

    def _draw(self, row: _Row, curves: Mapping[str, Mapping[int, float]]) -> None:
        """Log the curves over the level where they differ from what was drawn before."""
        names = {name for name in row.shown if name.startswith(BY_LEVEL)} | set(curves)
        changed = []
        for name in sorted(names):
            drawn: dict[int, float] = {}
            if name in row.shown:
                history = self._client.get_metric_history(row.run.info.run_id, name)
                drawn = {one.step: one.value for one in sorted(history, key=lambda one: one.timestamp)}
            wanted = curves.get(name, {})
            changed += [(name, step, value) for step, value in wanted.items() if drawn.get(step) != value]
            gone = (step for step, value in drawn.items() if step not in wanted and not math.isnan(value))
            changed += [(name, step, math.nan) for step in gone]
        if changed:
            self._log(row, changed)

    def _log(self, row: _Row, values: list[tuple[str, int, float]]) -> None:
        """Log values at one moment, later than any before, so that they are what MLflow shows."""
        row.latest = max(round(time.time() * 1000), row.latest + 1)
        seconds = (row.latest - row.run.info.start_time) / 1000
        log(self._client, row.run, {}, [Point(name, value, step, seconds) for name, step, value in values])


def _is_shown(row: Run) -> bool:
    """Whether a family's run shows anything; one that was made twice does not."""
    return bool(row.data.metrics)


def _is_gone(run: Run) -> bool:
    return str(run.info.lifecycle_stage) == "deleted"
