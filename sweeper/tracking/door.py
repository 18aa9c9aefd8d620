"""The door before whatever keeps results: two methods, so that a stand-in is as good as MLflow."""

from __future__ import annotations

from typing import Protocol

from sweeper.errors import TrackingError
from sweeper.results.record import TrialRecord


class Tracker(Protocol):
    """Where finished trials go. Both methods may raise TrackingError, and nothing else."""

    def record(self, record: TrialRecord) -> None:
        """Keep one trial; a key that is already kept stays as it is."""

    def finished(self) -> set[str]:
        """Return the keys of all trials kept."""


class TrackerUnreachable(TrackingError):
    """The tracker does not answer now; the same call may succeed later."""
