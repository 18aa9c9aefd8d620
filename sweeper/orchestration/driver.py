"""The driver's side of a running study: hands out trials, judges epochs, records outcomes. Knows nothing of Ray."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sweeper.durations import duration
from sweeper.errors import RunFolderError, SweeperError
from sweeper.orchestration.events import Listener
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, trouble_path
from sweeper.orchestration.mishaps import note_memory, note_stall, read_mishaps
from sweeper.orchestration.patience import Patience
from sweeper.orchestration.recording import EPOCH_METRICS as EPOCH_METRICS
from sweeper.orchestration.recording import from_report, to_record
from sweeper.orchestration.stopping import ANNOUNCEMENT
from sweeper.orchestration.tidy import forget
from sweeper.orchestration.trial_outcome import DamagedOutcome, read_outcome
from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Proposal, Sweep

OUTCOME_SECONDS = 60.0
"""How long the outcome of a finished trial may take to appear; NFS caches for up to 60 seconds."""

MAX_WORKER_DEATHS = 3
"""How often a trial whose worker or machine died is started again, from its last checkpoint."""

WORKER_LOST = "its worker died again and again; see the Ray logs"

NODE_LOST = "Ray has lost every machine it ran trials on; nothing recorded is lost, give the same command again"


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
        halt: Tells all workers to checkpoint after their epoch and to end.
        clock: Seconds that only go forward, to tell trials that hang.
    """

    def __init__(
        self,
        sweep: Sweep,
        folder: RunFolder,
        record: Callable[[TrialRecord], None],
        job: Job,
        listener: Listener,
        healthy: Callable[[], bool] = lambda: True,
        halt: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sweep = sweep
        self.failure: SweeperError | None = None
        """Why recording failed: the study stops, since a result that cannot be kept must not be computed."""
        self._folder = folder
        self._record = record
        self._job = job
        self._listener = listener
        self._healthy = healthy
        self._halt = halt
        self._stopping = False
        self._clock = clock
        self._patience = Patience(sweep.plan.study.resources.stall)
        self._hanging: Mapping[str, float] = {}
        """Limit of every trial that was overdue when last asked."""
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._stopped: set[str] = set()
        self._told: dict[str, int] = {}
        """How many of its worker's notes were told, by trial."""
        self._given_up: set[tuple[str, float]] = set()
        """Cells of which the user knows that they are given up."""
        self._deaths: Counter[str] = Counter()
        """How often a trial's worker died."""
        self._damaged: list[str] = []
        """Trials whose outcome could not be believed."""

    def propose(self) -> tuple[str, Job] | None:
        """Return the next trial's key and job, or None while nothing may start."""
        self._tell_of_given_up()
        while not self._ending and (proposal := self.sweep.next()) is not None:
            key = proposal.trial.key
            outcome = self._outcome(proposal)
            if outcome is not None:
                # A worker finished it while no driver listened: that result stands.
                self._keep(proposal, outcome)
                continue
            if self.failure is not None:
                self.sweep.give_back(key)
                break
            self._patience.begin(key, proposal.trial.family, proposal.trial.stage, self._clock())
            self._listener.started(proposal)
            return key, self._job_of(proposal)
        return None

    @property
    def done(self) -> bool:
        return self.sweep.done or self._ending

    def stop(self) -> None:
        """Let running epochs finish and their trials be checkpointed; nothing new starts. Says so once."""
        if not self._stopping:
            self._stopping = True
            self._listener.note(ANNOUNCEMENT)
            self._halt()

    @property
    def _ending(self) -> bool:
        return self._stopping or self.failure is not None

    def epoch(self, key: str, report: Mapping[str, Any]) -> bool:
        """Take one report of a running trial; return whether it should go on."""
        proposal = self.sweep.running.get(key)
        if proposal is None:
            return True
        self._tell(proposal, report.get("notes", ()))
        if report.get("paused"):
            if "unsaved" in report:
                self._note(
                    proposal,
                    f"could not be checkpointed ({report['unsaved']}); it starts again from its last checkpoint",
                )
            return False
        if "trouble" in report:
            self._stop_for(report["trouble"])
            return False
        if not report.get("history"):
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
        scoring = int(report["history"][-1]["epoch"]) == proposal.trial.training.epochs
        self._patience.progress(key, "score" if scoring else "epoch", self._clock())
        # With a study that cannot go on its trials need not either: they end as if interrupted.
        return key not in self._stopped and self.failure is None

    def started(self, key: str) -> None:
        """Take that a worker begins with a trial, for the first time or again."""
        proposal = self.sweep.running.get(key)
        if proposal is not None:
            self._patience.begin(key, proposal.trial.family, proposal.trial.stage, self._clock())

    def overdue(self) -> Collection[str]:
        """Return the keys of trials that show no progress for too long. To be asked every few seconds."""
        self._hanging = self._patience.overdue(self._clock())
        return self._hanging.keys()

    def hung(self, key: str) -> None:
        """Take that the worker of an overdue trial is being stopped; the trial starts again, once."""
        proposal = self.sweep.running.get(key)
        if proposal is None:
            return
        limit = self._hanging[key]
        self._patience.end(key)
        with suppress(OSError):  # then it is not known to have hung, and gets another try
            note_stall(self._folder, key, limit)
        self._note(proposal, f"no progress for {duration(limit)}, its worker is stopped")

    def short_of_memory(self, key: str) -> None:
        """Take that Ray stopped a trial's worker to keep its machine from running out of memory."""
        proposal = self.sweep.running.get(key)
        if proposal is not None:
            with suppress(OSError):  # as above
                note_memory(self._folder, key, "host")
            self._note(proposal, "its machine ran out of memory, so Ray stopped its worker")

    def restarted(self, key: str) -> None:
        """Take that a trial's worker died and that the trial starts again, from its last checkpoint if it has one."""
        proposal = self.sweep.running.get(key)
        if proposal is not None:
            self._patience.end(key)
            self._deaths[key] += 1
            self._note(proposal, "its worker died, the trial starts again")

    def ended(self, key: str, *, done: bool = False, error: bool = False) -> None:
        """Take the end of a trial.

        Args:
            done: The worker says that it left an outcome.
            error: Its worker died or gave up, as often as it was started.
        """
        proposal = self.sweep.running.get(key)
        if proposal is None:
            return
        self._patience.end(key)
        report = self._reports.pop(key, {})
        metric = self.sweep.plan.study.search.metric
        damaged = len(self._damaged)
        outcome: Mapping[str, Any] | None
        if key in self._stopped:
            outcome = from_report(report, "stopped", None, metric)
        else:
            outcome = self._outcome(proposal, patience=OUTCOME_SECONDS if done else 0.0)
        self._stopped.discard(key)
        if outcome is None and error and not self._healthy():
            self.failure = SweeperError(NODE_LOST)
        elif outcome is None and error and not self._trouble(key):
            verdict = read_mishaps(self._folder, key).verdict
            self._deaths[key] += 1
            if verdict is None and self._deaths[key] <= MAX_WORKER_DEATHS:
                # Tune at times gives a trial up sooner, when a worker dies between two trials.
                self._note(proposal, "its worker died, the trial starts again")
                self.sweep.give_back(key)
                return
            outcome = from_report(report, "failed", verdict or WORKER_LOST, metric)
        if outcome is None and done and len(self._damaged) == damaged and self.failure is None:
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
        self._tell(proposal, outcome.get("notes", ()))
        record = to_record(proposal, outcome, study=self.sweep.plan.study.name)
        try:
            self._record(record)
        except SweeperError as error:
            self.failure = error
            self.sweep.give_back(record.key)
            return
        self.sweep.finish(record)
        self._told.pop(record.key, None)
        forget(self._folder, record.key)
        self._listener.finished(record)

    def _trouble(self, key: str) -> bool:
        """Stop the study when a trial could not run for a reason that is not its own, which others would meet too."""
        try:
            text = trouble_path(self._folder, key).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        self._stop_for(text)
        return True

    def _stop_for(self, trouble: str) -> None:
        self.failure = SweeperError(f"trials cannot be run: {trouble}; mend that and give the same command again")

    def _outcome(self, proposal: Proposal, patience: float = 0.0) -> dict[str, Any] | None:
        """Return what the worker left, or None; a damaged file counts as none and the trial runs again, once.

        Network file systems remember for a while that a file was not there: wait up to `patience` seconds.
        """
        key, deadline = proposal.trial.key, time.monotonic() + patience
        while True:
            try:
                return read_outcome(self._folder, key)
            except FileNotFoundError:
                if time.monotonic() >= deadline:
                    return None
                time.sleep(0.5)
            except DamagedOutcome as damage:
                if key in self._damaged:
                    self.failure = RunFolderError(
                        f"{damage}: damaged for the second time; mend the disk and give the same command again"
                    )
                self._damaged.append(key)
                self._note(proposal, f"its outcome was damaged and is set aside as {damage}; the trial starts again")
                return None
            except OSError as error:
                self._stop_for(str(error))
                return None

    def _tell_of_given_up(self) -> None:
        for cell in self.sweep.given_up():
            if (cell.family, cell.level) not in self._given_up:
                self._given_up.add((cell.family, cell.level))
                self._listener.note(
                    f"{cell.family} at {cell.level:g}: given up, since its first {cell.trials} trials failed alike "
                    f"({cell.reason}); {cell.left} more are not run. Mend that and give the same command again, or set "
                    "search.give_up_after to another number, 0 for never"
                )

    def _tell(self, proposal: Proposal, notes: Sequence[str]) -> None:
        """Say what a worker has to say of a trial; its reports repeat what earlier ones said."""
        known = self._told.get(proposal.trial.key, 0)
        for text in notes[known:]:
            self._note(proposal, text)
        self._told[proposal.trial.key] = max(known, len(notes))

    def _note(self, proposal: Proposal, text: str) -> None:
        trial = proposal.trial
        self._listener.note(f"{trial.family} at {trial.level:g}, seed {trial.seed}: {text}")

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
