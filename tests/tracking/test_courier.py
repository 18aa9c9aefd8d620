import threading
import time

import pytest

from sweeper.errors import SweeperError, TrackingError
from sweeper.tracking.courier import Courier
from sweeper.tracking.door import TrackerUnreachable
from sweeper.tracking.journal import Journal
from sweeper.tracking.log import ChecksummedLog
from sweeper.tracking.memory import MemoryTracker
from sweeper.tracking.sync import SyncReport, sync

TARGET = "t"


class Flaky(MemoryTracker):
    """Unreachable while `down`, refuses the keys in `refuses`, and counts calls."""

    def __init__(self):
        super().__init__()
        self.down = False
        self.refuses = set()
        self.calls = []

    def record(self, record):
        self.calls.append(record.key)
        if self.down:
            raise TrackerUnreachable("http://u:secret@host: gone\nand more")
        if record.key in self.refuses:
            raise TrackingError(f"{record.key} is not to my taste")
        super().record(record)

    def keys(self):
        return [record.key for record in self.records]


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


def test_the_stand_in_keeps_a_key_once(make_record):
    tracker = MemoryTracker()
    for key in ("a", "b", "a"):
        tracker.record(make_record(key))
    assert (tracker.finished(), len(tracker.records)) == ({"a", "b"}, 2)


def test_trials_arrive_in_order_old_ones_first(journal, make_record):
    journal.append(make_record("old"))
    tracker = MemoryTracker()
    with Courier(journal, lambda: tracker, TARGET) as courier:
        for number in range(20):
            courier.record(make_record(f"k{number}"))
        assert courier.finished() == journal.finished()
        assert len(courier.finished()) == 21
    assert [record.key for record in tracker.records] == ["old", *(f"k{number}" for number in range(20))]
    assert (courier.pending, courier.last_error) == (0, None)


def test_a_tracker_that_is_away_costs_the_caller_nothing_and_gets_everything_later(journal, make_record):
    tracker = Flaky()
    tracker.down = True
    courier = Courier(journal, lambda: tracker, TARGET, first_pause=0.02)
    start = time.monotonic()
    for number in range(10):
        courier.record(make_record(f"k{number}"))
    assert time.monotonic() - start < 1
    until(lambda: len(tracker.calls) >= 2)
    assert courier.pending == 10
    assert courier.last_error == "http://u:***@host: gone"
    tracker.down = False
    until(lambda: courier.pending == 0)
    assert sorted(tracker.keys()) == sorted(f"k{number}" for number in range(10))
    assert courier.close() == 0


def test_it_backs_off(journal, make_record):
    tracker = Flaky()
    tracker.down = True
    courier = Courier(journal, lambda: tracker, TARGET, first_pause=0.05)
    courier.record(make_record("a"))
    until(lambda: len(tracker.calls) >= 1)
    time.sleep(0.5)
    # Attempts after 0.05, 0.15 and 0.35 s; new trials do not hurry it.
    for number in range(20):
        courier.record(make_record(f"k{number}"))
    assert len(tracker.calls) <= 5
    courier.close()


def test_a_refused_trial_does_not_hold_up_the_others(journal, make_record):
    tracker = Flaky()
    tracker.refuses = {"bad"}
    with Courier(journal, lambda: tracker, TARGET, first_pause=0.02) as courier:
        for key in ("a", "bad", "b"):
            courier.record(make_record(key))
        until(lambda: tracker.calls.count("bad") >= 2)
        assert tracker.keys() == ["a", "b"]
        assert (courier.pending, courier.last_error) == (1, "bad is not to my taste")
        tracker.refuses = set()
        until(lambda: courier.pending == 0)


def test_a_trial_that_takes_the_tracker_down_is_tried_last(journal, make_record):
    class Fragile(Flaky):
        def record(self, record):
            self.down = record.key == "bad"
            super().record(record)

    tracker = Fragile()
    with Courier(journal, lambda: tracker, TARGET, first_pause=0.02) as courier:
        for key in ("bad", "a", "b"):
            courier.record(make_record(key))
        until(lambda: tracker.keys() == ["a", "b"])
    assert courier.pending == 1


def test_a_tracker_that_cannot_be_opened_is_opened_later(journal, make_record):
    tracker, attempts = MemoryTracker(), []

    def make():
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("not even an error of ours")
        return tracker

    with Courier(journal, make, TARGET, first_pause=0.01) as courier:
        courier.record(make_record("a"))
        until(lambda: tracker.finished() == {"a"})
    assert courier.last_error is None


def test_what_one_run_could_not_deliver_the_next_does_and_nothing_twice(journal, make_record, tmp_path):
    tracker = Flaky()
    tracker.down = True
    courier = Courier(journal, lambda: tracker, TARGET, first_pause=60)
    courier.record(make_record("a"))
    until(lambda: tracker.calls)
    assert courier.close(5) == 1
    tracker.down = False
    for _ in range(2):
        with Courier(Journal(tmp_path), lambda: tracker, TARGET):
            pass
    assert tracker.keys() == ["a"]
    assert tracker.calls.count("a") == 3  # at first, at the first close, then with success


def test_marks_do_not_outlive_a_tracker_that_lost_its_trials(journal, make_record):
    first, second = MemoryTracker(), MemoryTracker()
    with Courier(journal, lambda: first, TARGET) as courier:
        courier.record(make_record("a"))
    with Courier(journal, lambda: second, TARGET):
        pass
    assert second.finished() == {"a"}


def test_closing_does_not_wait_for_a_tracker_that_hangs(journal, make_record):
    release = threading.Event()

    class Hanging(MemoryTracker):
        def record(self, record):
            release.wait(10)

    courier = Courier(journal, Hanging, TARGET)
    courier.record(make_record("a"))
    start = time.monotonic()
    assert courier.close(0.2) == 1
    assert time.monotonic() - start < 2
    release.set()


def test_sync_brings_the_tracker_level_and_says_what_it_did(journal, make_record):
    tracker = Flaky()
    for key in ("a", "b", "bad"):
        journal.append(make_record(key))
    tracker.record(make_record("a"))
    tracker.refuses = {"bad"}
    assert sync(journal, tracker, TARGET) == SyncReport(1, 1, {"bad": "bad is not to my taste"})
    assert journal.delivered(TARGET) == {"a", "b"}
    tracker.refuses = set()
    assert sync(journal, tracker, TARGET) == SyncReport(1, 2, {})
    assert sorted(tracker.keys()) == ["a", "b", "bad"]


def test_sync_says_that_the_tracker_is_away(journal, make_record):
    tracker = Flaky()
    tracker.down = True
    journal.append(make_record("a"))
    with pytest.raises(TrackerUnreachable):
        sync(journal, tracker, TARGET)
    assert journal.delivered(TARGET) == set()


def test_a_delivery_whose_answer_was_lost_is_not_tried_for_ever(journal, make_record):
    class Mumbling(Flaky):
        def record(self, record):
            super().record(record)
            if self.calls.count(record.key) == 1:
                raise TrackerUnreachable("it was kept, but nobody heard")

    tracker = Mumbling()
    with Courier(journal, lambda: tracker, TARGET, first_pause=0.01) as courier:
        courier.record(make_record("a"))
        until(lambda: courier.last_error is not None)
        until(lambda: courier.pending == 0 and courier.last_error is None)
    assert tracker.calls == ["a", "a"]
    assert tracker.keys() == ["a"]


def test_it_says_once_that_the_tracker_is_away_and_once_that_it_is_back(journal, make_record):
    tracker, said = Flaky(), []
    tracker.down = True
    with Courier(journal, lambda: tracker, TARGET, first_pause=0.01, say=said.append) as courier:
        courier.record(make_record("a"))
        until(lambda: len(tracker.calls) >= 4)
        assert said == ["http://u:***@host: gone; trials go on, and are sent to MLflow when it takes them again"]
        tracker.down = False
        until(lambda: len(said) == 2)
    assert said[1] == "MLflow takes trials again; none is lost"


def test_one_hiccup_is_not_worth_a_word(journal, make_record):
    class Hiccup(Flaky):
        def record(self, record):
            self.down = not self.calls
            super().record(record)

    tracker, said = Hiccup(), []
    with Courier(journal, lambda: tracker, TARGET, first_pause=0.01, say=said.append) as courier:
        courier.record(make_record("a"))
        until(lambda: courier.pending == 0)
    assert said == []


def test_what_was_noticed_in_the_tracker_is_passed_on_once(journal, make_record):
    tracker, said = MemoryTracker(noticed=["a trial was deleted"]), []
    with Courier(journal, lambda: tracker, TARGET, say=said.append) as courier:
        for number in range(3):
            courier.record(make_record(f"k{number}"))
            until(lambda: courier.pending == 0)
    assert said == ["a trial was deleted"]


def test_a_listener_that_fails_does_not_stop_the_deliveries(journal, make_record):
    def gone(text):
        raise BrokenPipeError

    tracker = MemoryTracker(noticed=["news"])
    with Courier(journal, lambda: tracker, TARGET, say=gone) as courier:
        courier.record(make_record("a"))
        until(lambda: courier.pending == 0)
        courier.record(make_record("b"))
        until(lambda: courier.pending == 0)


def test_a_mark_that_cannot_be_written_holds_nothing_up(journal, make_record, monkeypatch):
    def full(target, key):
        raise SweeperError("the disk is full")

    monkeypatch.setattr(journal, "mark_delivered", full)
    tracker = MemoryTracker()
    tracker.record(make_record("old"))
    journal.append(make_record("old"))
    with Courier(journal, lambda: tracker, TARGET, first_pause=0.01) as courier:
        courier.record(make_record("a"))
        until(lambda: courier.pending == 0 and courier.last_error is None)
    assert tracker.finished() == {"old", "a"}


def test_a_record_that_cannot_be_read_is_left_out_and_told(journal, make_record, tmp_path):
    ChecksummedLog(tmp_path / "trials.log").append("foreign", "{}")
    damaged = Journal(tmp_path)
    tracker = MemoryTracker()
    with Courier(damaged, lambda: tracker, TARGET, first_pause=0.01) as courier:
        courier.record(make_record("a"))
        until(lambda: tracker.finished() == {"a"} and courier.last_error is not None)
        assert "trial foreign was recorded by another version of sweeper" in courier.last_error
    report = sync(damaged, tracker, TARGET)
    assert (report.present, list(report.refused)) == (1, ["foreign"])


def test_an_interrupted_close_leaves_a_thread_that_ends(journal, make_record):
    started, release = threading.Event(), threading.Event()

    class Slow(MemoryTracker):
        def record(self, record):
            started.set()
            release.wait(10)
            super().record(record)

    tracker = Slow()
    courier = Courier(journal, lambda: tracker, TARGET)
    for key in "abc":
        courier.record(make_record(key))
    assert started.wait(10)
    courier.close(0)
    release.set()
    courier._thread.join(10)
    assert not courier._thread.is_alive()
    assert len(tracker.records) == 1, "the trial in its hands, and no more"
