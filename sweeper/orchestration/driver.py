"""The driver's side of a running study: hands out trials, judges epochs, records outcomes. Knows nothing of Ray."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from sweeper.errors import SweeperError
from sweeper.losses.catalogue import family
from sweeper.orchestration.events import Listener
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, outcome_path
from sweeper.results.record import MINORITY, Score, TrialRecord
from sweeper.search.sweep import Proposal, Sweep

EPOCH_METRICS = ("iou", "f1", "precision", "recall")
"""Minority scores that every epoch reports: a trial stopped early has these of the epoch it reached."""

_SETUP = tuple(
    field.name
    for field in dataclasses.fields(TrialRecord)
    if field.name.startswith(("level_", "weighting_", "ess_")) or field.name in ("device", "precision")
)


class Driver:
    """Between the sweep and whoever runs its trials.

    Args:
        sweep: What to run.
        folder: Where workers leave outcomes.
        record: Called with every finished trial; must make it durable before it returns.
        job: What all trials of the run share.
        listener: Who is told.
    """

    def __init__(
        self, sweep: Sweep, folder: RunFolder, record: Callable[[TrialRecord], None], job: Job, listener: Listener
    ) -> None:
        self.sweep = sweep
        self.failure: SweeperError | None = None
        """Why recording failed: the study stops, since a result that cannot be kept must not be computed."""
        self._folder = folder
        self._record = record
        self._job = job
        self._listener = listener
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._stopped: set[str] = set()

    def propose(self) -> tuple[str, Job] | None:
        """Return the next trial's key and job, or None while nothing may start."""
        if self.failure is not None:
            return None
        while (proposal := self.sweep.next()) is not None:
            key = proposal.trial.key
            outcome = self._outcome(key)
            if outcome is not None:
                # A worker finished it while no driver listened: that result stands.
                self._keep(proposal, outcome)
                continue
            self._listener.started(proposal)
            return key, self._job_of(proposal)
        return None

    @property
    def done(self) -> bool:
        return self.sweep.done or self.failure is not None

    def epoch(self, key: str, report: Mapping[str, Any]) -> bool:
        """Take one report of a running trial; return whether it should go on."""
        proposal = self.sweep.running.get(key)
        if proposal is None or not report.get("history"):
            return True
        known = len(self._reports.get(key, {}).get("history", ()))
        self._reports[key] = {"history": list(report["history"]), "setup": report.get("setup")}
        metric = self.sweep.plan.study.search.metric
        goes_on = True
        for row in report["history"][known:]:
            goes_on = self.sweep.epoch(key, int(row["epoch"]), row.get(metric))
            self._listener.epoch(proposal, int(row["epoch"]), row.get(metric))
        if not goes_on:
            self._stopped.add(key)
        return goes_on

    def ended(self, key: str, *, error: bool = False) -> None:
        """Take the end of a trial: its outcome, its early stop, or the loss of its worker."""
        proposal = self.sweep.running.get(key)
        if proposal is None:
            return
        report = self._reports.pop(key, {})
        outcome = self._outcome(key)
        if outcome is None and key in self._stopped:
            outcome = _from_report(report, "stopped", None, self.sweep.plan.study.search.metric)
        if outcome is None and error:
            reason = "its worker died again and again; see the Ray logs"
            outcome = _from_report(report, "failed", reason, self.sweep.plan.study.search.metric)
        self._stopped.discard(key)
        if outcome is None:
            # Interrupted: not an end. The next run offers it again and it continues from its checkpoint.
            self.sweep.give_back(key)
            return
        self._keep(proposal, outcome)

    def _keep(self, proposal: Proposal, outcome: Mapping[str, Any]) -> None:
        record = self._to_record(proposal, outcome)
        try:
            self._record(record)
        except SweeperError as error:
            self.failure = error
            self.sweep.give_back(record.key)
            return
        self.sweep.finish(record)
        outcome_path(self._folder, record.key).unlink(missing_ok=True)
        self._listener.finished(record)

    def _to_record(self, proposal: Proposal, outcome: Mapping[str, Any]) -> TrialRecord:
        trial = proposal.trial
        place = family(trial.family)
        setup = outcome.get("setup") or {}
        return TrialRecord(
            key=trial.key,
            study=self.sweep.plan.study.name,
            family=trial.family,
            loss_level=place.level,
            overlap=place.overlap,
            tradeoff=place.tradeoff,
            hyperparameters=dict(proposal.values),
            is_default=proposal.is_default,
            stage=trial.stage,
            number=proposal.number,
            level=trial.level,
            seed=trial.seed,
            status=outcome["status"],
            reason=outcome.get("reason"),
            epochs=outcome["epochs"],
            planned_epochs=trial.training.epochs,
            objective=outcome.get("objective"),
            offset=outcome.get("offset"),
            seconds=outcome["seconds"],
            started=outcome.get("started"),
            history=tuple(outcome["history"]),
            scores=tuple(Score(*row) for row in outcome.get("scores", ())),
            **{name: setup.get(name) for name in _SETUP},
        )

    def _outcome(self, key: str) -> dict[str, Any] | None:
        """Return what the worker left, or None; a damaged file counts as none and the trial runs again."""
        try:
            outcome = json.loads(outcome_path(self._folder, key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return outcome if isinstance(outcome, dict) and "status" in outcome else None

    def _job_of(self, proposal: Proposal) -> Job:
        study = self.sweep.plan.study
        confirm = proposal.trial.stage == "confirm"
        first = proposal.trial.seed == study.confirm_seeds[0]
        return dataclasses.replace(
            self._job,
            trial=proposal.trial.to_dict(),
            keep_panels=confirm and first,
            keep_model=confirm and (study.confirm.models == "all" or (study.confirm.models == "first" and first)),
        )


def _from_report(report: Mapping[str, Any], status: str, reason: str | None, metric: str) -> dict[str, Any]:
    """Build the outcome of a trial whose worker could not write one, from the last it reported."""
    history = list(report.get("history", ()))
    reached = history[-1] if history and status != "failed" else {}
    return {
        "status": status,
        "reason": reason,
        "epochs": len(history),
        "history": history,
        "seconds": sum(row["seconds"] for row in history),
        "objective": reached.get(metric),
        "scores": [["val", "argmax", None, MINORITY, name, reached.get(f"minority_{name}")] for name in EPOCH_METRICS]
        if reached
        else [],
        "setup": report.get("setup"),
    }
