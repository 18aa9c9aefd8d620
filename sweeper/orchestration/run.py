"""The main job: from a study to recorded trials, results and a report. Running it again continues it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from sweeper.data.levels import LevelWeights, level_weights
from sweeper.data.patches import SPLITS, Prepared, SplitName
from sweeper.data.prepare import prepare
from sweeper.errors import Interrupted, LevelError
from sweeper.orchestration.cluster import has_machines, note_slot, noted_slot, ray_session, slots
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

    Raises: UserError for an output folder, tracking address, data, levels or model that cannot be used.
    """
    listener = listener or Silent()
    out = out.expanduser().absolute()
    check_writable(out)
    tracking_uri.check(tracking_uri.resolve(study.tracking.uri, out / study.name))
    data = prepare(study.data, data_cache(out), progress=listener.preparing)
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
    return Checked(make_plan(study, data.fingerprint), data, data_cache(out) / data.fingerprint, weights, needs)


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
    checked = check(study, out=out, listener=listener)
    folder = RunFolder(out / study.name)
    folder.create()
    with ExitStack() as stack:
        stack.enter_context(_signals())
        lease = stack.enter_context(Lease(folder))
        journal = Journal(folder.outbox)
        for damage in journal.dropped:
            listener.note(damage)
        sweep = Sweep(checked.plan, journal.records())
        if not sweep.done:
            with_needs(checked.data, checked.needs, checked.folder, progress=listener.preparing)
            made = artefact_reports(checked.needs, checked.folder)
            keep_reports(folder.artefacts, checked.data.fingerprint, made)
        # Of a finished study the data's cache may be gone, and nothing makes it anew.
        artefacts = kept_reports(folder.artefacts, checked.data.fingerprint, checked.needs)
        for name, report in artefacts.items():
            listener.note(report_line(name, report))
        meta = build_meta(sweep, checked.data, artefacts, command=command)
        target = target_of(study, meta, folder)
        write_identity(folder, target)
        courier = Courier(journal, target.open, target.id)
        unsent = len(journal.finished())
        try:
            if not sweep.done:
                _run_trials(sweep, checked, folder, lease.id, courier, address, listener)
        finally:
            # What an interrupted study could not send is in the journal; whoever stops it should not have to wait.
            unsent = courier.close(FLUSH_SECONDS if sweep.done else INTERRUPTED_FLUSH_SECONDS)
        records = sweep.current()
        meta = build_meta(sweep, checked.data, artefacts, command=command, slot=noted_slot(folder.slots))
        results = assemble(records, meta)
        save(results, folder.results)
        if not sweep.done:
            left = sum(planned - done for done, planned in sweep.totals().values())
            raise Interrupted(
                f"stopped with {left} trials to go; nothing recorded is lost. Continue with the same command; "
                f"what there is so far: sweeper report {folder.path}"
            )
        _warn_of_mixture(records, listener)
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
    driver_id: str,
    courier: Courier,
    address: str | None,
    listener: Listener,
) -> None:
    study = sweep.plan.study
    # Ray takes SIGTERM for itself when it starts, so ours comes again after.
    with ray_session(address), _signals():
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
            driver=driver_id,
            import_paths=tuple(dict.fromkeys([os.getcwd(), *(path for path in sys.path if path)])),
        )
        listener.planned(sweep, share.concurrent)
        driver = Driver(sweep, folder, courier.record, job, listener, has_machines)
        try:
            run_trials(driver, share, folder.scratch)
        finally:
            listener.close()
        if driver.failure is not None:
            raise driver.failure


def _warn_of_mixture(records: Sequence[TrialRecord], listener: Listener) -> None:
    """Say when a study was continued on other hardware: its trials are then not on quite equal terms."""
    kinds = sorted({f"{one.device}, {one.precision}" for one in records if one.device is not None})
    if len(kinds) > 1:
        listener.note(f"trials ran on different devices or precisions ({'; '.join(kinds)}); compare them with care")


@contextmanager
def _signals() -> Iterator[None]:
    """Take SIGTERM, which clusters send, for the SIGINT that Tune stops on in good order."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever embeds sweeper handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
