"""The courier: carries recorded trials from the journal to a tracker, in the background, as often as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType

from sweeper.errors import SweeperError
from sweeper.results.mlflow_client import one_line
from sweeper.results.record import TrialRecord
from sweeper.tracking.door import Tracker, TrackerDeleted, TrackerUnreachable
from sweeper.tracking.journal import Journal

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Courier:
    """A tracker that is never in the way: a trial is in the journal when `record` returns, and travels on by itself.

    One daemon thread opens the tracker and delivers in order. When that fails it tries again after 1, 2, 4, ... 60
    seconds, with the trials that were refused last, and opens the tracker anew when it fails twice in a row. What is
    not delivered when the process ends is left to the next courier or to `sync`.
    """

    def __init__(
        self,
        journal: Journal,
        make_tracker: Callable[[], Tracker],
        target: str,
        *,
        say: Callable[[str], None] = lambda text: None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """Start delivering what `journal` holds.

        Args:
            journal: Where trials are recorded first.
            make_tracker: Opens the tracker; called in the courier's thread, again after a failure.
            target: Id under which the journal notes what the tracker has, made by `uri.target_id`.
            say: Told, in the courier's thread, what a user should know while the study runs: that the tracker takes
                nothing, that it does again, and what was deleted in it. Each once.
            first_pause: Seconds before the first new attempt; doubled from one failure to the next.
        """
        self._journal = journal
        self._make_tracker = make_tracker
        self._target = target
        self._say = say
        self._first_pause = first_pause
        self._there = journal.delivered(target)
        self._refused: set[str] = set()
        self._said: set[str] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._last_error: str | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="sweeper-courier")
        self._thread.start()

    def record(self, record: TrialRecord) -> None:
        """Record one trial durably and return; it is delivered later.

        Raises: SweeperError when the journal cannot be written.
        """
        self._journal.append(record)
        self._wake.set()

    def finished(self) -> set[str]:
        """Return the keys of all recorded trials, delivered or not."""
        return self._journal.finished()

    @property
    def pending(self) -> int:
        """How many recorded trials the tracker does not have yet."""
        return len(self._journal.finished() - self._there)

    @property
    def last_error(self) -> str | None:
        """Why the last attempt failed, in one line without passwords; None while all goes well."""
        return self._last_error

    def close(self, timeout: float = 30.0) -> int:
        """Make one last attempt to deliver, for at most `timeout` seconds, and return how many trials are left.

        A thread that waits for an answer then is left behind; it delivers nothing more and ends by itself.
        """
        self._closing.set()
        self._wake.set()
        try:
            self._thread.join(timeout)
        finally:  # also when whoever waits here is interrupted
            self._abandoned.set()
        return self.pending

    def __enter__(self) -> Courier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        tracker: Tracker | None = None
        pause, failures, away = self._first_pause, 0, False
        while True:
            self._wake.clear()
            last = self._closing.is_set()
            before = len(self._there)
            try:
                tracker = tracker or self._open()
                self._deliver(tracker)
                self._pass_on(tracker.noticed)
                failed = bool(self._refused)
            except Exception as error:  # whatever a tracker does, the study goes on
                self._last_error, failed = one_line(error), True
                if len(self._there) > before:
                    pause, failures = self._first_pause, 0
                failures += 1
                # What was deleted stays so until someone hears of it; anything else may be over in a second.
                lasting = failures > 1 or isinstance(error, TrackerDeleted)
                if lasting or not isinstance(error, TrackerUnreachable):
                    tracker = None
                if lasting and not away:
                    away = True
                    self._tell(f"{self._last_error}; trials go on, and are sent to MLflow when it takes them again")
            if last:
                return
            if failed:
                self._closing.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if away:
                    self._tell("MLflow takes trials again; none is lost")
                self._last_error, pause, failures, away = None, self._first_pause, 0, False
                self._wake.wait()

    def _pass_on(self, noticed: Iterable[str]) -> None:
        for text in noticed:
            if text not in self._said:
                self._said.add(text)
                self._tell(text)

    def _tell(self, text: str) -> None:
        with suppress(Exception):  # a terminal that is gone
            if not self._abandoned.is_set():
                self._say(text)

    def _open(self) -> Tracker:
        """Open the tracker and learn what it has: the journal's marks may be older or younger than its contents."""
        tracker = self._make_tracker()
        there = set(tracker.finished())
        gone = len((self._there & self._journal.finished()) - there)
        if gone:
            self._tell(f"MLflow lost {gone} of the trials it had; what it lost is sent again")
        self._there = there
        self._refused -= there  # an answer that was lost looked like a refusal
        for key in there & self._journal.finished():
            self._mark(key)
        return tracker

    def _deliver(self, tracker: Tracker) -> None:
        """Deliver all that is undelivered; a trial that fails does not hold up the others.

        Raises: TrackerUnreachable at the first sign of it.
        """
        waiting = [key for key in self._journal.recorded() if key not in self._there]
        for key in sorted(waiting, key=self._refused.__contains__):
            if self._abandoned.is_set():
                return
            try:
                tracker.record(self._journal.read(key))
                self._there.add(key)
                self._refused.discard(key)
                self._mark(key)
            except TrackerUnreachable:
                self._refused.add(key)
                raise
            except Exception as error:  # as above; the next trial may be fine
                self._refused.add(key)
                self._last_error = one_line(error)

    def _mark(self, key: str) -> None:
        """Note a delivery. Where that fails, as on a full disk, the next courier asks the tracker what it has."""
        with suppress(SweeperError):
            self._journal.mark_delivered(self._target, key)
