"""The first signal lets running epochs finish and be checkpointed, the second ends everything at once."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path

import pytest

from sweeper.orchestration.driver import Driver
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import Lease, RunFolder, order
from sweeper.orchestration.job import Job, Work
from sweeper.orchestration.stopping import ANNOUNCEMENT, SIGNALS, Stop
from sweeper.search.sweep import Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan

from .test_driver import JOB, history, leave_outcome
from .test_job import job, outcome, prepared, run  # noqa: F401 (fixtures)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_wish_and_the_second_an_order(number):
    stop = Stop()
    with stop.heard(), stop.orderly():
        send(number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            send(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_where_there_is_nothing_to_finish_the_first_ends_at_once(number):
    stop = Stop()
    with stop.heard():
        with pytest.raises(KeyboardInterrupt):
            send(number)
        with stop.orderly():
            pass


def test_a_second_signal_ends_what_comes_after_the_trials_too():
    stop = Stop()
    with stop.heard():
        with stop.orderly():
            send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_the_signals_are_given_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stop().heard():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_signals_are_left_alone():
    before = [signal.getsignal(number) for number in SIGNALS]
    seen = []

    def listen() -> None:
        with Stop().heard():
            seen.append([signal.getsignal(number) for number in SIGNALS])

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]


def test_rays_way_out_on_sigterm_is_an_interruption():
    with pytest.raises(KeyboardInterrupt), Stop().heard():
        raise SystemExit(signal.SIGTERM)
    with pytest.raises(SystemExit), Stop().heard():
        raise SystemExit(3)


def test_workers_learn_it_from_the_lease(tmp_path: Path):
    folder = RunFolder(tmp_path)
    with Lease(folder) as lease:
        assert order(folder, lease.id) == "go on"
        assert order(folder, "an earlier driver") == "leave"
        lease.tell_workers_to_stop()
        assert order(folder, lease.id) == "stop"
        assert order(folder, "an earlier driver") == "leave"
    with Lease(folder) as lease:
        assert order(folder, lease.id) == "go on"
    for content in ("", "[]", "{}", "{"):
        folder.driver.write_text(content)
        assert order(folder, lease.id) == "go on"


def scored(one: Job) -> dict[str, object]:
    """What became of a trial, without the digest, which is of its times too."""
    return {name: value for name, value in outcome(one).items() if name != "digest"}


def test_a_stopped_trial_is_checkpointed_however_young_and_ends_as_if_never_stopped(job, tmp_path):  # noqa: F811
    whole = dataclasses.replace(job, folder=str(tmp_path / "whole"), checkpoint_seconds=1e9)
    run(whole)
    for epochs in (1, 2, 3):
        folder = RunFolder(tmp_path / f"after {epochs}")
        folder.create()
        file = folder.checkpoints / job.trial["key"] / "last.pt"
        with Lease(folder) as lease:
            cut = dataclasses.replace(whole, folder=str(folder.path), driver=lease.id)
            work = Work(Job.from_dict(cut.to_dict()))
            for _ in range(epochs):
                work.step()
            assert not file.exists()
            lease.tell_workers_to_stop()
            assert work.step() == {"epoch": epochs, "paused": True}
            work.close()
            assert file.exists()
        with Lease(folder) as lease:
            again = dataclasses.replace(whole, folder=str(folder.path), driver=lease.id)
            reports = run(again)
        assert len(reports) == 3 - epochs + 1, "the epochs that were left, and the scoring"
        assert scored(again) == scored(whole)


def test_a_trial_that_has_not_begun_is_not_begun(job, tmp_path):  # noqa: F811
    folder = RunFolder(tmp_path / "run")
    folder.create()
    with Lease(folder) as lease:
        lease.tell_workers_to_stop()
        work = Work(dataclasses.replace(job, folder=str(folder.path), driver=lease.id))
        assert work.step() == {"epoch": 0, "paused": True}
    assert not list(folder.checkpoints.iterdir())


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_a_driver_that_stops_tells_workers_once_and_starts_nothing(tmp_path: Path):
    study = load_study({"families": ["dice", "focal"], "training": {"epochs": 3}, "search": {"trials": 2}})
    sweep, folder, notes, told, records = Sweep(make_plan(study, "data")), RunFolder(tmp_path), Notes(), [], []
    driver = Driver(sweep, folder, records.append, JOB, notes, halt=lambda: told.append(True))
    (paused, _), (ended, _) = driver.propose(), driver.propose()
    assert driver.epoch(paused, {"history": history(1)})
    driver.stop()
    driver.stop()
    assert told == [True]
    assert notes.lines == [ANNOUNCEMENT]
    assert driver.propose() is None
    assert driver.done

    assert driver.epoch(paused, {"history": history(2)}), "the worker itself ends after this epoch"
    assert not driver.epoch(paused, {"epoch": 2, "paused": True, "unsaved": "No space left on device"})
    driver.ended(paused)
    leave_outcome(folder, ended)
    driver.ended(ended, done=True)
    assert [record.key for record in records] == [ended], "what ended meanwhile is recorded, what was paused is not"
    assert "dice at 0.97, seed 0: could not be checkpointed (No space left on device)" in notes.lines[-1]
    assert not sweep.running
    assert driver.failure is None
