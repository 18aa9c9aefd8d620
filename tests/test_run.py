"""The main job, from a study file to a report, through the command line: whole, repeated, and killed half-way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sweeper
from sweeper.orchestration.publish import sync_run
from sweeper.results.results import Results
from sweeper.results.schema import OBJECT_METRICS, SURFACE_METRICS, TABLES
from sweeper.tracking.journal import Journal
from sweeper.tracking.log import ChecksummedLog

STUDY = """
name: tiny
families: {cross_entropy: {}, dice: {}, tversky: {}}
data: {patch: 32, limit: 24, scans: 10}
imbalance: {levels: [0.95, 0.97], reference: 0.97}
model: {depth: 3, decoder_channels: [8, 8, 8]}
training: {epochs: 4, steps_per_epoch: 2, batch_size: 4, lr: 0.003}
search: {trials: 3}
confirm: {seeds: 2}
"""

MEASURED = ["seconds", "started"]
"""Columns that differ from run to run; all others must not."""


def start(study: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeper.cli", "run", str(study), "--out", str(out), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err, err
    return out, err


def a_process_of(driver: int, *names: bytes) -> int:
    """Wait for a process below the driver whose command line holds one of `names`, and return it."""
    deadline = time.monotonic() + 60
    while (found := find_process(driver, names)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def find_process(driver: int, names: tuple[bytes, ...]) -> int | None:
    parents, named = {}, []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().split(b"\0")[0]
            if any(name in command for name in names):
                named.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile

    def descends(process: int) -> bool:
        while process > 1 and process != driver:
            process = parents.get(process, 0)
        return process == driver

    return next((process for process in named if descends(process)), None)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory) -> Path:
    """A run folder of the study, run without interruption."""
    out = tmp_path_factory.mktemp("whole")
    answer, _ = finish(start(study, out))
    assert "report.html" in answer
    return out / "tiny"


@pytest.fixture(scope="module")
def results(whole) -> Results:
    return sweeper.load_results(whole)


def comparable(results: Results) -> dict[str, pa.Table]:
    return {
        name: table.select([column for column in table.column_names if column not in MEASURED])
        for name, table in results.tables.items()
    }


def test_every_trial_of_the_plan_is_recorded_once(whole, results):
    keys = results.trials["key"].to_pylist()
    assert len(keys) == len(set(keys))
    assert set(keys) == Journal(whole / "outbox").finished()
    stages = results.trials["stage"].to_pylist()
    assert stages.count("search") == 1 + 1 + 3
    tuned = pc.sum(results.trials["is_tuned"]).as_py()
    assert tuned == 3 * 2 * 2, "families, levels, seeds"
    assert set(results.trials["status"].to_pylist()) <= {"completed", "stopped"}


def test_all_tables_are_written_and_hold_rows(whole, results):
    assert {path.name for path in (whole / "results").iterdir()} == {f"{name}.parquet" for name in TABLES}
    rows = {name: table.num_rows for name, table in results.tables.items()}
    epochs = pc.sum(results.trials["epochs"]).as_py()
    confirmed = results.trials["stage"].to_pylist().count("confirm")
    pictures = len(set(results.margins["image"].drop_null().to_pylist()))
    assert pictures > 1
    assert rows["epochs"] == epochs
    assert rows["margins"] == confirmed * (1 + pictures)
    assert rows["reliability"] == confirmed * 20
    assert {*SURFACE_METRICS, *OBJECT_METRICS} <= {*results.scores["metric"].to_pylist()}
    assert results.meta["slot"] == {"cpu": 1, "gpu": 0.0}


def test_levels_are_what_was_aimed_at(results):
    for column in ("level_train", "level_val", "level_test"):
        for aimed, measured in zip(
            results.trials["level"].to_pylist(), results.trials[column].to_pylist(), strict=True
        ):
            assert measured == pytest.approx(aimed, abs=1e-6)


def test_mlflow_holds_the_same_results(whole, results):
    loaded = sweeper.load_results("tiny", tracking_uri=f"sqlite:///{whole / 'mlflow.db'}")
    assert loaded.tables == results.tables
    assert loaded.meta == results.meta


def test_the_report_stands_alone(whole):
    page = (whole / "report" / "report.html").read_text(encoding="utf-8")
    assert "tversky" in page
    assert 'src="http' not in page
    assert (whole / "report" / "report.md").exists()
    assert list((whole / "report" / "figures").glob("*.svg"))
    assert list((whole / "report" / "tables").glob("*.csv"))


def test_the_report_is_built_again_from_the_run_folder_and_from_mlflow(whole, tmp_path):
    for source, words in (
        (str(whole), []),
        ("tiny", ["--tracking-uri", f"sqlite:///{whole / 'mlflow.db'}"]),
    ):
        folder = tmp_path / str(len(words))
        command = [sys.executable, "-m", "sweeper.cli", "report", source, "--out", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(folder / "report.html")
    first, second = ((tmp_path / name / "tables" / "measured.csv").read_text() for name in ("0", "2"))
    assert first == second


def test_panels_and_weights_of_the_first_seed_are_kept(whole, results):
    first = results.trials.filter(pc.equal(results.trials["seed"], 1000))["key"].to_pylist()
    assert {path.parent.name for path in (whole / "trials").glob("*/model.pt")} == set(first)
    assert {path.stem for path in (whole / "panels").glob("*.npz") if path.stem in first} == set(first)
    assert "Largest disagreement between families" in (whole / "report" / "report.md").read_text(encoding="utf-8")
    assert not list((whole / "checkpoints").iterdir()), "nothing is left to continue from"
    assert not (whole / ".tune").exists()


def test_running_again_runs_nothing(study, whole, results):
    before = (whole / "outbox" / "trials.log").read_bytes()
    began = time.monotonic()
    finish(start(study, whole.parent))
    assert (whole / "outbox" / "trials.log").read_bytes() == before
    assert comparable(sweeper.load_results(whole)) == comparable(results)
    assert time.monotonic() - began < 60


def test_sync_sends_everything_to_another_store_once(whole, results, tmp_path):
    other = f"sqlite:///{tmp_path / 'other.db'}"
    first, again = sync_run(whole, other), sync_run(whole, other)
    assert (first.delivered, first.present, dict(first.refused)) == (results.trials.num_rows, 0, {})
    assert (again.delivered, again.present) == (0, results.trials.num_rows)
    assert sweeper.load_results("tiny", tracking_uri=other).scores.equals(results.scores)


def test_browse_serves_the_store_on_this_machine_alone(whole):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sweeper.cli", "browse", str(whole), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.3)
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=30)
    assert f"http://127.0.0.1:{port}" in err


def wait_for(trials: int, folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until that many trials are recorded."""
    deadline = time.monotonic() + 200
    while len(recorded(folder)) < trials:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def recorded(folder: Path) -> set[str]:
    return Journal(folder / "outbox").finished()


def test_a_machine_that_is_lost_fails_no_trial_and_ends_the_study_resumably(study, tmp_path):
    """Ray's own process of this machine dies, as when a node does; without it Tune would wait for ever."""
    process = start(study, tmp_path, "--set", "training.steps_per_epoch=60")
    wait_for(1, tmp_path / "tiny", process)
    os.kill(a_process_of(process.pid, b"raylet/raylet"), signal.SIGKILL)
    _, err = finish(process, code=1)
    assert "give the same command again" in err
    assert {record.status for record in Journal(tmp_path / "tiny" / "outbox").records()} <= {"completed", "stopped"}


def test_killed_half_way_it_continues_to_the_same_scores(study, results, tmp_path):
    """kill -9 on the driver; then SIGTERM; then kill -9 on a worker: no trial twice, none missing, equal numbers."""
    killed = start(study, tmp_path)
    wait_for(4, tmp_path / "tiny", killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    first = recorded(tmp_path / "tiny")

    stopped = start(study, tmp_path)
    wait_for(len(first) + 3, tmp_path / "tiny", stopped)
    os.kill(stopped.pid, signal.SIGTERM)
    _, err = finish(stopped, code=75)
    assert "same command" in err
    second = recorded(tmp_path / "tiny")
    assert first < second

    last = start(study, tmp_path)
    wait_for(len(second) + 1, tmp_path / "tiny", last)
    # A worker that runs trials; the end of Ray's other processes takes the whole node with it.
    os.kill(a_process_of(last.pid, b"ray::ResourceTrainable", b"ray::TrialActor"), signal.SIGKILL)
    _, err = finish(last)
    assert "its worker died, the trial starts again" in err
    ended = sweeper.load_results(tmp_path / "tiny")
    assert comparable(ended) == comparable(results)
    loaded = sweeper.load_results("tiny", tracking_uri=f"sqlite:///{tmp_path / 'tiny' / 'mlflow.db'}")
    assert sorted(loaded.trials["key"].to_pylist()) == sorted(ended.trials["key"].to_pylist())


def test_a_run_folder_of_before_there_were_margins_is_continued(study, whole, results, tmp_path):
    """Its journal and folder know nothing of them: one confirm trial is left to run, and alone has margins."""
    shutil.copytree(whole, tmp_path / "tiny", ignore=shutil.ignore_patterns("outbox", "results", "slots.json"))
    (*old, last) = Journal(whole / "outbox").records()
    assert last.stage == "confirm"
    log = ChecksummedLog(tmp_path / "tiny" / "outbox" / "trials.log")
    log.path.parent.mkdir()
    for record in old:
        data = json.loads(record.to_json())
        del data["margins"], data["reliability"]
        log.append(record.key, json.dumps(data))
    finish(start(study, tmp_path))
    again = sweeper.load_results(tmp_path / "tiny")
    assert {*again.margins["key"].to_pylist()} == {*again.reliability["key"].to_pylist()} == {last.key}
    assert again.scores.equals(results.scores)
    assert comparable(again)["epochs"].equals(comparable(results)["epochs"])
    assert "slot" not in again.meta, "what the trials of before took is not known"
