"""The door before whatever keeps results: two methods, so that a stand-in is as good as MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sweeper.errors import TrackingError
from sweeper.results.record import TrialRecord


class Tracker(Protocol):
    """Where finished trials go. Both methods may raise TrackingError, and nothing else."""

    @property
    def noticed(self) -> Sequence[str]:
        """What others did to what is kept, one sentence each: deleted trials and the like."""

    def record(self, record: TrialRecord) -> None:
        """Keep one trial; a key that is already kept stays as it is."""

    def finished(self) -> set[str]:
        """Return the keys of all trials kept."""


class TrackerUnreachable(TrackingError):
    """The tracker does not answer now; the same call may succeed later."""


class TrackerDeleted(TrackerUnreachable):
    """What the trials belong to was deleted in the tracker: to be opened anew, where a user has restored it."""
