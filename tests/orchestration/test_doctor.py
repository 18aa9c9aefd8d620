"""`sweeper doctor` as a whole: every check is made or said not to be, whatever hangs, and the exit code tells."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from sweeper.cli import main
from sweeper.data.prepare import prepare
from sweeper.errors import RunFolderError, UserError
from sweeper.files import write_text
from sweeper.orchestration import doctor
from sweeper.orchestration.checks import machine, ray_nodes, storage
from sweeper.orchestration.doctor import examine, patient
from sweeper.study.load import load_study

RAY = {
    "seconds": 1.0,
    "version": "2.60.0",
    "cpus": 2.0,
    "gpus": 0.0,
    "nodes": [{"address": "127.0.0.1", "host": "here", "versions": {}, "error": None, "read_back": True}],
}


@pytest.fixture(autouse=True)
def healthy(monkeypatch):
    """A Ray and a torch that answer at once; both are tried for real elsewhere."""
    monkeypatch.setattr(ray_nodes, "ask_ray", lambda folder, address, seconds: RAY)
    monkeypatch.setattr(machine, "see_gpus", lambda: machine.Gpus((), None, None, 0))


@pytest.fixture
def study(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text("families: [dice]\ndata: {scans: 10, patch: 32, limit: 16}\n")
    return path


def by_check(*arguments, **options) -> dict[str, str]:
    return {one.check: one.status for one in examine(patient(*arguments), **options)}


MACHINE = [
    "Python", "packages", "open files", "memory", "shared memory", "folder", "locks", "clock", "disk", "MLflow", "GPU",
    "Ray", "nodes",
]  # fmt: skip


def test_the_machine_is_looked_at_the_quick_checks_first(tmp_path):
    found = by_check(None, tmp_path / "runs")
    assert list(found) == MACHINE
    assert "problem" not in found.values()
    assert list(tmp_path.iterdir()) == []


def test_a_study_adds_its_data_and_resources(study, tmp_path):
    found = by_check(study, tmp_path / "runs")
    assert set(found) - set(MACHINE) == {"data", "resources", "disk of the study"}
    assert found["disk of the study"] == "note", "its data is not prepared"
    study.write_text("families: [dice]\nresources: {gpu: 1}\n")
    assert by_check(study, tmp_path)["resources"] == "problem", "this Ray has no GPU"
    study.write_text("families: [dice]\ndata: {source: folder, images: gone, masks: gone, classes: gone.json}\n")
    assert by_check(study, tmp_path)["data"] == "problem"
    study.write_text("families: [dize]\n")
    assert by_check(study, tmp_path)["study"] == "problem"


def test_a_study_that_has_a_run_folder_gets_it_looked_at(study, tmp_path):
    (tmp_path / "runs" / "tiny" / "outbox").mkdir(parents=True)
    found = by_check(study, tmp_path / "runs")
    assert {"study files", "lease", "outbox", "results", "leftovers"} <= set(found)
    assert by_check(tmp_path / "runs" / "tiny", tmp_path)["study files"] == "problem", "it has no study.yaml"


def test_what_a_prepared_study_still_takes_of_the_disk_is_worked_out(study, tmp_path, monkeypatch):
    data = prepare(load_study(study).data, tmp_path / "runs" / ".data")
    folder = tmp_path / "runs" / "tiny"
    write_text(folder / "meta.json", json.dumps({
        "name": "tiny", "tracking_uri": None, "experiment": "tiny",
        "meta": {"data": {"fingerprint": data.fingerprint}, "versions": {}, "trials": None},
    }))  # fmt: skip
    write_text(folder / "study.yaml", load_study(study).to_yaml())
    assert by_check(study, tmp_path / "runs")["disk of the study"] == "ok"
    monkeypatch.setattr("sweeper.orchestration.footprint.free_bytes", lambda folder: 1_000_000)
    assert by_check(folder, tmp_path)["disk of the study"] == "problem"


def test_a_run_folder_is_asked_for_its_address_without_the_stars_of_a_password(study, tmp_path):
    folder = tmp_path / "runs" / "tiny"
    identity = {"name": "tiny", "tracking_uri": "http://host:5000", "experiment": "tiny", "meta": {}}
    write_text(folder / "meta.json", json.dumps(identity))
    study.write_text("families: [dice]\ntracking: {uri: 'http://user:***@host:5000'}\n")
    write_text(folder / "study.yaml", load_study(study).to_yaml())
    assert patient(folder, tmp_path).uri == "http://host:5000"
    assert patient(study, tmp_path).uri == "http://user:***@host:5000"


def test_what_is_neither_study_nor_run_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        patient(tmp_path / "gone.yaml", tmp_path)
    with pytest.raises(RunFolderError, match="is no run folder"):
        patient(tmp_path, tmp_path)


def test_whatever_hangs_is_given_up_and_named_and_the_rest_is_looked_at(tmp_path, monkeypatch):
    never, before = threading.Event(), threading.active_count()

    def hang(*unused):
        never.wait()

    monkeypatch.setattr(doctor, "QUICK", 0.05)
    monkeypatch.setattr(doctor, "SLOW", 0.05)
    monkeypatch.setattr(storage, "try_out", hang)
    monkeypatch.setattr(machine, "see_gpus", hang)
    monkeypatch.setattr("sweeper.orchestration.checks.tracking.check", hang)
    findings = {one.check: one for one in examine(patient(None, tmp_path))}
    never.set()
    assert findings["folder"].status == "problem"
    for check in ("MLflow", "GPU"):
        assert findings[check].status == "note"
        assert "no answer within" in findings[check].text
    assert findings["Ray"].status == "ok"
    assert "could not be checked" in findings["nodes"].text, "nothing is known of the folder they wrote into"
    assert before >= 1


def test_a_check_that_breaks_is_named_and_the_rest_is_looked_at(tmp_path, monkeypatch):
    def broken(*unused):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(machine, "open_files", broken)
    monkeypatch.setattr(ray_nodes, "ask_ray", broken)
    findings = {one.check: one for one in examine(patient(None, tmp_path))}
    assert findings["limits"].text == "could not be checked: ZeroDivisionError: by zero"
    assert findings["Ray"].status == "problem"
    assert findings["nodes"].status == "note"
    assert findings["disk"].status in ("ok", "note")


def test_all_time_together_is_bounded():
    clock = doctor._Clock(0.0)
    assert clock.left == 1.0
    asked = []
    assert clock.take(100.0, lambda: asked.append(1) or "made") == "made"
    never = threading.Event()
    assert clock.take(100.0, never.wait) == "no answer within 1 seconds"
    never.set()


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sweeper", "doctor", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_the_command_prints_a_line_per_check_and_returns_0_1_or_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys)
    assert (code, err) == (0, "")
    assert [line.split()[0] in ("ok", "note") for line in out.splitlines()] == [True] * len(MACHINE)
    assert "ok      locks: files can be locked" in out
    assert "\x1b" not in out, "plain where there is no terminal"
    (tmp_path / "runs").touch()
    code, out, _ = command(monkeypatch, capsys)
    assert code == 1
    assert "problem folder:" in out
    assert "give another with --out" in out
    assert command(monkeypatch, capsys, "gone.yaml")[0] == 2


def test_the_command_answers_in_json(tmp_path, monkeypatch, capsys):
    code, out, _ = command(monkeypatch, capsys, "--json", "--out", str(tmp_path), "--tracking-uri", "http://[")
    answer = json.loads(out)
    assert (code, answer["problems"]) == (1, 1)
    assert [one["check"] for one in answer["findings"]] == MACHINE
    (wrong,) = [one for one in answer["findings"] if one["status"] == "problem"]
    assert (wrong["check"], bool(wrong["fix"])) == ("MLflow", True)
