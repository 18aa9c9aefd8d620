"""Every check of the doctor's finds what is wrong in a world that is broken on purpose, and passes one that is not."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.data.prepare import prepare
from sweeper.files import write_text
from sweeper.orchestration.checks import machine, ray_nodes, run_folder, storage, tracking
from sweeper.orchestration.checks.finding import Finding
from sweeper.orchestration.folder import Lease, RunFolder
from sweeper.orchestration.meta import build_meta
from sweeper.results.assemble import assemble
from sweeper.results.parquet import save
from sweeper.results.record import Score, TrialRecord
from sweeper.search.sweep import Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan
from sweeper.tracking.journal import Journal
from sweeper.tracking.log import ChecksummedLog
from sweeper.tracking.uri import resolve, target_id

GB = 1000**3
KEYS = [letter * 20 for letter in "abcd"]


def fields_of(finding: Finding) -> tuple[str, str]:
    assert (finding.status != "problem") or finding.fix, "every problem says what to do"
    return finding.status, finding.text


# The machine


@pytest.mark.parametrize(("running", "status"), [("3.11.0", "ok"), ("3.14.0rc1", "ok"), ("3.10.9", "problem")])
def test_python(running, status):
    assert machine.python_version(running, ">=3.11").status == status


def test_packages():
    required = ["torch>=2.6", "ray[tune]>=2.54", 'pytest>=8; extra == "dev"', 'winpty; sys_platform == "win32"']
    have = {"torch": "2.15.0+cpu", "ray": "2.60.0"}
    assert fields_of(machine.packages(required, have.get)) == ("ok", "all 2 as asked for")
    status, text = fields_of(machine.packages(required, {**have, "torch": "2.5.1"}.get))
    assert (status, text) == ("problem", "torch is 2.5.1 (>=2.6 is asked for)")
    assert "ray is not installed" in machine.packages(required, {"torch": "3.0"}.get).text


def test_installed_versions_are_those_of_the_environment():
    assert machine.installed_version("torch") == torch.__version__.partition("+")[0]
    assert machine.installed_version("no-such-package") is None


def test_clock():
    now = time.time()
    assert machine.clock(now, 0.01).status == "ok"
    assert machine.clock(0.0, 0.0).status == "problem"
    assert fields_of(machine.clock(now, -90.0)) == ("note", "the file server's is -90 s off")
    assert "could not be checked" in machine.clock(now, None).text


def test_open_files():
    assert machine.open_files(1024, 65536).status == "ok"
    assert fields_of(machine.open_files(1024, 1024))[0] == "note"


def test_memory():
    assert machine.memory(16.0 * GB, 4).status == "ok"
    assert fields_of(machine.memory(3.0 * GB, 4)) == ("note", "3.0 GB free, 4 trials at once need about 4.6 GB")
    assert fields_of(machine.memory(1.0 * GB, 4))[0] == "problem"
    assert "could not be checked" in machine.memory(None, 4).text


def test_free_memory_is_that_of_the_machine_or_of_the_container(tmp_path):
    proc, group = tmp_path / "proc", tmp_path / "cgroup"
    assert machine.available_memory(proc, group) is None
    write_text(proc / "meminfo", "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n")
    assert machine.available_memory(proc, group) == 1000 * 1024
    write_text(group / "memory.max", "max\n")
    write_text(group / "memory.current", "600\n")
    write_text(group / "memory.stat", "anon 1\ninactive_file 100\n")
    assert machine.available_memory(proc, group) == 1000 * 1024
    write_text(group / "memory.max", "900\n")
    assert machine.available_memory(proc, group) == 900 - (600 - 100)


def test_shared_memory():
    assert machine.shared_memory(8 * GB).status == "ok"
    assert fields_of(machine.shared_memory(64 * 2**20))[0] == "note"
    assert machine.shared_memory(None).status == "note"


def test_disk():
    here = Path("/runs")
    assert machine.disk(50.0 * GB, 10**6, here, None).status == "ok"
    assert machine.disk(5.0 * GB, None, here, None).status == "note"
    assert fields_of(machine.disk(0.5 * GB, None, here, None))[0] == "problem"
    assert machine.disk(5.0 * GB, None, here, 4.0 * GB).status == "ok"
    assert "still needs about 6.0 GB" in machine.disk(5.0 * GB, None, here, 6.0 * GB).text
    assert machine.disk(5.0 * GB, None, here, 6.0 * GB).status == "problem"
    assert "only 7 more files" in machine.disk(50.0 * GB, 7, here, None).text


def test_free_disk_is_that_of_the_folder(tmp_path):
    free, inodes = machine.free_disk(tmp_path)
    assert free > 0
    assert inodes is None or inodes > 0
    assert machine.total_disk(tmp_path) >= free


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (machine.Gpus(("H200", "H200"), "13.0", None, 2), "ok", "2 × H200"),
        (machine.Gpus(("H200",), "13.0", "no kernel image", 1), "problem", "no kernel image"),
        (machine.Gpus((), None, None, 2), "problem", "built without CUDA"),
        (machine.Gpus((), "13.0", None, 1), "problem", "built for CUDA 13.0"),
        (machine.Gpus((), "13.0", None, 0), "note", "run on the CPU"),
    ],
)
def test_gpu(found, status, said):
    assert fields_of(machine.torch_gpus(found))[0] == status
    assert said in machine.torch_gpus(found).text


def test_a_gpu_that_cannot_compute_is_seen(monkeypatch):
    def fail(*unused, **options):
        raise RuntimeError("CUDA error: no kernel image is available\nand more")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "H200")
    monkeypatch.setattr(torch, "ones", fail)
    found = machine.see_gpus()
    assert (found.names, found.error) == (("H200",), "CUDA error: no kernel image is available")


# The folder of runs


def test_a_good_folder_is_tried_and_left_as_it_was(tmp_path):
    tried = storage.try_out(tmp_path / "runs" / "deep")
    assert (tried.where, tried.error, tried.no_locks) == (tmp_path, None, None)
    assert tried.ahead is not None
    assert abs(tried.ahead) < 5
    assert list(tmp_path.iterdir()) == []
    assert storage.writable(tried).status == storage.locks(tried).status == "ok"


def test_a_file_in_the_way_and_a_full_disk_are_problems(tmp_path, monkeypatch):
    (tmp_path / "runs").touch()
    tried = storage.try_out(tmp_path / "runs")
    assert fields_of(storage.writable(tried)) == (
        "problem",
        f"{tmp_path / 'runs'}: cannot be written (Not a directory)",
    )
    assert "could not be checked" in storage.locks(tried).text

    def full(*unused):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_text", full)
    assert "No space left" in storage.writable(storage.try_out(tmp_path)).text
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_disk_that_returns_other_bytes_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "write_text", lambda path, text: path.write_text("zero"))
    assert storage.writable(storage.try_out(tmp_path)).status == "problem"


def test_a_file_system_without_locks_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *unused: None)
    assert "can be locked again" in fields_of(storage.locks(storage.try_out(tmp_path)))[1]

    def refuse(*unused):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert fields_of(storage.locks(storage.try_out(tmp_path)))[0] == "problem"


# MLflow


@contextmanager
def serving(version: str | None, ahead: float = 0.0) -> Iterator[str]:
    """An MLflow server that says this version at this clock."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/version" and version is not None
            body = (version if known else "{}").encode()
            self.send_response_only(200 if known or "experiments" in self.path else 404)
            self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *unused: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("version", "ahead", "status", "said"),
    [
        ("3.17.2", 0.0, "ok", "MLflow 3.17.2"),
        ("3.10.0", 0.0, "note", "with known holes"),
        ("3.17.2", 3600.0, "note", " s off"),
        (None, 0.0, "note", "could not be checked"),
        ("<html>hello</html>", 0.0, "note", "could not be checked"),
    ],
)
def test_a_server_says_its_version(version, ahead, status, said):
    with serving(version, ahead) as uri:
        found = tracking.tracking(uri, own=False)
    assert (found.status, said in found.text) == (status, True), found


def test_a_server_that_does_not_answer_is_a_problem_without_its_password():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    found = tracking.tracking(f"http://user:secret@127.0.0.1:{port}", own=False)
    assert fields_of(found)[0] == "problem"
    assert "secret" not in found.to_text()
    assert "connection refused" in found.text
    assert "start it" in str(found.fix)


def test_a_store_in_the_run_folder_needs_no_server(tmp_path):
    assert tracking.tracking(resolve(None, tmp_path), own=True).status == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to look at" * 10)
    assert fields_of(tracking.tracking(resolve(None, tmp_path), own=True))[0] == "problem"


# Ray


def node(**fields: object) -> dict[str, object]:
    return {"address": "10.0.0.1", "gpus": 0.0, "host": "one", "versions": {"ray": "2.60.0"}, "error": None,
            "read_back": True, **fields}  # fmt: skip


def ray_world(*nodes: dict[str, object], gpus: float = 0.0) -> dict[str, object]:
    return {"seconds": 2.0, "version": "2.60.0", "cpus": 2.0, "gpus": gpus, "nodes": list(nodes)}


def statuses(found: dict[str, object], address: str | None = None, gpus: int | None = 0) -> dict[str, str]:
    findings = list(ray_nodes.judge(found, address, {"ray": "2.60.0"}, gpus))
    for one in findings:
        fields_of(one)
    return {one.check: one.status for one in findings}


def test_ray_with_nodes_that_all_write_is_well():
    assert statuses(ray_world(node())) == {"Ray": "ok", "nodes": "ok"}
    assert statuses(ray_world(node(), node(host="two")), "auto", None) == {"Ray": "ok", "nodes": "ok"}


def test_ray_that_cannot_be_had_is_a_problem_and_its_nodes_are_not_known():
    assert statuses({"error": "no"}) == {"Ray": "problem", "nodes": "note"}
    (found, _) = ray_nodes.judge({"error": "no"}, "10.0.0.9:6379", {}, None)
    assert "10.0.0.9:6379" in found.text


@pytest.mark.parametrize(
    "wrong",
    [{"error": "Permission denied"}, {"read_back": False}, {"error": "no answer within 12 seconds", "host": ""}],
)
def test_a_node_that_does_not_share_the_folder_is_a_problem(wrong):
    assert statuses(ray_world(node(), node(**wrong)), "auto")["nodes"] == "problem"


def test_a_gpu_that_ray_does_not_see_is_a_problem():
    assert statuses(ray_world(node()), gpus=1)["Ray and GPU"] == "problem"
    assert "Ray and GPU" not in statuses(ray_world(node(), gpus=1.0), gpus=1)
    assert "Ray and GPU" not in statuses(ray_world(node(), gpus=8.0), "auto", gpus=0), "the cluster's are elsewhere"


def test_nodes_of_other_versions_are_a_problem():
    assert statuses(ray_world(node(versions={"ray": "2.54.0"})), "auto")["versions of nodes"] == "problem"


def test_what_the_probe_says_last_counts():
    assert ray_nodes.read_answer('warning\n{"version": "2"}\n', "") == {"version": "2"}
    assert ray_nodes.read_answer("", "Traceback\nOSError: no") == {"error": "OSError: no"}
    assert ray_nodes.read_answer("[]", "") == {"error": "it ended without a word"}


def test_a_probe_that_hangs_is_ended(tmp_path):
    assert "no answer within" in ray_nodes.ask_ray(tmp_path, None, 0.1)["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_private_ray_writes_and_leaves_nothing(tmp_path):
    found = ray_nodes.ask_ray(tmp_path / "runs", None, 120.0)
    assert statuses(found, gpus=None)["nodes"] == "ok"
    assert list(tmp_path.iterdir()) == []


# A run folder


def record(key: str, **fields: object) -> TrialRecord:
    known = {
        "key": key, "study": "tiny", "family": "dice", "loss_level": "region", "overlap": "overlap-aware",
        "tradeoff": "symmetric", "hyperparameters": {}, "is_default": True, "stage": "confirm", "number": None,
        "level": 0.97, "seed": 1000, "status": "completed", "epochs": 1, "planned_epochs": 1, "objective": 0.5,
        "seconds": 1.0, "scores": (Score("test", "argmax", None, "(minority)", "iou", 0.4),),
    }  # fmt: skip
    return TrialRecord(**{**known, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def meta(tmp_path_factory) -> dict[str, Any]:
    """What a finished study of two trials says about itself."""
    study = load_study({"name": "tiny", "families": ["dice"], "data": {"patch": 32, "limit": 16, "scans": 10}})
    data = prepare(study.data, tmp_path_factory.mktemp("data"))
    return {**build_meta(Sweep(make_plan(study, data.fingerprint)), data), "trials": KEYS[:2]}


@pytest.fixture
def folder(meta, tmp_path) -> RunFolder:
    """A finished study of two trials, all of them delivered."""
    made = RunFolder(tmp_path / "runs" / "tiny")
    made.create()
    write_text(made.study, load_study(meta["study"]).to_yaml())
    write_text(made.meta, json.dumps({"name": "tiny", "tracking_uri": None, "experiment": "tiny", "meta": meta}))
    journal = Journal(made.outbox)
    for key in KEYS[:2]:
        journal.append(record(key))
        journal.mark_delivered(own_target(made), key)
    save(assemble(journal.records(), meta), made.results)
    return made


def own_target(folder: RunFolder) -> str:
    return target_id(resolve(None, folder.path), "tiny")


def all_findings(folder: RunFolder) -> list[Finding]:
    return [
        run_folder.files(folder), run_folder.lease(folder)[0], *run_folder.outbox(folder, False),
        *run_folder.deliveries(folder, False), run_folder.results(folder), run_folder.corrupt(folder),
        *run_folder.orphans(folder, True),
    ]  # fmt: skip


def test_a_whole_folder_is_well_and_stays_as_it_was(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    assert {one.status for one in all_findings(folder)} == {"ok"}
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


def test_study_files(folder):
    folder.meta.write_text("{")
    assert fields_of(run_folder.files(folder))[0] == "problem"
    write_text(folder.meta, json.dumps({"name": "other", "tracking_uri": None, "experiment": "x", "meta": {}}))
    assert "'other'" in fields_of(run_folder.files(folder))[1]
    folder.study.write_text("families: 3\n")
    assert "study.yaml" in fields_of(run_folder.files(folder))[1]


def test_versions_of_the_study():
    assert run_folder.versions_changed({"torch": "2.0"}, {"torch": "2.0"}).status == "ok"
    assert "torch 2.0, now 2.1" in run_folder.versions_changed({"torch": "2.0"}, {"torch": "2.1"}).text


def test_lease(folder):
    with Lease(folder):
        found, driven = run_folder.lease(folder)
        assert (found.status, driven) == ("note", True)
        assert f"process {os.getpid()}" in found.text
    found, driven = run_folder.lease(folder)
    assert (found.status, driven) == ("ok", False)
    with Lease(folder):
        pass  # looking did not keep anyone out


def test_a_lease_whose_holder_is_gone_is_a_problem(folder):
    with Lease(folder):
        holder = json.loads(folder.driver.read_text())
        folder.driver.write_text(json.dumps({**holder, "pid": 2**22 + 1}))  # more than any system gives
        found, driven = run_folder.lease(folder)
        assert (fields_of(found)[0], driven) == ("problem", True)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 3}', '{"host": "x", "pid": "y", "since": 0}'])
def test_a_lease_that_says_nothing_is_still_a_lease(folder, content):
    with Lease(folder):
        folder.driver.write_text(content)
        assert run_folder.lease(folder)[1]


def test_outbox(folder):
    log = folder.outbox / "trials.log"
    whole = log.read_bytes()
    log.write_bytes(whole[:-30])
    (found,) = run_folder.outbox(folder, False)
    assert fields_of(found)[0] == "problem"
    (found,) = run_folder.outbox(folder, True)
    assert found.status == "note", "a run may be writing that line"
    log.write_bytes(whole)
    (folder.outbox / "trials.log.damaged").write_bytes(b"x" * 61_000)
    found, aside = run_folder.outbox(folder, False)
    assert (found.status, aside.status) == ("ok", "note")
    assert "61 KB" in aside.text


def test_a_line_of_the_outbox_that_is_no_trial_is_a_problem(folder):
    ChecksummedLog(folder.outbox / "trials.log").append(KEYS[3], "{}")
    (found,) = run_folder.outbox(folder, False)
    assert fields_of(found)[0] == "problem"
    assert KEYS[3] in found.text


def test_deliveries(folder):
    Journal(folder.outbox).append(record(KEYS[2]))
    (found,) = run_folder.deliveries(folder, False)
    assert found.status == "note"
    assert found.text.startswith("1 of 3 trials are not at sqlite:")
    assert found.fix == f"sweeper sync {folder.path}"
    (found,) = run_folder.deliveries(folder, True)
    assert "on their way" in found.text
    Journal(folder.outbox).mark_delivered("0123456789abcdef", KEYS[0])
    _, other = run_folder.deliveries(folder, False)
    assert "2 of 3 trials are not at another address (id 0123456789abcdef)" in other.text


def test_results(folder):
    file = folder.results / "scores.parquet"
    content = bytearray(file.read_bytes())
    Journal(folder.outbox).append(record(KEYS[2]))
    assert "1 recorded trials are not in them" in run_folder.results(folder).text
    file.write_bytes(content[: len(content) // 2])
    assert fields_of(run_folder.results(folder))[0] == "problem"
    file.unlink()
    assert fields_of(run_folder.results(folder))[0] == "problem"
    (folder.results / "trials.parquet").unlink()
    assert run_folder.results(folder).status == "note"


def test_results_of_trials_that_the_outbox_has_lost_are_a_problem(folder, meta):
    save(assemble([record(key) for key in KEYS], {**meta, "trials": KEYS}), folder.results)
    assert "2 of their 4 trials are not in the outbox" in fields_of(run_folder.results(folder))[1]


@pytest.mark.parametrize(
    "left",
    [
        f"checkpoints/{KEYS[0]}/last.pt",  # of a recorded trial
        f"checkpoints/{KEYS[3]}/last.pt",  # of a trial that a finished study does not need
        f"trials/{KEYS[3]}/model.pt",
        f"panels/{KEYS[3]}.npz",
        "results/.trials.parquet.a1b2c3d4.tmp",
        ".tune/x/y",
    ],
)
def test_leftovers(folder, left):
    write_text(folder.path / left, "x" * 1000)
    (found,) = run_folder.orphans(folder, True)
    assert found.status == "note"
    assert found.text.startswith("1.0 KB that nothing needs: ")
    assert "/".join(left.split("/")[:2]) in found.text or left.split("/")[0] in found.text


def test_what_is_needed_is_no_leftover(folder):
    for name in (f"trials/{KEYS[0]}/model.pt", f"panels/{KEYS[0]}.npz", "panels/patches_0123.npz"):
        write_text(folder.path / name, "x")
    assert [one.status for one in run_folder.orphans(folder, True)] == ["ok"]


def test_what_waits_is_told_apart_from_leftovers(folder):
    write_text(folder.checkpoints / KEYS[3] / "last.pt", "x")
    write_text(folder.trials / KEYS[2] / "outcome.json", "{}")
    clean, begun, ended = run_folder.orphans(folder, False)
    assert (clean.status, begun.status, ended.status) == ("ok", "note", "note")
    assert "1 trials wait to be continued" in begun.text
    assert "1 trials ended while no run listened" in ended.text


def test_models(folder):
    assert list(run_folder.models(folder)) == []
    weights = folder.trials / KEYS[0] / "model.pt"
    write_text(weights, "weights")
    said = {"channels": 3, "classes": [], "background": 0, "offset": 0.0, "patch": 32}
    digest = hashlib.sha256(b"weights").hexdigest()
    write_text(weights.with_name("model.json"), json.dumps({**said, "sha256": digest}))
    assert [one.status for one in run_folder.models(folder)] == ["ok"]
    weights.write_text("weighty")
    (found,) = run_folder.models(folder)
    assert fields_of(found) == ("problem", f"{weights}: is damaged (its digest is not the one in model.json)")
    weights.unlink()
    (found,) = run_folder.models(folder)
    assert fields_of(found)[0] == "problem"


def test_damage(folder):
    write_text(folder.checkpoints / KEYS[3] / "last.pt.corrupt", "x")
    found = run_folder.corrupt(folder)
    assert (found.status, "last.pt.corrupt" in found.text) == ("note", True)


def test_prepared_data(folder):
    where = folder.path.parent / ".data" / ("f" * 16)
    assert "is gone" in run_folder.data(folder, where.name).text
    write_text(where / "meta.json", "{")
    assert fields_of(run_folder.data(folder, where.name))[0] == "problem"


def test_errors_become_problems_with_their_own_fix():
    from sweeper.errors import RunFolderError

    found = run_folder.of_error("x", RunFolderError("a; b; do c"), "else")
    assert (found.text, found.fix) == ("a; b", "do c")
    assert run_folder.of_error("x", RunFolderError("nothing to do"), "else").fix == "else"
    assert dataclasses.replace(found, fix=None).to_text() == "problem x: a; b"
