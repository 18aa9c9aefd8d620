"""The driver turns what workers leave into records, each trial once, whatever becomes of worker and driver."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from sweeper.errors import SweeperError
from sweeper.orchestration.driver import MAX_WORKER_DEATHS, Driver
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job, outcome_path, trouble_path
from sweeper.orchestration.mishaps import read_mishaps
from sweeper.orchestration.trial_outcome import write_outcome
from sweeper.results.margins import BINS
from sweeper.results.record import MarginCounts, ReliabilityBin, Score, TrialRecord, plain_rows
from sweeper.search.sweep import Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan

EPOCHS = 3
JOB = Job(
    trial={},
    data="",
    folder="",
    metric="minority_iou",
    threads=1,
    device="cpu",
    keep_model=False,
    keep_panels=False,
    driver="",
)


def history(epochs: int = EPOCHS) -> list[dict[str, float]]:
    return [{"epoch": n, "train_loss": 1.0, "seconds": 0.5, "minority_iou": 0.1 * n} for n in range(1, epochs + 1)]


def leave_outcome(folder: RunFolder, key: str, **fields: object) -> None:
    path = outcome_path(folder, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    outcome = {
        "status": "completed",
        "epochs": EPOCHS,
        "history": history(),
        "seconds": 2.0,
        "objective": 0.3,
        **fields,
    }
    path.write_text(json.dumps(outcome))


@pytest.fixture
def setting(tmp_path: Path):
    study = load_study(
        {
            "families": ["dice", "focal"],
            "imbalance": {"levels": [0.97]},
            "training": {"epochs": EPOCHS},
            "search": {"trials": 2},
            "confirm": {"seeds": 2},
        }
    )
    records: list[TrialRecord] = []
    sweep = Sweep(make_plan(study, "data"))
    folder = RunFolder(tmp_path)
    return sweep, folder, records, Driver(sweep, folder, records.append, JOB, Silent())


def test_a_study_runs_to_its_end(setting):
    sweep, folder, records, driver = setting
    while (found := driver.propose()) is not None:
        key, job = found
        assert job.trial["key"] == key
        for n in range(1, EPOCHS + 1):
            driver.epoch(key, {"history": history(n)})
        leave_outcome(folder, key)
        driver.ended(key)
    assert driver.done
    assert len(records) == len({record.key for record in records}) == sum(done for done, _ in sweep.totals().values())
    assert {record.stage for record in records} == {"search", "confirm"}


def test_panels_and_models_are_kept_for_the_first_confirm_seed(setting):
    _, folder, _, driver = setting
    kept = {}
    while (found := driver.propose()) is not None:
        key, job = found
        kept[job.trial["stage"], job.trial["seed"]] = (job.keep_panels, job.keep_model)
        leave_outcome(folder, key)
        driver.ended(key)
    assert kept == {
        ("search", 0): (False, False),
        ("confirm", 1000): (True, True),
        ("confirm", 1001): (False, False),
    }


def test_what_a_worker_finished_while_no_driver_listened_is_not_run_again(setting):
    _sweep, folder, records, driver = setting
    key, _ = driver.propose()
    driver.ended(key)  # interrupted: no outcome
    assert records == []
    leave_outcome(folder, key)
    found = driver.propose()
    assert found is not None
    assert found[0] != key
    assert [record.key for record in records] == [key]
    assert not outcome_path(folder, key).exists()


def test_an_interrupted_trial_is_offered_again(setting):
    _, _, records, driver = setting
    key, _ = driver.propose()
    driver.epoch(key, {"history": history(1)})
    driver.ended(key)
    assert records == []
    assert driver.propose()[0] == key


def test_a_trial_whose_worker_died_for_good_is_failed_with_its_epochs(setting):
    _, _, records, driver = setting
    key, _ = driver.propose()
    for _ in range(MAX_WORKER_DEATHS):
        driver.restarted(key)
    driver.epoch(key, {"history": history(2)})
    driver.ended(key, error=True)
    (record,) = records
    assert (record.status, record.epochs, record.objective) == ("failed", 2, None)
    assert record.reason is not None


def test_a_trial_that_tune_gives_up_too_soon_is_proposed_again(setting):
    _, _, records, driver = setting
    keys = []
    while not records:
        key, _ = driver.propose()
        keys.append(key)
        driver.ended(key, error=True)
    assert keys == [keys[0]] * (1 + MAX_WORKER_DEATHS)
    assert records[0].status == "failed"


def test_a_stopped_trial_is_recorded_from_its_reports(setting):
    _sweep, _, records, driver = setting
    driver.sweep.epoch = lambda *unused: False  # type: ignore[method-assign]
    key, _ = driver.propose()
    report = {"history": history(1), "setup": {"device": "cpu", "level_val": 0.97}}
    assert not driver.epoch(key, report)
    report.clear()  # whoever reports may reuse it
    driver.ended(key)
    (record,) = records
    assert (record.status, record.epochs, record.objective, record.device) == ("stopped", 1, 0.1, "cpu")
    assert record.level_val == 0.97
    reached = {(score.split, score.point, score.klass, score.metric): score.value for score in record.scores}
    assert reached["val", "argmax", "(minority)", "iou"] == 0.1


def test_what_a_worker_measured_is_recorded_row_by_row(setting):
    _, folder, records, driver = setting
    key, _ = driver.propose()
    score = Score("test", "argmax", "a", "crack", "nsd", None)
    margins = MarginCounts("test", "a", 9.0, 2.0, (0.0, 1.5) + (0.0,) * (BINS - 2), (3.0,) * BINS)
    trusted = ReliabilityBin("test", 4, 9.0, 0.22, 0.25)
    rows = {"scores": [score], "margins": [margins], "reliability": [trusted]}
    leave_outcome(folder, key, **{name: plain_rows(each) for name, each in rows.items()})
    driver.ended(key)
    (record,) = records
    assert (record.scores, record.margins, record.reliability) == ((score,), (margins,), (trusted,))
    assert TrialRecord.from_json(record.to_json()) == record


def test_an_outcome_of_before_there_were_margins_is_recorded_without(setting):
    _, folder, records, driver = setting
    key, _ = driver.propose()
    leave_outcome(folder, key)
    driver.ended(key)
    assert (records[0].scores, records[0].margins, records[0].reliability) == ((), (), ())
    assert records[0].history == tuple(history())


def test_a_failed_outcome_keeps_its_reason(setting):
    _, folder, records, driver = setting
    key, _ = driver.propose()
    leave_outcome(folder, key, status="failed", reason="the loss is not finite", objective=None)
    driver.ended(key)
    assert (records[0].status, records[0].reason) == ("failed", "the loss is not finite")


def test_a_damaged_outcome_counts_as_none(setting):
    _, folder, records, driver = setting
    key, _ = driver.propose()
    outcome_path(folder, key).parent.mkdir(parents=True)
    outcome_path(folder, key).write_text('{"status": "comp')
    driver.ended(key)
    assert records == []
    assert driver.propose()[0] == key


def test_a_rung_missed_before_a_restart_is_missed_after_it(setting):
    """A trial that continues from a checkpoint reports several epochs at once: the first verdict counts."""
    _, _, records, driver = setting
    driver.sweep.epoch = lambda key, epoch, value: epoch != 1  # type: ignore[method-assign]
    key, _ = driver.propose()
    assert not driver.epoch(key, {"history": history(2)})
    driver.ended(key)
    assert (records[0].status, records[0].epochs) == ("stopped", 1)


def test_trouble_that_is_not_the_trials_stops_the_study_and_records_nothing(setting):
    _, folder, records, driver = setting
    key, _ = driver.propose()
    trouble_path(folder, key).parent.mkdir(parents=True)
    trouble_path(folder, key).write_text("No space left on device")
    driver.ended(key, error=True)
    assert records == []
    assert driver.done
    assert "No space left on device" in str(driver.failure)


def test_an_outcome_that_never_appears_stops_the_study(setting, monkeypatch):
    _, folder, records, driver = setting
    monkeypatch.setattr("sweeper.orchestration.driver.OUTCOME_SECONDS", 0.1)
    key, _ = driver.propose()
    driver.ended(key, done=True)
    assert records == []
    assert str(folder.path) in str(driver.failure)


def test_an_outcome_that_appears_late_is_waited_for(setting):
    _, folder, records, driver = setting
    key, _ = driver.propose()
    timer = threading.Timer(0.7, leave_outcome, (folder, key))
    timer.start()
    driver.ended(key, done=True)
    timer.join()
    assert [record.key for record in records] == [key]


def test_nothing_of_a_finished_trial_stays_but_what_is_kept(setting):
    _, folder, _, driver = setting
    key, _ = driver.propose()
    (folder.checkpoints / key).mkdir(parents=True)
    (folder.checkpoints / key / "last.pt").touch()
    leave_outcome(folder, key)
    driver.ended(key)
    assert not (folder.checkpoints / key).exists()
    assert not (folder.trials / key).exists()


def test_a_record_that_cannot_be_kept_stops_the_study(setting):
    sweep, folder, _, _ = setting

    def full(record: TrialRecord) -> None:
        raise SweeperError("no space left on device")

    driver = Driver(sweep, folder, full, JOB, Silent())
    key, _ = driver.propose()
    leave_outcome(folder, key)
    driver.ended(key)
    assert driver.done
    assert "no space" in str(driver.failure)
    assert driver.propose() is None
    assert outcome_path(folder, key).exists(), "the outcome stays for the next run"
    again = Driver(sweep, folder, full, JOB, Silent())
    assert again.propose() is None, "it must not try for ever"
    assert "no space" in str(again.failure)


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def driver_of(sweep: Sweep, folder: RunFolder) -> tuple[Driver, list[TrialRecord], Notes, Clock]:
    records: list[TrialRecord] = []
    notes, clock = Notes(), Clock()
    return Driver(sweep, folder, records.append, JOB, notes, clock=clock), records, notes, clock


@pytest.mark.parametrize(
    "spoil",
    [
        {"status": "finished"},
        {"status": 3},
        {"epochs": "three"},
        {"epochs": 2},
        {"history": [1, 2, 3]},
        {"history": {"epoch": 1}},
        {"history": [{"epoch": "x"}] * 3},
        {"seconds": None},
        {"seconds": -1},
        {"scores": [["val", "argmax"]]},
        {"scores": [["val", "argmax", None, "crack", "iou", "high"]]},
        {"margins": [["test", "a", 9.0, 2.0, [0.0], [1.0]]]},
        {"setup": []},
        {"setup": {"device": ["cpu"]}},
        {"digest": "0" * 64},
    ],
)
def test_an_outcome_that_cannot_be_believed_is_set_aside_named_and_the_trial_repeated(setting, spoil):
    sweep, folder, _, _ = setting
    driver, records, notes, _ = driver_of(sweep, folder)
    key, _ = driver.propose()
    leave_outcome(folder, key, **spoil)
    driver.ended(key, done=True)
    assert (records, driver.failure) == ([], None)
    aside = outcome_path(folder, key).with_name("outcome.json.corrupt")
    assert aside.exists()
    assert str(aside) in notes.texts[0]
    assert driver.propose()[0] == key
    leave_outcome(folder, key)
    driver.ended(key, done=True)
    assert [record.key for record in records] == [key]


def test_an_outcome_damaged_again_stops_the_study(setting):
    """A disk that garbles everything must not keep it busy for ever."""
    sweep, folder, _, _ = setting
    driver, records, _, _ = driver_of(sweep, folder)
    for _ in range(2):
        key, _ = driver.propose()
        outcome_path(folder, key).parent.mkdir(parents=True, exist_ok=True)
        outcome_path(folder, key).write_bytes(b"\xff\x00garbage")
        driver.ended(key, done=True)
    assert records == []
    assert "outcome.json.corrupt" in str(driver.failure)
    assert driver.propose() is None


def test_a_flipped_digit_of_an_outcome_is_noticed(setting):
    sweep, folder, _, _ = setting
    driver, records, _, _ = driver_of(sweep, folder)
    key, _ = driver.propose()
    outcome = {"status": "completed", "epochs": EPOCHS, "history": history(), "seconds": 2.0, "objective": 0.3}
    write_outcome(folder, key, outcome)
    path = outcome_path(folder, key)
    path.write_text(path.read_text().replace('"objective": 0.3', '"objective": 0.8'))
    driver.ended(key, done=True)
    assert records == []
    write_outcome(folder, key, outcome)
    driver.propose()
    driver.ended(key, done=True)
    assert records[0].objective == 0.3


def test_what_a_worker_has_to_say_is_told_once(setting):
    sweep, folder, _, _ = setting
    driver, _, notes, _ = driver_of(sweep, folder)
    key, _ = driver.propose()
    driver.epoch(key, {"history": history(1), "notes": ["first"]})
    driver.epoch(key, {"history": history(2), "notes": ["first", "second"]})
    leave_outcome(folder, key, notes=["first", "second", "third"])
    driver.ended(key, done=True)
    assert [text.rpartition(": ")[2] for text in notes.texts] == ["first", "second", "third"]


def test_a_full_disk_that_a_worker_reports_stops_the_study_and_gives_all_trials_back(setting):
    sweep, folder, _, _ = setting
    driver, records, _, _ = driver_of(sweep, folder)
    first, second = driver.propose()[0], driver.propose()[0]
    assert not driver.epoch(first, {"epoch": 1, "trouble": "No space left on device"})
    driver.ended(first)
    assert "No space left on device" in str(driver.failure)
    assert not driver.epoch(second, {"history": history(1)}), "the others end with their epoch"
    driver.ended(second)
    assert (records, sweep.running) == ([], {})
    assert driver.done


def test_a_trial_that_hangs_is_noted_for_whoever_runs_it_next(setting):
    sweep, folder, _, _ = setting
    driver, records, notes, clock = driver_of(sweep, folder)
    key, _ = driver.propose()
    driver.started(key)
    while not driver.overdue():
        clock.now += 20
    assert list(driver.overdue()) == [key]
    driver.hung(key)
    assert list(driver.overdue()) == [], "it is not stopped twice"
    assert "no progress for 2.0 h" in notes.texts[0]
    assert read_mishaps(folder, key).stalls == (7200.0,)
    driver.restarted(key)
    driver.started(key)
    driver.epoch(key, {"history": history(1)})
    while clock.now < 10000:
        clock.now += 20
        driver.overdue()
    driver.epoch(key, {"history": history(2)})
    while not driver.overdue():
        clock.now += 20
    driver.hung(key)
    assert records == []
    driver.ended(key, error=True)
    assert ", 2 times; where a step may take" in records[0].reason, "should it never come back"


def test_a_worker_that_ray_stopped_for_memory_counts_as_out_of_memory(setting):
    sweep, folder, _, _ = setting
    driver, _, notes, _ = driver_of(sweep, folder)
    key, _ = driver.propose()
    driver.short_of_memory(key)
    driver.restarted(key)
    assert read_mishaps(folder, key).memory == ("host",)
    assert "ran out of memory" in notes.texts[0]


def test_a_family_that_is_given_up_is_said_so_once(setting):
    sweep, folder, _, _ = setting
    driver, records, notes, _ = driver_of(sweep, folder)
    while (found := driver.propose()) is not None:
        key, job = found
        broken = job.trial["family"] == "dice"
        fate = {"status": "failed", "reason": f"RuntimeError: no {len(records)} (a.py:3)", "objective": None}
        leave_outcome(folder, key, **(fate if broken else {}))
        driver.ended(key, done=True)
    assert driver.done
    (text,) = [text for text in notes.texts if "given up" in text]
    assert text.startswith("dice at 0.97: given up, since its first 3 trials failed alike (RuntimeError: no")
    assert "; 0 more are not run" in text
    assert "search.give_up_after" in text
