"""A finished run folder, made as `sweeper run` makes it but in this process and without Ray, and its MLflow page."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import sweeper
from sweeper.orchestration.driver import Driver
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import Lease, RunFolder
from sweeper.orchestration.job import Job, Work
from sweeper.orchestration.meta import build_meta
from sweeper.orchestration.publish import conclude, target_of, write_identity
from sweeper.orchestration.run import check
from sweeper.report.document import Document
from sweeper.results.assemble import assemble
from sweeper.results.parquet import save
from sweeper.search.sweep import Sweep
from sweeper.tracking.journal import Journal
from sweeper.tracking.sync import sync

STUDY = {
    "name": "tiny",
    "families": {"cross_entropy": {}, "tversky": {"alpha": {"uniform": [0.1, 0.9]}, "beta": 0.7}},
    "data": {"patch": 32, "limit": 16, "scans": 10},
    "imbalance": {"levels": [0.95, 0.97], "reference": 0.97},
    "model": {"depth": 3, "decoder_channels": [8, 8, 8]},
    "training": {"epochs": 3, "steps_per_epoch": 12, "batch_size": 4, "lr": 0.01},
    "search": {"trials": 3, "stopping": "none", "seed": 1},
    "confirm": {"seeds": 2},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The run folder of a study that ran to its end."""
    out = tmp_path_factory.mktemp("browsing")
    study = sweeper.load_study(STUDY)
    checked = check(study, out=out)
    folder = RunFolder(out / study.name)
    folder.create()
    with Lease(folder) as lease:
        journal = Journal(folder.outbox)
        plan = Sweep(checked.plan, ())
        target = target_of(study, build_meta(plan, checked.data), folder)
        write_identity(folder, target)
        job = Job(
            trial={}, data=str(checked.folder), folder=str(folder.path), metric=study.search.metric, threads=1,
            device="cpu", keep_model=False, keep_panels=False, driver=lease.id, needs=checked.needs,
        )  # fmt: skip
        driver = Driver(plan, folder, journal.append, job, Silent())
        while (proposal := driver.propose()) is not None:
            key, one = proposal
            work = Work(one)
            while not (report := work.step()).get("done"):
                driver.epoch(key, report)
            driver.ended(key, done=True)
            work.close()
        assert plan.done
        results = assemble(journal.records(), build_meta(plan, checked.data))
        tuned = results.trials.filter(results.trials["is_tuned"])
        assert not all(tuned["is_default"].to_pylist()), "the search must find another setting than the default"
        save(results, folder.results)
        document = Document(results, pictures=folder.panels)
        folder.report.mkdir()  # the page itself takes longer than all else here, and is tested elsewhere
        (folder.report / "report.html").write_text("<p>the report</p>")
        sync(journal, target.open(), target.id)
        assert conclude(target, document, folder) is None
    return folder.path


@pytest.fixture
def own(finished, tmp_path) -> Path:
    """A copy of that run folder, for tests that change it; its MLflow store is left out: `sync` makes it anew."""
    copied = tmp_path / finished.name
    shutil.copytree(finished, copied, ignore=shutil.ignore_patterns("mlflow.db*", "artifacts"))
    return copied


@pytest.fixture
def browsed(finished, own) -> Path:
    """A copy of that run folder with a copy of its store; the artifacts in it are those of the original."""
    for path in finished.glob("mlflow.db*"):
        shutil.copy(path, own / path.name)
    return own


@pytest.fixture(scope="session")
def page(finished) -> Iterator[str]:
    """Address of the study's page, served as `sweeper browse` does and as it says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sweeper.cli", "browse", str(finished), "--port", str(port)]
    said = finished / "browse.log"
    with said.open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env={**os.environ})
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.3)
        yield said.read_text().split("MLflow UI: ")[1].split()[0]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
