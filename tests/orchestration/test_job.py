"""One trial as a worker runs it: continued where it was cut off, failed only for reasons of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sweeper.data.prepare import prepare
from sweeper.data.settings import RasterLog
from sweeper.errors import DataError, TrialFailure
from sweeper.orchestration.claim import Claim
from sweeper.orchestration.folder import Lease, RunFolder
from sweeper.orchestration.job import Job, Work, outcome_path, trouble_path
from sweeper.orchestration.memory import kernel_kills
from sweeper.orchestration.mishaps import Mishaps, mishaps_path, note_stall, read_mishaps
from sweeper.orchestration.trial_outcome import read_outcome
from sweeper.results.margins import BINS, PROBABILITY_BINS
from sweeper.results.record import MarginCounts, ReliabilityBin, rows
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan
from sweeper.training import checkpoint
from sweeper.training.trainer import Trainer
from sweeper.training.watch import FiniteWatch

MEASURED = ("seconds", "started", "digest")


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


@pytest.mark.parametrize("error", [OSError(116, "Stale file handle"), RuntimeError("CUDA error: illegal access")])
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


def test_a_full_disk_is_reported_where_a_note_could_not_be_written(job, monkeypatch, tmp_path):
    """Whether it is the outcome that does not fit or a checkpoint on the way."""

    def full(*unused):
        raise OSError(28, "No space left on device", "last.pt")

    monkeypatch.setattr("sweeper.training.checkpoint.write_bytes", full)
    assert run(job, steps=1) == [{"epoch": 1, "trouble": "[Errno 28] No space left on device: 'last.pt'"}]
    monkeypatch.setattr("sweeper.orchestration.trial_outcome.write_text", full)
    last = run(dataclasses.replace(job, checkpoint_seconds=1000), steps=4)[-1]
    assert "No space left" in last["trouble"]
    monkeypatch.setattr(FiniteWatch, "check", fail)
    assert "No space left" in run(dataclasses.replace(job, checkpoint_seconds=1000), steps=1)[0]["trouble"]
    assert not (tmp_path / "trials").exists()


def test_a_checkpoint_that_is_not_written_for_another_reason_costs_the_trial_nothing(job, monkeypatch):
    def stale(*unused):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("sweeper.training.checkpoint.write_bytes", stale)
    run(job)
    assert outcome(job)["status"] == "completed"


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def of_another_version(file: Path) -> None:
    checkpoint.save(file, {"trainer": {"key": "k"}, "seconds": 1.0})


def of_another_model(file: Path) -> None:
    state = checkpoint.load(file)
    state["trainer"]["model"].popitem()
    checkpoint.save(file, state)


@pytest.mark.parametrize("spoil", [damage, of_another_version, of_another_model])
def test_a_checkpoint_that_cannot_be_used_is_set_aside_and_named(job, tmp_path, spoil):
    run(job)
    whole = outcome(job)
    other = dataclasses.replace(job, folder=str(tmp_path / "other"))
    run(other, steps=2)
    (file,) = (tmp_path / "other" / "checkpoints").glob("*/last.pt")
    spoil(file)
    reports = run(other)
    assert [report["epoch"] for report in reports] == [1, 2, 3, 3]
    assert all(str(file) in report["notes"][0] for report in reports)
    assert file.with_name("last.pt.corrupt").exists()
    again = outcome(other)
    assert str(file) in again.pop("notes")[0]
    assert again == whole


def test_a_worker_that_was_replaced_leaves_the_trial_to_the_new_one(job):
    """One whose machine lost its network, for example, while Ray started the trial elsewhere."""
    old = Work(job)
    old.step()
    assert run(job)[-1]["done"]
    kept = outcome(job)
    with pytest.raises(SystemExit, match="another worker"):
        old.step()
    assert outcome(job) == kept


def test_the_latest_of_two_workers_has_the_trial(job):
    old, new = Work(job), Work(job)
    old.step()
    new.step()
    with pytest.raises(SystemExit, match="another worker"):
        old.step()
    assert new.step()["epoch"] == 3, "it went on from the checkpoint of the other"


def test_two_workers_that_write_at_once_leave_a_whole_outcome(job, monkeypatch):
    """The one that was replaced may be past the last look at whose the trial is."""
    monkeypatch.setattr(Claim, "held", True)
    first, second = Work(job), Work(job)
    working = [first, second]
    while working:
        working = [work for work in working if not work.step().get("done")]
    twice = outcome(job)
    alone = dataclasses.replace(job, folder=job.folder + "/alone")
    run(alone)
    assert twice == outcome(alone)
    assert read_outcome(RunFolder(Path(job.folder)), job.trial["key"])["status"] == "completed"


@pytest.fixture
def untied(monkeypatch):
    """Take models for ones without batch normalization; what parts do to training is not the question here."""
    monkeypatch.setattr("sweeper.training.trainer.tied_by", lambda model: None)


def shortage(monkeypatch, times: int, error: Callable[[], None], parts: list[int]) -> None:
    """Let memory run out in the second step, `times` times."""
    train, left = Trainer._train, [times]

    def short(self, epoch):
        parts.append(self.parts)
        if epoch == 2 and left[0]:
            left[0] -= 1
            error()
        return train(self, epoch)

    monkeypatch.setattr(Trainer, "_train", short)


def on_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def on_host() -> None:
    torch.empty(2**50)  # what the allocator really says


def in_python() -> None:
    raise MemoryError


@pytest.mark.parametrize(("error", "where"), [(on_gpu, "GPU"), (on_host, "host"), (in_python, "host")])
def test_a_trial_that_runs_out_of_memory_is_tried_once_more_in_parts(job, untied, monkeypatch, error, where):
    parts: list[int] = []
    shortage(monkeypatch, 1, error, parts)
    reports = run(job)
    assert [report["epoch"] for report in reports] == [1, 2, 3, 3], "it went on from its checkpoint"
    assert parts == [1, 1, 2, 2]
    assert f"out of memory on the {where}" in reports[1]["notes"][0]
    kept = outcome(job)
    assert kept["status"] == "completed"
    assert "in two parts" in kept["notes"][0]


@pytest.mark.parametrize(
    ("tied", "expected"),
    [
        (False, "out of memory on the GPU, tried again with the batch in two parts"),
        (True, "tried again with the batch whole, since batch normalization (encoder.bn1) ties its pictures together"),
    ],
)
def test_the_second_time_it_has_failed(job, monkeypatch, request, tied, expected):
    if not tied:
        request.getfixturevalue("untied")
    shortage(monkeypatch, 2, on_gpu, [])
    assert run(job)[-1]["done"]
    kept = outcome(job)
    assert kept["status"] == "failed"
    assert expected in kept["reason"]
    assert "training.batch_size" in kept["reason"]


def test_that_memory_ran_out_is_known_to_the_worker_that_runs_the_trial_next(job, untied, monkeypatch):
    """After a restart of the driver too: it lies beside the checkpoint."""
    parts: list[int] = []
    shortage(monkeypatch, 1, on_gpu, parts)
    run(job, steps=2)
    run(dataclasses.replace(job, driver="next"))
    assert parts == [1, 1, 2, 2]
    assert outcome(job)["status"] == "completed"


def test_a_worker_the_kernel_killed_for_memory_counts_as_out_of_memory(job, monkeypatch, tmp_path):
    """Ray only says that it died; the kernel counts."""
    counts = iter([3, 3, 4, 5])
    monkeypatch.setattr("sweeper.orchestration.claim.kernel_kills", lambda: next(counts))
    killed = [Work(job) for _ in range(4)]
    key, folder = job.trial["key"], RunFolder(tmp_path)
    killed[0].step()
    killed[1].step()
    assert read_mishaps(folder, key) == Mishaps(), "this one died of something else"
    killed[2].step()
    assert read_mishaps(folder, key).memory == ("host",)
    assert killed[3].step()["done"]
    assert "out of memory on the host" in outcome(job)["reason"]


def test_the_kernels_count_says_nothing_across_drivers_and_machines(job, monkeypatch, tmp_path):
    counts = iter(range(10))
    monkeypatch.setattr("sweeper.orchestration.claim.kernel_kills", lambda: next(counts))
    run(job, steps=1)  # ended in good order
    Work(job).step()
    Work(dataclasses.replace(job, driver="next")).step()
    monkeypatch.setattr("sweeper.orchestration.claim.socket.gethostname", lambda: "elsewhere")
    Work(dataclasses.replace(job, driver="next")).step()
    assert read_mishaps(RunFolder(tmp_path), job.trial["key"]) == Mishaps()


def test_the_kernels_count_can_be_read_on_this_machine():
    assert kernel_kills() is None or kernel_kills() >= 0
    if Path("/proc/vmstat").exists():
        assert kernel_kills() is not None


def test_a_trial_that_hung_twice_is_not_tried_again(job, tmp_path):
    folder = RunFolder(tmp_path)
    note_stall(folder, job.trial["key"], 300)
    note_stall(folder, job.trial["key"], 600)
    assert run(job) == [{"epoch": 0, "done": True}]
    assert "no progress for 10 min, 2 times" in outcome(job)["reason"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"memory": 3}', '{"memory": [], "batch": "", "stalls": ["x"]}'])
def test_mishaps_that_cannot_be_read_are_none(tmp_path, content):
    path = mishaps_path(RunFolder(tmp_path), "k")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert read_mishaps(RunFolder(tmp_path), "k") == Mishaps()
