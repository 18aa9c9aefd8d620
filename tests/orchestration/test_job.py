"""One trial as a worker runs it: continued where it was cut off, failed only for reasons of its own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from sweeper.data.prepare import prepare
from sweeper.data.settings import RasterLog
from sweeper.errors import DataError, TrialFailure
from sweeper.orchestration.folder import Lease, RunFolder
from sweeper.orchestration.job import Job, Work, outcome_path, trouble_path
from sweeper.results.margins import BINS, PROBABILITY_BINS
from sweeper.results.record import MarginCounts, ReliabilityBin, rows
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan
from sweeper.training.watch import FiniteWatch

MEASURED = ("seconds", "started")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    cache = tmp_path_factory.mktemp("data")
    data = prepare(RasterLog(patch=32, limit=16, scans=10), cache)
    return data, cache / data.fingerprint


@pytest.fixture
def job(prepared, tmp_path):
    data, path = prepared
    study = load_study(
        {
            "families": ["dice_ce"],
            "data": {"patch": 32, "limit": 16, "scans": 10},
            "model": {"depth": 3, "decoder_channels": [8, 8, 8]},
            "training": {"epochs": 3, "steps_per_epoch": 2, "batch_size": 4},
        }
    )
    plan = make_plan(study, data.fingerprint)
    return Job(
        trial=plan.trial("dice_ce", plan.cells[0].default, 0.96, 1000, "confirm").to_dict(),
        data=str(path),
        folder=str(tmp_path),
        metric="minority_iou",
        threads=1,
        device="cpu",
        keep_model=False,
        keep_panels=False,
        driver="",
        checkpoint_seconds=0.0,
    )


def run(job: Job, steps: int | None = None) -> list[dict]:
    work, reports = Work(Job.from_dict(json.loads(json.dumps(job.to_dict())))), []
    while steps is None or len(reports) < steps:
        reports.append(work.step())
        if reports[-1].get("done"):
            break
    work.close()
    return reports


def outcome(job: Job) -> dict:
    kept = json.loads(outcome_path(RunFolder(Path(job.folder)), job.trial["key"]).read_text())
    history = [{name: value for name, value in row.items() if name not in MEASURED} for row in kept["history"]]
    return {**{name: value for name, value in kept.items() if name not in MEASURED}, "history": history}


def test_a_trial_reports_every_epoch_and_leaves_its_outcome(job):
    reports = run(job)
    assert [report["epoch"] for report in reports] == [1, 2, 3, 3]
    assert [len(report.get("history", ())) for report in reports] == [1, 2, 3, 0]
    kept = outcome(job)
    assert kept["status"] == "completed"
    assert kept["setup"]["level_test"] == pytest.approx(0.96)
    assert {(row[0], row[1]) for row in kept["scores"]} == {
        ("val", "argmax"),
        ("val", "shifted"),
        ("test", "argmax"),
        ("test", "shifted"),
    }


def test_a_confirm_trial_leaves_what_a_report_weighs_errors_by(job):
    run(job)
    kept = outcome(job)
    pictures = {row[2] for row in kept["scores"] if row[2] is not None}
    margins = rows(MarginCounts, kept["margins"])
    assert [(each.split, each.image) for each in margins] == [
        ("val", None),
        *(("test", one) for one in sorted(pictures)),
    ]
    assert {len(each.found) for each in margins} == {len(each.alarms) for each in margins} == {BINS}
    assert [each.bin for each in rows(ReliabilityBin, kept["reliability"])] == list(range(PROBABILITY_BINS))
    assert {"nsd", "hd95", "cldice", "object_miss_rate"} <= {row[4] for row in kept["scores"] if row[2] is None}


def test_a_trial_that_fails_keeps_the_epochs_it_had(job, monkeypatch):
    work = Work(Job.from_dict(job.to_dict()))
    work.step()
    monkeypatch.setattr(FiniteWatch, "check", fail)
    assert work.step()["done"]
    kept = outcome(job)
    assert (kept["status"], kept["reason"], kept["epochs"]) == ("failed", "the loss is not finite", 1)
    assert [row["epoch"] for row in kept["history"]] == [1]
    assert "minority_iou" in kept["history"][0]


def fail(*unused: object) -> None:
    raise TrialFailure("the loss is not finite")


def test_a_trial_cut_off_continues_from_its_checkpoint_to_the_same_outcome(job, tmp_path):
    run(job)
    whole = outcome(job)
    other = dataclasses.replace(job, folder=str(tmp_path / "other"))
    run(other, steps=2)
    reports = run(other)
    assert [report["epoch"] for report in reports] == [3, 3], "two epochs were kept"
    assert outcome(other) == whole


def test_a_damaged_checkpoint_is_not_trusted(job, tmp_path):
    run(job, steps=2)
    (file,) = (tmp_path / "checkpoints").glob("*/last.pt")
    file.write_bytes(file.read_bytes()[:-100])
    assert [report["epoch"] for report in run(job)] == [1, 2, 3, 3]


def test_panels_and_model_are_kept_where_asked(job, tmp_path):
    run(dataclasses.replace(job, keep_model=True, keep_panels=True))
    key = job.trial["key"]
    weights = torch.load(tmp_path / "trials" / key / "model.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values() if value.is_floating_point())
    data = job.data.rpartition("/")[2]
    assert {path.name for path in (tmp_path / "panels").iterdir()} == {f"patches_{data}.npz", f"{key}.npz"}
    assert len(list((tmp_path / "trials" / key).glob("prediction_*.png"))) == 4


def test_a_loss_that_raises_fails_its_trial_with_the_place(job, monkeypatch):
    def broken(self, *unused):
        raise RuntimeError("no such thing")

    monkeypatch.setattr("sweeper.training.trainer.Trainer._loss", broken)
    assert run(job)[-1]["done"]
    kept = outcome(job)
    assert kept["status"] == "failed"
    assert "RuntimeError: no such thing (test_job.py:" in kept["reason"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("CUDA error: illegal access")])
def test_an_error_of_the_machine_is_raised_and_noted_and_fails_no_trial(job, monkeypatch, tmp_path, error):
    def broken(self, *unused):
        raise error

    monkeypatch.setattr("sweeper.training.trainer.Trainer._loss", broken)
    with pytest.raises(type(error)):
        run(job)
    folder = RunFolder(tmp_path)
    assert not outcome_path(folder, job.trial["key"]).exists()
    assert trouble_path(folder, job.trial["key"]).exists()


def test_missing_data_is_no_fault_of_the_trial(job, tmp_path):
    with pytest.raises(DataError):
        run(dataclasses.replace(job, data=str(tmp_path / "gone")))
    assert not outcome_path(RunFolder(tmp_path), job.trial["key"]).exists()


def test_a_worker_whose_driver_was_replaced_leaves_the_trial_to_the_new_one(job, tmp_path):
    with Lease(RunFolder(tmp_path)) as lease:
        orphan = dataclasses.replace(job, driver="another")
        with pytest.raises(SystemExit):
            run(orphan)
        assert len(run(dataclasses.replace(job, driver=lease.id))) == 4
