"""Whether the driver of a long study grows: thousands of trials through everything but the training.

    python -m benchmarks.soak                   # 5,000 trials
    python -m benchmarks.soak --trials 1000

`sweeper.run` as it is: plan, Sweep, Ray Tune, Driver, journal, courier, a real MLflow store (SQLite, in the run
folder), results and report. Only the worker is another one: it trains nothing and leaves the outcome of a confirm trial
that was trained once beforehand, so that records are as wide as real ones (scores per image, margins, reliability).
The driver's memory (resident), open files and threads are measured whenever a hundred more trials are recorded, on the
driver's own thread. Exit code 1 when from trial 1,000 (of fewer than 5,000: from a fifth of them) to the last memory
grows by 50 MB or more, or files or threads grow.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sweeper
from sweeper.files import write_text
from sweeper.orchestration import tune
from sweeper.orchestration.driver import Driver
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, Work
from sweeper.orchestration.run import check
from sweeper.orchestration.trial_outcome import read_outcome, write_outcome
from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Sweep
from sweeper.study.schema import Study

MOST_GROWTH = 50.0
"""Megabytes (10^6 bytes) that the driver may grow."""

EVERY = 100
"""Trials between two measurements."""

FAMILIES = ("cross_entropy", "focal", "dice", "tversky")
LEVELS = (0.95, 0.96, 0.97, 0.98, 0.99)

TEMPLATE = "template.json"
"""The outcome every trial leaves, in the run folder's parent."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """The driver at one moment."""

    trials: int
    seconds: float
    megabytes: float
    files: int
    threads: int

    @classmethod
    def take(cls, trials: int, seconds: float) -> Sample:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return cls(
            trials,
            round(seconds, 1),
            round(int(status["VmRSS"].split()[0]) * 1024 / 1e6, 1),
            len(os.listdir("/proc/self/fd")),
            int(status["Threads"]),
        )


class Watcher(Silent):
    """Measures this process as trials are recorded."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._count = 0
        self._began = time.monotonic()

    def finished(self, record: TrialRecord) -> None:
        self._count += 1
        if self._count % EVERY == 0:
            self.samples.append(Sample.take(self._count, time.monotonic() - self._began))
            if self._count % (10 * EVERY) == 0:
                print(_line(self.samples[-1]), flush=True)


class NoOp:
    """A worker's `Work` without the work."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def step(self) -> dict[str, Any]:
        folder = RunFolder(Path(self.job.folder))
        outcome = json.loads((folder.path.parent / TEMPLATE).read_text(encoding="utf-8"))
        key, stage = self.job.trial["key"], self.job.trial["stage"]
        # Every trial another score, so that the search has something to go by.
        outcome["objective"] = int(key[:8], 16) / 2**32
        if stage == "search":
            outcome |= {"margins": [], "reliability": []}
        write_outcome(folder, key, outcome)
        return {"epoch": len(outcome["history"]), "done": True}

    def close(self) -> None:
        pass


class NoOpActor(tune.TrialActor):
    """A worker that does `NoOp`."""

    def setup(self, config: dict[str, Any]) -> None:
        self.work = NoOp(Job.from_dict(config["job"]))


def soak(trials: int, out: Path) -> list[Sample]:
    """Run a study of about so many trials in `out`; return the measurements."""
    study = _study(trials)
    watcher = Watcher()
    checked = check(study, out=out)
    print(
        f"{checked.plan.search_trials} search trials, at most {checked.plan.confirm_trials} confirm trials", flush=True
    )
    _make_template(study, out)
    tune.TrialActor = NoOpActor  # type: ignore[misc]
    outcome = sweeper.run(study, out=out, listener=watcher)
    print(f"{outcome.results.trials.num_rows} trials in results and report, {outcome.unsent} not in MLflow yet")
    return watcher.samples


def _study(trials: int) -> Study:
    """Return a study of four families at five levels, most of whose trials confirm."""
    search = 40
    # Two settings, tuned and default, of all families at all levels; cross_entropy has one.
    seeds = max(1, (trials - 3 * search) // (7 * len(LEVELS)))
    return sweeper.load_study(
        {
            "name": "soak",
            "families": {name: {} for name in FAMILIES},
            "data": {"patch": 32, "limit": 64, "scans": 40},
            "imbalance": {"levels": list(LEVELS), "reference": 0.97},
            "model": {"depth": 3, "decoder_channels": [8, 8, 8]},
            "training": {"epochs": 3, "steps_per_epoch": 2, "batch_size": 4},
            "search": {"trials": search, "stopping": "none"},
            "confirm": {"seeds": seeds, "models": "none"},
            "resources": {"gpu": 0},
        }
    )


def _make_template(study: Study, out: Path) -> None:
    """Train one confirm trial and keep its outcome."""
    one = study.model_copy(update={"name": "template", "families": {"cross_entropy": study.families["cross_entropy"]}})
    checked = check(one, out=out)
    folder = RunFolder(out / "template")
    folder.create()
    sweep = Sweep(checked.plan)
    job = Job(
        trial={},
        data=str(checked.folder),
        folder=str(folder.path),
        metric=one.search.metric,
        threads=1,
        device="cpu",
        keep_model=False,
        keep_panels=False,
        driver="soak",
        needs=checked.needs,
    )
    kept: list[Mapping[str, Any]] = []
    driver = Driver(sweep, folder, lambda record: None, job, Silent())
    while not kept and (proposal := driver.propose()) is not None:
        key, task = proposal
        work = Work(task)
        while not (report := work.step()).get("done"):
            driver.epoch(key, report)
        if task.trial["stage"] == "confirm":
            kept.append(read_outcome(folder, key))
        driver.ended(key, done=True)
    write_text(out / TEMPLATE, json.dumps(kept[0]))
    print(f"a record's width: {len(json.dumps(kept[0])):,} bytes of JSON, {len(kept[0]['scores'])} scores", flush=True)


def _grown(counts: Sequence[int]) -> int:
    """Return by how much a count rose from the first third to the last; what is open for a moment does not count."""
    third = max(1, len(counts) // 3)
    return min(counts[-third:]) - min(counts[:third])


def _line(sample: Sample) -> str:
    return (
        f"{sample.trials:6d} trials {sample.seconds:7.1f} s {sample.megabytes:7.1f} MB "
        f"{sample.files:4d} files {sample.threads:4d} threads"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as out:
        samples = soak(options.trials, Path(out))
    start = min(1000, options.trials // 5)
    settled = [sample for sample in samples if sample.trials >= start]
    growth = settled[-1].megabytes - settled[0].megabytes
    files, threads = _grown([one.files for one in settled]), _grown([one.threads for one in settled])
    print(_line(settled[0]))
    print(_line(settled[-1]))
    print(f"memory grew by {growth:.1f} MB, open files by {files}, threads by {threads}")
    return 0 if growth < MOST_GROWTH and files <= 0 and threads <= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
