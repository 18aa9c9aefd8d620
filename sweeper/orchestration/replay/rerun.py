"""Training a trial again as a worker would, in a scratch folder that is gone afterwards."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from sweeper.errors import SweeperError
from sweeper.orchestration.driver import EPOCH_METRICS
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, Work
from sweeper.orchestration.trial_outcome import read_outcome
from sweeper.results.record import MINORITY, MarginCounts, ReliabilityBin, Score, TrialRecord, rows
from sweeper.training.trial import Trial

Progress = Callable[[int, int], None]
"""Called with the epochs done and those to do."""

_UNDETERMINED = re.compile(r"(\S+) does not have a deterministic implementation")
_CUBLAS = re.compile(r"CuBLAS|CUBLAS_WORKSPACE_CONFIG")


def make_job(trial: Trial, *, data: Path, needs: tuple[str, ...], metric: str, threads: int, device: str) -> Job:
    """Return the job of a trial; it keeps nothing, and its folder is set where it runs."""
    return Job(
        trial=trial.to_dict(),
        data=str(data),
        folder="",
        metric=metric,
        threads=threads,
        device=device,
        keep_model=False,
        keep_panels=False,
        driver="",
        checkpoint_seconds=math.inf,
        needs=needs,
    )


def rerun(job: Job, record: TrialRecord, *, progress: Progress | None = None) -> TrialRecord:
    """Train the recorded trial again from its start; return what would be recorded of it now.

    A trial that was stopped is trained to the epoch it had reached.

    Raises: SweeperError or OSError for what is not the trial's own fault, e.g. damaged data.
    """
    until = record.epochs if record.status == "stopped" else None
    outcome = _outcome(job, until=until, progress=progress)
    setup = outcome.get("setup") or {}
    return dataclasses.replace(
        record,
        status=outcome["status"],
        reason=outcome.get("reason"),
        epochs=outcome["epochs"],
        objective=outcome.get("objective"),
        offset=outcome.get("offset"),
        offset_at_limit=outcome.get("offset_at_limit"),
        seconds=outcome["seconds"],
        history=tuple(outcome["history"]),
        scores=rows(Score, outcome.get("scores", ())),
        margins=rows(MarginCounts, outcome.get("margins", ())),
        reliability=rows(ReliabilityBin, outcome.get("reliability", ())),
        device=setup.get("device"),
        precision=setup.get("precision"),
    )


def nondeterministic_operators(job: Job) -> tuple[str, ...]:
    """Return the operators of the trial that torch says may give other bits each time, on the job's device.

    One training step, a validation and the final scoring are run for it, apart from the replay: asking torch makes it
    choose other kernels where it can, and those are not what the trial was recorded with.
    """
    trial = Trial.from_dict(job.trial)
    short = dataclasses.replace(trial, training=dataclasses.replace(trial.training, epochs=1, steps_per_epoch=1))
    with asking_torch() as caught:
        _outcome(dataclasses.replace(job, trial=short.to_dict()), until=None, progress=None)
    return operators_in(str(one.message) for one in caught)


@contextmanager
def asking_torch() -> Iterator[list[warnings.WarningMessage]]:
    """Let torch warn of every operator without a deterministic implementation; then set it back as it was."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield caught
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def operators_in(messages: Iterator[str]) -> tuple[str, ...]:
    """Return the names of the operators that torch's warnings are about, each once."""
    found = set()
    for text in messages:
        if match := _UNDETERMINED.search(text):
            found.add(match[1])
        elif _CUBLAS.search(text):
            found.add("matrix products of cuBLAS")
    return tuple(sorted(found))


def _outcome(job: Job, *, until: int | None, progress: Progress | None) -> Mapping[str, Any]:
    """Run a job to its end, or to an epoch; return what a worker would leave for the driver."""
    threads = torch.get_num_threads()
    planned = until or int(job.trial["training"]["epochs"])
    try:
        with tempfile.TemporaryDirectory(prefix="sweeper-replay-") as scratch:
            work = Work(dataclasses.replace(job, folder=scratch))
            with closing(work):
                while True:
                    report = work.step()
                    if report.get("done"):
                        return read_outcome(RunFolder(Path(scratch)), job.trial["key"])
                    if "trouble" in report:
                        raise SweeperError(f"{scratch}: {report['trouble']}; free space, or set TMPDIR to another disk")
                    if progress is not None:
                        progress(report["epoch"], planned)
                    if report["epoch"] == until:
                        return _stopped(report, job.metric)
    finally:
        torch.set_num_threads(threads)


def _stopped(report: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the outcome of a trial stopped after the epoch reported, as the driver makes it."""
    history = json.loads(json.dumps(report["history"]))
    reached = history[-1]
    return {
        "status": "stopped",
        "epochs": len(history),
        "history": history,
        "seconds": sum(row["seconds"] for row in history),
        "objective": reached.get(metric),
        "scores": [["val", "argmax", None, MINORITY, name, reached.get(f"minority_{name}")] for name in EPOCH_METRICS],
        "setup": report["setup"],
    }
