"""Delivering in the foreground what a run could not: `sweeper sync`."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.errors import RunFolderError, TrackingError
from sweeper.results.mlflow_client import one_line
from sweeper.tracking.door import Tracker, TrackerUnreachable
from sweeper.tracking.journal import Journal


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What `sync` did."""

    delivered: int
    """Trials the tracker did not have and now has."""
    present: int
    """Trials it already had."""
    refused: dict[str, str]
    """Trial key -> why the tracker would not take it, in one line."""
    noticed: tuple[str, ...] = ()
    """What others deleted in the tracker, one sentence each."""


def sync(journal: Journal, tracker: Tracker, target: str) -> SyncReport:
    """Bring `tracker` level with `journal`. What the tracker says it has counts, not the delivery marks.

    Args:
        target: Id under which the journal notes what the tracker has, made by `uri.target_id`.

    Raises: TrackerUnreachable when the tracker stops answering; what was delivered until then stays delivered.
    """
    there = tracker.finished()
    again = len((journal.delivered(target) & journal.finished()) - there)
    delivered, present, refused = 0, 0, {}
    for key in journal.recorded():
        if key in there:
            present += 1
        else:
            try:
                tracker.record(journal.read(key))
                delivered += 1
            except TrackerUnreachable:
                raise
            except (TrackingError, RunFolderError) as error:
                refused[key] = one_line(error)
                continue
        journal.mark_delivered(target, key)
    lost = [f"MLflow lost {again} of the trials it had; what it lost was sent again"] if again else []
    return SyncReport(delivered, present, refused, (*lost, *tracker.noticed))
