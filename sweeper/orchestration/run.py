"""The main job: from a study to recorded trials, results and a report. Running it again continues it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.data.levels import LevelWeights, level_weights
from sweeper.data.patches import SPLITS, Prepared, SplitName
from sweeper.data.prepare import prepare
from sweeper.errors import Interrupted, LevelError, TrackingError
from sweeper.orchestration.cluster import has_machines, note_slot, noted_slot, ray_session, slots
from sweeper.orchestration.continuing import Past, left_out
from sweeper.orchestration.disk import full_disk_told
from sweeper.orchestration.driver import Driver
from sweeper.orchestration.events import Listener, Silent
from sweeper.orchestration.folder import Lease, RunFolder, check_writable, data_cache
from sweeper.orchestration.job import Job
from sweeper.orchestration.meta import build_meta
from sweeper.orchestration.needs import (
    artefact_reports,
    keep_reports,
    kept_reports,
    reachable_needs,
    report_line,
    with_needs,
)
from sweeper.orchestration.publish import conclude, target_of, write_identity
from sweeper.orchestration.stopping import Stop
from sweeper.orchestration.tidy import forget_unfinished, tidy
from sweeper.report.document import Document
from sweeper.report.page import write_report
from sweeper.results.assemble import assemble
from sweeper.results.parquet import save
from sweeper.results.record import TrialRecord
from sweeper.results.results import Results
from sweeper.search.sweep import Sweep
from sweeper.study.plan import Plan, make_plan
from sweeper.study.schema import Study
from sweeper.tracking import uri as tracking_uri
from sweeper.tracking.courier import Courier
from sweeper.tracking.door import TrackerUnreachable
from sweeper.tracking.journal import Journal
from sweeper.training.model import check_model

FLUSH_SECONDS = 120.0
"""How long a finished study waits for MLflow to take what is left; the rest is for `sweeper sync`."""

INTERRUPTED_FLUSH_SECONDS = 5.0
"""How long an interrupted one waits."""


@dataclass(frozen=True)
class Checked:
    """A study that can run: nothing in it is known to be wrong."""

    plan: Plan
    data: Prepared
    folder: Path
    """Of the prepared data."""
    run_folder: Path
    """Where the study will be run, or is."""
    weights: dict[tuple[SplitName, float], LevelWeights]
    """By split and level."""
    needs: tuple[str, ...]
    """What the study's losses need that is still to be made, see `needs`."""


@dataclass(frozen=True)
class RunOutcome:
    """A finished study."""

    folder: Path
    results: Results
    report: Path
    answer: str
    """The report's answer in one or two sentences."""
    tracking_uri: str
    """Where MLflow is, password redacted."""
    unsent: int
    """Trials that could not be delivered to MLflow yet; `sweeper sync` sends them."""
    unsent_reason: str | None
    """Why, or why the study's own run in MLflow lacks the report."""

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data for `--json`."""
        return {
            "study": self.results.meta["study"]["name"],
            "folder": str(self.folder),
            "answer": self.answer,
            "report": str(self.report),
            "results": str(self.folder / "results"),
            "tracking_uri": self.tracking_uri,
            "unsent": self.unsent,
            "unsent_reason": self.unsent_reason,
            "trials": self.results.trials.num_rows,
            "failed": sum(status == "failed" for status in self.results.trials["status"].to_pylist()),
        }


def check(study: Study, *, out: Path, listener: Listener | None = None) -> Checked:
    """Prepare the data and check everything a study needs, without training or making a run folder.

    Raises:
        ChangedStudy: The run folder holds trials of another study of this name, or of other data.
        UserError: An output folder, tracking address, data, levels or model that cannot be used.
    """
    listener = listener or Silent()
    out = out.expanduser().absolute()
    check_writable(out)
    past = Past.of(RunFolder(out / study.name))
    past.admit(study)
    _check_tracking(tracking_uri.resolve(study.tracking.uri, out / study.name), past, listener)
    data = prepare(study.data, data_cache(out), progress=listener.preparing)
    past.admit_data(study, data, data_cache(out))
    weights = _level_weights(study, data)
    needs = reachable_needs(study)
    check_model(
        study.model,
        data.channels,
        len(data.classes),
        data.patch,
        batch_size=study.training.batch_size,
        features="features" in needs or "classifier" in needs,
    )
    for line in past.news(study):
        listener.note(line)
    return Checked(
        plan=make_plan(study, data.fingerprint),
        data=data,
        folder=data_cache(out) / data.fingerprint,
        run_folder=past.folder.path,
        weights=weights,
        needs=needs,
    )


def _check_tracking(uri: str, past: Past, listener: Listener) -> None:
    """Refuse an address that cannot be used, unless it could before or a server is there that will be well again."""
    try:
        tracking_uri.check(uri)
    except TrackingError as error:
        if not (isinstance(error, TrackerUnreachable) or past.tracked_at(uri)):
            raise
        listener.note(f"{error}. The study goes on: its trials are kept in the run folder and sent when that answers")


def run(
    study: Study,
    *,
    out: Path = Path("runs"),
    address: str | None = None,
    listener: Listener | None = None,
    command: str | None = None,
) -> RunOutcome:
    """Search, confirm, record, report. Trials recorded before are not run again.

    Args:
        study: What to compare.
        out: Folder of run folders; this study's is `<out>/<study name>`.
        address: Ray cluster to join (`auto`, `host:port`); None starts a private Ray on this machine.
        listener: Told about every step.
        command: How the study was started, for the report's provenance.

    Raises:
        UserError: Something the user gave cannot be used; nothing was started.
        Interrupted: Stopped before the end; the same call continues.
    """
    listener = listener or Silent()
    out = out.expanduser().absolute()
    folder = RunFolder(out / study.name)
    stop, lease = Stop(), Lease(folder)
    with ExitStack() as stack:
        stack.enter_context(stop.heard())
        stack.enter_context(full_disk_told(folder.path))
        if folder.driver.exists():
            # Another driver is named at once, not after minutes of preparing data.
            stack.enter_context(lease)
        checked = check(study, out=out, listener=listener)
        folder.create()
        if not lease.held:
            stack.enter_context(lease)
        return _drive(checked, folder, lease, stop, address, listener, command)


def _drive(
    checked: Checked,
    folder: RunFolder,
    lease: Lease,
    stop: Stop,
    address: str | None,
    listener: Listener,
    command: str | None,
) -> RunOutcome:
    """Do so as the one driver of the folder."""
    journal = Journal(folder.outbox)
    for damage in journal.dropped:
        listener.note(damage)
    tidy(folder, journal.recorded())
    # One whole record in memory at a time: with the scores of every picture, all of them may be gigabytes.
    sweep = Sweep(checked.plan, map(journal.read, journal.recorded()))
    if (strange := left_out(sweep)) is not None:
        listener.note(strange)
    if not sweep.done:
        with_needs(checked.data, checked.needs, checked.folder, progress=listener.preparing)
        made = artefact_reports(checked.needs, checked.folder)
        keep_reports(folder.artefacts, checked.data.fingerprint, made)
    # Of a finished study the data's cache may be gone, and nothing makes it anew.
    artefacts = kept_reports(folder.artefacts, checked.data.fingerprint, checked.needs)
    for name, report in artefacts.items():
        listener.note(report_line(name, report))
    meta = build_meta(sweep, checked.data, artefacts, command=command)
    target = target_of(checked.plan.study, meta, folder)
    write_identity(folder, target)
    courier = Courier(journal, target.open, target.id, say=listener.note)
    unsent = len(journal.finished())
    patience = INTERRUPTED_FLUSH_SECONDS
    try:
        if not sweep.done:
            _run_trials(sweep, checked, folder, lease, stop, courier, address, listener)
        patience = FLUSH_SECONDS if sweep.done else patience
    except KeyboardInterrupt:
        patience = 0.0
        raise
    finally:
        # What an interrupted study could not send is in the journal; whoever stops it should not have to wait.
        unsent = courier.close(patience)
    meta = build_meta(sweep, checked.data, artefacts, command=command, slot=noted_slot(folder.slots))
    # From the journal, which has them whole: the sweep remembers only what it decides by.
    results = assemble((journal.read(one.key) for one in sweep.current()), meta)
    save(results, folder.results)
    if not sweep.done:
        left = sum(planned - done for done, planned in sweep.totals().values())
        raise Interrupted(
            f"stopped with {left} trials to go; nothing recorded is lost. What there is so far: "
            f"sweeper report {folder.path}. Continue with the same command"
        )
    forget_unfinished(folder)
    _warn_of_mixture(sweep.current(), listener)
    document = Document(results, pictures=folder.panels)
    page = write_report(document, folder.report)
    answer = document.answer.summary
    reason = courier.last_error if unsent else conclude(target, document, folder)
    return RunOutcome(folder.path, results, page, answer, tracking_uri.redact(target.uri), unsent, reason)


def _level_weights(study: Study, data: Prepared) -> dict[tuple[SplitName, float], LevelWeights]:
    """Weight every split to every level, or say of all that cannot be which they are."""
    weights: dict[tuple[SplitName, float], LevelWeights] = {}
    problems: list[str] = []
    for name in SPLITS:
        for level in study.levels:
            try:
                weights[name, level] = level_weights(
                    data.splits[name].counts,
                    background=data.background,
                    minority=data.minority,
                    level=level,
                    split=name,
                )
            except LevelError as error:
                problems.append(f"imbalance.levels: {error}")
    if problems:
        raise LevelError("\n".join(problems))
    return weights


def _run_trials(
    sweep: Sweep,
    checked: Checked,
    folder: RunFolder,
    lease: Lease,
    stop: Stop,
    courier: Courier,
    address: str | None,
    listener: Listener,
) -> None:
    study = sweep.plan.study
    # Ray takes SIGTERM for itself when it starts, so ours comes again after.
    with ray_session(address), stop.heard():
        # Ray is needed from here on only: a finished study is reported without it.
        from sweeper.orchestration.tune import run_trials

        share = slots(study.resources)
        note_slot(folder.slots, share, anew=not sweep.recorded)
        job = Job(
            trial={},
            data=str(checked.folder),
            needs=checked.needs,
            folder=str(folder.path),
            metric=study.search.metric,
            threads=share.cpu,
            device="cuda" if share.gpu else "cpu",
            keep_model=False,
            keep_panels=False,
            driver=lease.id,
            import_paths=tuple(dict.fromkeys([os.getcwd(), *(path for path in sys.path if path)])),
        )
        listener.planned(sweep, share.concurrent)
        driver = Driver(sweep, folder, courier.record, job, listener, has_machines, lease.tell_workers_to_stop)
        try:
            run_trials(driver, share, folder.scratch, stop)
        finally:
            listener.close()
        if driver.failure is not None:
            raise driver.failure


def _warn_of_mixture(records: Sequence[TrialRecord], listener: Listener) -> None:
    """Say when a study was continued on other hardware: its trials are then not on quite equal terms."""
    kinds = sorted({f"{one.device}, {one.precision}" for one in records if one.device is not None})
    if len(kinds) > 1:
        listener.note(f"trials ran on different devices or precisions ({'; '.join(kinds)}); compare them with care")
