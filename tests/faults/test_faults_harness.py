"""The harness must notice what it is there to notice."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pytest

from sweeper.tracking.log import ChecksummedLog
from tests.faults import damage, ledger
from tests.faults.mlflow_server import Tracked
from tests.faults.playing import Story, Strike
from tests.faults.processes import Marked
from tests.faults.small_disk import FILLER, SmallDisk, can_mount
from tests.faults.study import Place
from tests.faults.verdict import Ended, Verdict, compare, journal_lines, remains

KEYS = ("a", "b")


def ended(**changes) -> Ended:
    tables = {
        "trials": pa.table({"key": [*KEYS], "objective": [0.25, 0.5]}),
        "scores": pa.table({"key": [*KEYS], "value": [0.125, None]}),
    }
    content = {key: {"status": "FINISHED", "params": {"lr": "1"}, "metrics": {"iou": [(1, 0.5)]}} for key in KEYS}
    tracked = Tracked(Counter(KEYS), 1, Counter(dice=1), content)
    return dataclasses.replace(Ended(tables, Counter(KEYS), tracked), **changes)


def test_equal_runs_are_equal():
    assert compare(ended(), ended()) == Verdict(0, 0, ())


def test_a_trial_lost_anywhere_is_found():
    less = {name: table.slice(0, 1) for name, table in ended().tables.items()}
    tracked = dataclasses.replace(ended().tracked, trials=Counter("a"))
    for place, found in (
        ("results", ended(tables=less)),
        ("journal", ended(journal=Counter("a"))),
        ("MLflow", ended(tracked=tracked)),
    ):
        verdict = compare(found, ended())
        assert (verdict.lost, verdict.twice) == (1, 0)
        assert f"{place}: trial b is lost" in verdict.problems


def test_a_trial_recorded_twice_anywhere_is_found():
    more = {
        "trials": pa.table({"key": ["a", "b", "b"], "objective": [0.25, 0.5, 0.5]}),
        "scores": ended().tables["scores"],
    }
    tracked = dataclasses.replace(ended().tracked, trials=Counter("abb"))
    for place, found in (
        ("results", ended(tables=more)),
        ("journal", ended(journal=Counter("abb"))),
        ("MLflow", ended(tracked=tracked)),
    ):
        verdict = compare(found, ended())
        assert (verdict.lost, verdict.twice) == (0, 1)
        assert f"{place}: trial b stands there 2 times" in verdict.problems


def test_a_trial_nobody_planned_is_found():
    assert compare(ended(journal=Counter("abc")), ended()).twice == 1


def test_the_last_bit_of_a_score_counts():
    tables = {**ended().tables, "scores": pa.table({"key": [*KEYS], "value": [0.125 + 2**-55, None]})}
    assert compare(ended(tables=tables), ended()).problems == ("results: the table scores differs in value",)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("metrics", {}, "the metrics of trial a differ in iou"),
        ("metrics", {"iou": [(1, 0.5), (1, 0.5)]}, "the metrics of trial a differ in iou"),
        ("params", {"lr": "2"}, "the params of trial a differ in lr"),
        ("status", "RUNNING", "the status of trial a differ: RUNNING instead of FINISHED"),
    ],
)
def test_whatever_differs_in_mlflow_is_found(part, value, said):
    content = {**ended().tracked.content}
    content["a"] = {**content["a"], part: value}
    tracked = dataclasses.replace(ended().tracked, content=content)
    assert compare(ended(tracked=tracked), ended()).problems == (f"MLflow: {said}",)


def test_doubled_runs_of_study_and_family_are_found():
    tracked = dataclasses.replace(ended().tracked, studies=2, families=Counter(dice=2))
    studies, families = compare(ended(tracked=tracked), ended()).problems
    assert "2 runs of the study" in studies
    assert "{'dice': 2} instead of {'dice': 1}" in families


def test_a_line_the_journal_holds_twice_is_counted_though_its_reader_hides_it(tmp_path):
    log = ChecksummedLog(tmp_path / "trials.log")
    log.append("a", "1")
    content = log.path.read_bytes()
    log.path.write_bytes(content + content)
    assert ChecksummedLog(log.path).keys() == ["a"]
    assert journal_lines(log.path) == Counter(a=2)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.remove()


@pytest.mark.parametrize(
    "name",
    [
        "results/.trials.parquet.x1.tmp", ".meta.json.x1.tmp", "outbox/trials.log.sound", "checkpoints/k/last.pt",
        "checkpoints/k/last.pt.corrupt", ".tune", "trials/k/outcome.json", "trials/k/trouble.txt",
        "../.data/f/.meta.json.x1.tmp",
    ],
)  # fmt: skip
def test_what_is_left_behind_is_found(place, name):
    assert remains(place) == []
    path = place.run / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert any(line.endswith(str(path.name)) for line in remains(place))


def test_processes_are_found_by_their_mark_alone_and_their_children_too():
    own, other = Marked(), Marked()
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=marked.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for marked in (own, other)
    ]
    try:
        for process in processes:
            process.stdout.readline()
        assert processes[0].pid in own.find()
        assert len(own.find()) == 2
        assert own.find((b"no such program",)) == []
        assert set(own.find()).isdisjoint(other.find())
        own.kill()
        assert own.wait_until_gone(10) == []
        assert len(other.find()) == 2
        assert len(other.wait_until_gone(0)) == 2
    finally:
        other.kill()
        for process in processes:
            process.communicate()


@pytest.mark.parametrize("harm", [damage.flip, damage.cut, damage.flip_or_cut, damage.tear_last_line])
def test_damage_always_damages(harm, tmp_path):
    content = b"first line\nsecond line\n"
    for dice in range(200):
        path = tmp_path / "file"
        path.write_bytes(content)
        said = harm(path, random.Random(dice))
        assert path.read_bytes() != content, said


def test_a_torn_line_is_torn_within(tmp_path):
    for dice in range(200):
        path = tmp_path / "file"
        path.write_bytes(b"first\nsecond\n")
        damage.tear_last_line(path, random.Random(dice))
        assert path.read_bytes().startswith(b"first\ns")


def test_a_full_disk_is_full_and_is_freed(tmp_path):
    if (reason := can_mount(tmp_path / "tried")) is not None:
        pytest.skip(reason)
    disk = SmallDisk(tmp_path / "disk")
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "more").write_bytes(b"x" * 5000)
        disk.free()
        assert not (disk.folder / FILLER).exists()
        (disk.folder / "more").write_bytes(b"x" * 5000)
    finally:
        disk.unmount()


def entry(number: int, kinds: tuple[str, ...], problems: tuple[str, ...] = (), **counts: int) -> ledger.Entry:
    story = Story([Strike(kind, "", 1, 1.0, 0) for kind in kinds], [0], list(problems), 7.0)
    verdict = Verdict(counts.get("lost", 0), counts.get("twice", 0), ())
    return ledger.Entry.of(4, number, "2026-01-02T03:04:05+00:00", story, verdict, [])


def test_verdicts_survive_the_end_of_the_run_at_any_byte(tmp_path):
    path = tmp_path / "runs" / "verdicts.jsonl"
    first, second = entry(1, ("raylet killed",)), entry(2, ("disk full", "outbox torn"), ("gone",), lost=1)
    ledger.append(path, first)
    ledger.append(path, second)
    assert ledger.read(path, 4) == [first, second]
    assert ledger.read(path, 5) == []
    content = path.read_bytes()
    for cut in range(content.index(b"\n") + 1, len(content) - 1):
        path.write_bytes(content[:cut])
        assert ledger.read(path, 4) == [first]
        ledger.append(path, second)
        assert second in ledger.read(path, 4)


def test_the_table_counts_injections_and_what_became_of_them():
    entries = [
        entry(1, ("raylet killed", "raylet killed", "outbox torn")),
        entry(2, ("raylet killed",), ("results: trial x is lost",), lost=2, twice=1),
    ]
    found = {row.kind: row for row in ledger.rows(entries)}
    assert found["raylet killed"] == ledger.Row("raylet killed", 3, 2, 2, 1)
    assert found["outbox torn"] == ledger.Row("outbox torn", 1, 1, 0, 0)
    assert found["disk full"].injected == 0
    assert found["all"] == ledger.Row("all", 4, 3, 2, 1)
    page = ledger.markdown(json.loads(json.dumps(ledger.facts(4, entries, {"ray": "9.9"}))))
    assert "| **all** | **4** | **3** | **2** | **1** |" in page
    assert "make faults SEED=4 STUDY=2" in page
    assert "ray 9.9" in page
