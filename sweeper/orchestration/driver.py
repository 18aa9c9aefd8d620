"""The driver's side of a running study: hands out trials, judges epochs, records outcomes. Knows nothing of Ray."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sweeper.errors import RunFolderError, SweeperError
from sweeper.losses.catalogue import family
from sweeper.orchestration.events import Listener
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, outcome_path, trouble_path
from sweeper.results.record import MINORITY, MarginCounts, ReliabilityBin, Score, TrialRecord, rows
from sweeper.search.sweep import Proposal, Sweep

OUTCOME_SECONDS = 60.0
"""How long the outcome of a finished trial may take to appear; NFS caches for up to 60 seconds."""

NODE_LOST = "Ray has lost every machine it ran trials on; nothing recorded is lost, give the same command again"

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
        healthy: Whether there is still a machine to run trials on; a trial that ends because there is none has not
            failed.
    """

    def __init__(
        self,
        sweep: Sweep,
        folder: RunFolder,
        record: Callable[[TrialRecord], None],
        job: Job,
        listener: Listener,
        healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        self.sweep = sweep
        self.failure: SweeperError | None = None
        """Why recording failed: the study stops, since a result that cannot be kept must not be computed."""
        self._folder = folder
        self._record = record
        self._job = job
        self._listener = listener
        self._healthy = healthy
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._stopped: set[str] = set()

    def propose(self) -> tuple[str, Job] | None:
        """Return the next trial's key and job, or None while nothing may start."""
        while self.failure is None and (proposal := self.sweep.next()) is not None:
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
        history = list(report["history"])
        metric = self.sweep.plan.study.search.metric
        # One report brings several epochs when a trial continues from a checkpoint: each is judged as if it came alone.
        for count, row in enumerate(history[known:], start=known + 1):
            goes_on = self.sweep.epoch(key, int(row["epoch"]), row.get(metric))
            self._listener.epoch(proposal, int(row["epoch"]), row.get(metric))
            if not goes_on:
                self._stopped.add(key)
                history = history[:count]
                break
        self._reports[key] = {"history": history, "setup": report.get("setup")}
        return key not in self._stopped

    def restarted(self, key: str) -> None:
        """Take that a trial's worker died and that the trial starts again, from its last checkpoint if it has one."""
        proposal = self.sweep.running.get(key)
        if proposal is not None:
            trial = proposal.trial
            where = f"{trial.family} at {trial.level:g}, seed {trial.seed}"
            self._listener.note(f"{where}: its worker died, the trial starts again")

    def ended(self, key: str, *, done: bool = False, error: bool = False) -> None:
        """Take the end of a trial.

        Args:
            done: The worker says that it left an outcome.
            error: Its worker died or gave up, as often as it was started.
        """
        proposal = self.sweep.running.get(key)
        if proposal is None:
            return
        report = self._reports.pop(key, {})
        metric = self.sweep.plan.study.search.metric
        outcome: Mapping[str, Any] | None
        if key in self._stopped:
            outcome = _from_report(report, "stopped", None, metric)
        else:
            outcome = self._outcome(key, patience=OUTCOME_SECONDS if done else 0.0)
        self._stopped.discard(key)
        if outcome is None and error and not self._healthy():
            self.failure = SweeperError(NODE_LOST)
        elif outcome is None and error and not self._trouble(key):
            outcome = _from_report(report, "failed", "its worker died again and again; see the Ray logs", metric)
        if outcome is None and done:
            self.failure = RunFolderError(
                f"{self._folder.path}: a worker finished trial {key}, but its outcome is not here; every node of the "
                "cluster must see this folder under this path, for example by NFS"
            )
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
        self._clean(record.key)
        self._listener.finished(record)

    def _clean(self, key: str) -> None:
        """Remove what only an unfinished trial needs."""
        outcome_path(self._folder, key).unlink(missing_ok=True)
        trouble_path(self._folder, key).unlink(missing_ok=True)
        shutil.rmtree(self._folder.checkpoints / key, ignore_errors=True)
        with suppress(OSError):  # it holds panels or a model
            (self._folder.trials / key).rmdir()

    def _trouble(self, key: str) -> bool:
        """Stop the study when a trial could not run for a reason that is not its own, which others would meet too."""
        try:
            text = trouble_path(self._folder, key).read_text(encoding="utf-8")
        except OSError:
            return False
        self.failure = SweeperError(f"trials cannot be run: {text}; mend that and give the same command again")
        return True

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
            offset_at_limit=outcome.get("offset_at_limit"),
            seconds=outcome["seconds"],
            started=outcome.get("started"),
            history=tuple(outcome["history"]),
            scores=rows(Score, outcome.get("scores", ())),
            margins=rows(MarginCounts, outcome.get("margins", ())),
            reliability=rows(ReliabilityBin, outcome.get("reliability", ())),
            **{name: setup.get(name) for name in _SETUP},
        )

    def _outcome(self, key: str, patience: float = 0.0) -> dict[str, Any] | None:
        """Return what the worker left, or None; a damaged file counts as none and the trial runs again.

        Network file systems remember for a while that a file was not there: wait up to `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                outcome = json.loads(outcome_path(self._folder, key).read_text(encoding="utf-8"))
                return outcome if isinstance(outcome, dict) and "status" in outcome else None
            except ValueError:
                return None
            except FileNotFoundError:
                if time.monotonic() >= deadline:
                    return None
                time.sleep(0.5)

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
