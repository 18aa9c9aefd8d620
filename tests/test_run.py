"""The main job, from a study file to a report, through the command line: whole, repeated, and killed half-way."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sweeper
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.publish import sync_run
from sweeper.orchestration.stopping import ANNOUNCEMENT
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

WORKER = (b"ray::ResourceTrainable", b"ray::TrialActor")
"""What a process that runs trials calls itself."""

MEASURED = ["seconds", "started"]
"""Columns that differ from run to run; all others must not."""


def start(study: Path, out: Path, *words: str, stderr: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeper.cli", "run", str(study), "--out", str(out), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err, err
    return out, err


def a_process_of(driver: int, *names: bytes) -> int:
    """Wait for a process below the driver whose command line holds one of `names`, and return it."""
    deadline = time.monotonic() + 200
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


def living(session: int) -> list[str]:
    """Return the processes of a session that still run, by name."""
    names = []
    for entry in Path("/proc").iterdir():
        try:
            name, _, rest = (entry / "stat").read_text().rpartition(") ")
            state, _, _, own = rest.split()[:4]
        except (OSError, ValueError):
            continue  # no process, or it ended meanwhile
        if int(own) == session and state != "Z":
            names.append(name)
    return names


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


def wait_for_words(file: Path, words: str, process: subprocess.Popen[str]) -> None:
    """Wait until a process has written `words` into the file of its stderr."""
    deadline = time.monotonic() + 200
    while words not in (said := file.read_text()):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def start_sync(folder: RunFolder) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeper.cli", "sync", str(folder.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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


def test_stopped_half_way_it_continues_to_the_same_scores(study, results, tmp_path):
    """SIGTERM, then kill -9 on a worker: no trial twice, none missing, equal numbers. tests/faults kills the driver."""
    stopped = start(study, tmp_path)
    wait_for(4, tmp_path / "tiny", stopped)
    os.kill(stopped.pid, signal.SIGTERM)
    _, err = finish(stopped, code=75)
    assert ANNOUNCEMENT in err
    assert err.endswith(f" run {study} --out {tmp_path}\n"), "the command that continues"
    first = recorded(tmp_path / "tiny")

    last = start(study, tmp_path)
    wait_for(len(first) + 1, tmp_path / "tiny", last)
    # A worker that runs trials; the end of Ray's other processes takes the whole node with it.
    os.kill(a_process_of(last.pid, *WORKER), signal.SIGKILL)
    _, err = finish(last)
    assert "its worker died, the trial starts again" in err
    ended = sweeper.load_results(tmp_path / "tiny")
    assert comparable(ended) == comparable(results)
    loaded = sweeper.load_results("tiny", tracking_uri=f"sqlite:///{tmp_path / 'tiny' / 'mlflow.db'}")
    assert sorted(loaded.trials["key"].to_pylist()) == sorted(ended.trials["key"].to_pylist())


def test_ctrl_c_in_a_terminal_finishes_epochs_and_twice_ends_at_once(study, tmp_path):
    """A terminal sends SIGINT to a whole process group, workers too; these must go on to the end of their epoch."""
    folder = RunFolder(tmp_path / "tiny")
    words = ["--set", "training.steps_per_epoch=12", "--set", "name=tiny"]
    stopped = start(study, tmp_path, *words)
    a_process_of(stopped.pid, *WORKER)
    wait_for(1, folder.path, stopped)

    refused, other = start(study, tmp_path, *words), start_sync(folder)
    for process in (refused, other):
        _, err = finish(process, code=2)
        assert f"another run drives this study (host {socket.gethostname()}, process {stopped.pid}, since 20" in err

    os.killpg(stopped.pid, signal.SIGINT)
    _, err = finish(stopped, code=75)
    assert ANNOUNCEMENT in err
    assert err.endswith(f" run {study} --out {tmp_path} {shlex.join(words)}\n")
    before = recorded(folder.path)
    kept = [path.parent.name for path in folder.checkpoints.glob("*/last.pt")]
    assert kept, "trials much younger than the usual checkpoint"
    assert not {*kept} & before

    said = tmp_path / "said"
    with said.open("w") as file:
        again = start(study, tmp_path, *words, stderr=file)
    worker = a_process_of(again.pid, *WORKER)
    wait_for_words(said, " at once", again)
    os.kill(worker, signal.SIGSTOP)  # its epoch does not end
    os.killpg(again.pid, signal.SIGINT)
    wait_for_words(said, ANNOUNCEMENT, again)
    os.killpg(again.pid, signal.SIGINT)
    again.communicate(timeout=100)
    assert again.returncode == 75
    assert "stopped at once; nothing recorded is lost" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert recorded(folder.path) >= before
    deadline = time.monotonic() + 30
    while left := living(again.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_changed_study_is_refused_and_leaves_all_as_it_was(study, whole):
    before = {path: path.read_bytes() for path in (whole / "study.yaml", whole / "meta.json")}
    for words, told in (
        (["--set", "training.epochs=5"], "training.epochs: 4 → 5"),
        (["--set", "families.tversky.alpha=0.4"], "families.tversky.alpha: "),
        (["--set", "data.scans=11"], "data.scans: 10 → 11"),
    ):
        out, err = finish(start(study, whole.parent, *words), code=2)
        assert out == ""
        assert told in err
        assert "another name (--set name=…)" in err
    assert {path: path.read_bytes() for path in before} == before


def test_an_extended_study_reuses_all_that_is_recorded(study, whole, results, tmp_path):
    shutil.copytree(whole.parent, tmp_path, dirs_exist_ok=True)
    folder = RunFolder(tmp_path / "tiny")
    before = (folder.outbox / "trials.log").read_bytes()
    words = ["--set", "confirm.seeds=3", "--set", "families.lovasz_softmax={}"]
    _, err = finish(start(study, tmp_path, *words))
    assert "extended: families.lovasz_softmax: nothing → " in err
    assert f"None of the {results.trials.num_rows} recorded trials runs again" in err
    assert (folder.outbox / "trials.log").read_bytes().startswith(before)
    more = sweeper.load_results(folder.path)
    keys = more.trials["key"].to_pylist()
    assert len(keys) == len({*keys})
    assert {*results.trials["key"].to_pylist()} < {*keys}
    kept = more.scores.filter(pc.is_in(more.scores["key"], results.trials["key"].combine_chunks()))
    assert sorted(kept.to_pylist(), key=str) == sorted(results.scores.to_pylist(), key=str)
    assert {*more.trials.filter(pc.equal(more.trials["stage"], "confirm"))["seed"].to_pylist()} == {1000, 1001, 1002}


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
