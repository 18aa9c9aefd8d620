"""A recorded trial runs again without Ray, and what comes out is set beside the record."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from sweeper.cli import main
from sweeper.errors import DataError, RunFolderError, UserError
from sweeper.orchestration.cluster import Slots, note_slot
from sweeper.orchestration.driver import Driver
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, Work
from sweeper.orchestration.meta import build_meta
from sweeper.orchestration.publish import target_of, write_identity
from sweeper.orchestration.replay.find import find
from sweeper.orchestration.replay.replay import replay
from sweeper.orchestration.replay.rerun import make_job, nondeterministic_operators
from sweeper.orchestration.run import check
from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Sweep
from sweeper.study.load import load_study
from sweeper.tracking.journal import Journal

LOSSES = """
import torch

def sour(logits, target, *, ignore_index=-100):
    return logits.float().sum() * float("nan")

def scattered(logits, target, *, ignore_index=-100):
    torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2))
    return logits.float().square().mean()
"""

STUDY = {
    "name": "tiny",
    "families": {"cross_entropy": {}, "replayed_losses:sour": {}},
    "data": {"patch": 32, "limit": 16, "scans": 10},
    "imbalance": {"levels": [0.97]},
    "model": {"depth": 3, "decoder_channels": [8, 8, 8]},
    "training": {"epochs": 3, "steps_per_epoch": 2, "batch_size": 4},
    "search": {"trials": 1},
    "confirm": {"seeds": 3},
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """A run folder with trials that completed, that was stopped after two epochs, and that failed."""
    out = tmp_path_factory.mktemp("recorded")
    (out / "replayed_losses.py").write_text(LOSSES)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(out))
        record_study(out)
        yield out / "tiny"


def record_study(out: Path) -> None:
    study = load_study(STUDY)
    checked = check(study, out=out)
    folder = RunFolder(out / study.name)
    folder.create()
    sweep = Sweep(checked.plan)
    write_identity(folder, target_of(study, build_meta(sweep, checked.data), folder))
    note_slot(folder.slots, Slots(1, 0.0, 1), anew=True)
    job = Job(
        trial={}, data=str(checked.folder), folder=str(folder.path), metric=study.search.metric, threads=1,
        device="cpu", keep_model=False, keep_panels=False, driver="",
    )  # fmt: skip
    driver = Driver(sweep, folder, Journal(folder.outbox).append, job, Silent())
    judge = sweep.epoch
    sweep.epoch = lambda key, epoch, value: judge(key, epoch, value) and not (is_search(sweep, key) and epoch == 2)
    while (proposal := driver.propose()) is not None:
        key, one = proposal
        work = Work(one)
        report = work.step()
        while not report.get("done") and driver.epoch(key, report):
            report = work.step()
        driver.ended(key, done=bool(report.get("done")))
        work.close()
    assert sweep.done


def is_search(sweep: Sweep, key: str) -> bool:
    return sweep.running[key].number is not None


def records(folder: Path, **wanted: object) -> list[TrialRecord]:
    return [
        one
        for one in Journal(folder / "outbox").records()
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]


@pytest.fixture
def copied(recorded, tmp_path) -> Path:
    """The run folder with its data, to be damaged."""
    shutil.copytree(recorded.parent, tmp_path / "runs")
    return tmp_path / "runs" / "tiny"


def rewrite(folder: Path, change) -> None:
    """Write the journal anew with every record changed."""
    changed = [change(record) for record in records(folder)]
    shutil.rmtree(folder / "outbox")
    journal = Journal(folder / "outbox")
    for record in changed:
        journal.append(record)


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("status", "epochs", "count"), [("completed", 3, 700), ("stopped", 2, 15), ("failed", 0, 0)])
def test_a_trial_reproduces_to_the_last_bit(recorded, status, epochs, count):
    record = records(recorded, status=status)[0]
    played = replay(record.key, run=recorded)
    assert (played.replayed.status, played.replayed.epochs) == (status, epochs)
    assert played.verdict.reproduced
    assert played.verdict.words.startswith("reproduced bit for bit")
    assert not any(row.different for row in played.rows)
    assert sum(row.count for row in played.rows) >= count
    assert played.replayed == dataclasses.replace(
        record, seconds=played.replayed.seconds, history=played.replayed.history, precision=played.replayed.precision,
        device=played.replayed.device,
    )  # fmt: skip


def test_every_kind_of_score_is_compared(recorded):
    played = replay(records(recorded, status="completed")[0].key, run=recorded)
    metrics = {row.metric for row in played.rows}
    assert {
        "objective", "offset", "offset_at_limit", "test/argmax/minority/iou", "test/shifted/minority/recall",
        "val/argmax/iou per class", "test/argmax/tp per picture", "test/shifted/curve_mae per picture",
        "history/train_loss", "history/minority_iou", "val/margins/found", "test/margins/alarms",
        "test/reliability/share",
    } <= metrics  # fmt: skip
    assert "history/seconds" not in metrics
    (pictures,) = [row for row in played.rows if row.metric == "test/argmax/tp per picture"]
    assert pictures.count > 3


def test_a_failure_that_comes_back_says_with_which_reason(recorded):
    record = records(recorded, status="failed")[0]
    assert "not finite" in str(record.reason)
    assert str(record.reason) in replay(record.key, run=recorded).verdict.words


def test_a_failure_that_does_not_come_back_is_not_reproduced(copied):
    key = records(copied, status="completed")[0].key
    rewrite(copied, lambda one: dataclasses.replace(one, status="failed", reason="out of memory on the host"))
    played = replay(key, run=copied)
    assert not played.verdict.reproduced
    assert "recorded as failed after 3 epochs (out of memory on the host), now completed" in played.verdict.words


def test_a_score_that_was_recorded_otherwise_is_found_and_named(copied):
    key = records(copied, status="completed")[0].key

    def change(one: TrialRecord) -> TrialRecord:
        number = next((n for n, score in enumerate(one.scores) if score.image is not None), None)
        if number is None:
            return one
        wrong = dataclasses.replace(one.scores[number], value=(one.scores[number].value or 0.0) + 2.0**-20)
        return dataclasses.replace(one, scores=(*one.scores[:number], wrong, *one.scores[number + 1 :]))

    rewrite(copied, change)
    played = replay(key, run=copied)
    (row,) = [row for row in played.rows if row.different]
    assert (row.different, row.difference) == (1, -(2.0**-20))
    assert row.metric.endswith("per picture")
    assert not played.verdict.reproduced
    assert row.metric in played.to_text()


def test_nothing_is_written_but_into_a_scratch_folder_that_is_gone(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in recorded.parent.rglob("*")}
    made = []
    replay(records(recorded)[0].key, run=recorded, progress=lambda *at: made.extend(tmp_path.iterdir()))
    assert {path: path.stat().st_mtime_ns for path in recorded.parent.rglob("*")} == before
    assert made, "the trial had a scratch folder"
    assert list(tmp_path.iterdir()) == []


def test_threads_are_those_of_the_record_and_put_back(recorded, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    key = records(recorded, status="stopped")[0].key
    before = torch.get_num_threads()
    assert "recorded with" not in replay(key, run=recorded).to_text()
    assert seen == [1, before]
    text = replay(key, run=recorded, threads=2).to_text()
    assert seen[2:] == [2, before]
    assert "recorded with 1 thread: another number gives other last bits on a CPU" in text


def test_unknown_threads_are_said(copied):
    (copied / "slots.json").unlink()
    assert "how many threads it was recorded with is not known" in replay(records(copied)[0].key, run=copied).to_text()


def test_the_precision_is_that_of_the_record(copied):
    record = records(copied, status="stopped")[0]
    other = "fp32" if record.precision == "bf16" else "bf16"
    rewrite(copied, lambda one: dataclasses.replace(one, precision=other))
    assert replay(record.key, run=copied).replayed.precision == other


def test_other_versions_are_named(copied):
    def older(identity):
        identity["meta"]["versions"]["torch"] = "1.0"
        identity["meta"]["versions"]["mlflow"] = "1.0"

    key = records(copied, status="stopped")[0].key
    edit(copied / "meta.json", older)
    rewrite(copied, lambda one: dataclasses.replace(one, started="2999-01-01T00:00:00+00:00"))
    text = replay(key, run=copied).to_text()
    assert f"recorded with torch 1.0, now {torch.__version__.split('+')[0]}" in text
    assert "mlflow" not in text, "no score depends on it"
    rewrite(copied, lambda one: dataclasses.replace(one, started="2020-01-01T00:00:00+00:00"))
    assert "the study's last start had torch 1.0" in replay(key, run=copied).to_text()


def test_a_gpu_trial_needs_a_gpu(copied, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    key = records(copied, status="stopped")[0].key
    rewrite(copied, lambda one: dataclasses.replace(one, device="cuda: NVIDIA H200"))
    with pytest.raises(UserError, match="recorded on cuda: NVIDIA H200: torch sees no GPU here"):
        replay(key, run=copied)
    played = replay(key, run=copied, device="cpu")
    assert any("recorded on cuda: NVIDIA H200: another device" in one for one in played.circumstances)
    assert played.verdict.reproduced, "these bits were made on a CPU"


def test_an_unknown_key_lists_those_near_it(recorded):
    record = records(recorded)[0]
    with pytest.raises(UserError, match=f"(?s)near it are:.*{record.key}.*cross_entropy"):
        replay(f"{record.key[:6]}zzz", run=recorded)
    with pytest.raises(UserError, match="none of the 8 trials"):
        replay("zzzzzz", run=recorded)
    with pytest.raises(UserError, match="no trial recorded in"):
        replay("", run=recorded)


def test_a_beginning_that_several_trials_share_is_refused(recorded):
    keys = [record.key for record in records(recorded)]
    first = next(key[0] for key in keys if sum(other.startswith(key[0]) for other in keys) > 1)
    with pytest.raises(UserError, match=f"{first}: . recorded trials begin with it; give more of the key"):
        replay(first, run=recorded)


def test_without_a_run_folder_all_in_out_are_searched(recorded, copied):
    key = records(recorded, status="stopped")[0].key
    assert replay(key, out=recorded.parent).folder == recorded
    shutil.copytree(copied, copied.parent / "again")
    with pytest.raises(UserError, match="choose the folder with --run"):
        replay(key, out=copied.parent)
    with pytest.raises(RunFolderError, match="holds no run folder"):
        replay(key, out=copied)
    with pytest.raises(RunFolderError, match="is no run folder"):
        replay(key, run=copied.parent)


def test_data_that_is_gone_or_another_is_refused(copied):
    key = records(copied)[0].key
    (data,) = [path for path in (copied.parent / ".data").iterdir() if path.name != "found"]
    edit(data / "meta.json", lambda meta: meta.update(fingerprint="another"))
    with pytest.raises(DataError, match="holds other data, another"):
        replay(key, run=copied)
    shutil.rmtree(data)
    with pytest.raises(DataError, match=r"(?s)is no folder of prepared data.*sweeper plan .*study.yaml --out"):
        replay(key, run=copied)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("epochs: 3", "epochs: 5"), "planned for 3 epochs, the study now trains 5"),
        (("lr: 0.001", "lr: 0.002"), "is not what it was when the trial was recorded"),
    ],
)
def test_a_study_that_was_edited_cannot_make_the_trial_again(copied, change, said):
    key = records(copied, family="cross_entropy")[0].key
    yaml = (copied / "study.yaml").read_text()
    assert change[0] in yaml
    (copied / "study.yaml").write_text(yaml.replace(*change))
    with pytest.raises(RunFolderError, match=said):
        replay(key, run=copied)


def test_a_trial_of_a_family_that_was_taken_out_can_be_made_again(copied):
    yaml = (copied / "study.yaml").read_text()
    start = yaml.index("  cross_entropy:")
    (copied / "study.yaml").write_text(yaml[:start] + yaml[yaml.index("  replayed_losses", start) :])
    assert replay(records(copied, status="stopped")[0].key, run=copied).verdict.reproduced


def test_operators_that_vary_are_found_in_the_trial(recorded, monkeypatch):
    found = find(records(recorded, status="completed")[0].key, recorded, recorded.parent)
    job = make_job(found.trial, data=found.data, needs=(), metric="minority_iou", threads=1, device="cpu")
    assert nondeterministic_operators(job) == ()
    other = dataclasses.replace(job, trial={**job.trial, "family": "replayed_losses:scattered", "hyperparameters": {}})
    assert nondeterministic_operators(other) == ("put_",)


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sweeper", "replay", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_the_command_answers_and_returns_0_1_or_2(copied, monkeypatch, capsys):
    key = records(copied, status="stopped")[0].key
    code, out, _ = command(monkeypatch, capsys, key[:8], "--run", str(copied))
    assert (code, key in out, "reproduced bit for bit" in out) == (0, True, True)
    rewrite(copied, lambda one: dataclasses.replace(one, objective=0.5))
    code, out, _ = command(monkeypatch, capsys, key, "--run", str(copied), "--json")
    answer = json.loads(out)
    assert (code, answer["reproduced"], answer["key"]) == (1, False, key)
    (row,) = [row for row in answer["metrics"] if row["different"]]
    assert (row["metric"], row["recorded"]) == ("objective", 0.5)
    code, out, err = command(monkeypatch, capsys, "zzz", "--run", str(copied))
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert command(monkeypatch, capsys, key, "--device", "tpu")[0] == 2


def test_ray_is_not_needed(recorded):
    key = records(recorded, status="completed")[0].key
    code = "import sys; sys.modules['ray'] = None; from sweeper.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "replay", key, "--run", str(recorded)],
        capture_output=True,
        text=True,
        cwd=recorded.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(recorded.parent), *sys.path])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "reproduced bit for bit" in done.stdout
