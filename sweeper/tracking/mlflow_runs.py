"""Runs made once, though MLflow gives no way to ask for that: found before they are made, and looked for after.

A request whose answer is lost is repeated by MLflow's own client, and one that was given up may be carried out minutes
later. So whatever was asked for once may be there twice: the first that holds anything is used, those that hold nothing
are deleted, which MLflow can undo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sweeper.tracking.door import TrackerUnreachable

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient


def make(
    client: MlflowClient,
    experiment_id: str,
    find: Callable[[], Iterable[Run]],
    *,
    name: str,
    tags: Mapping[str, str],
    start_time: int | None = None,
    holds: Callable[[Run], bool] = lambda run: bool(run.data.params or run.data.metrics),
) -> Run:
    """Make a run and return it, or one for the same thing that was there after all.

    Args:
        find: Returns all active runs for the same thing.
        start_time: Milliseconds since 1970; now by default.
        holds: Whether a run holds anything, asked where there are several.

    Raises: TrackerUnreachable when the answer names no run.
    """
    made = client.create_run(experiment_id, start_time=start_time, tags=dict(tags), run_name=name)
    return only(client, [*find()] or [made], holds)


def only(client: MlflowClient, runs: Sequence[Run], holds: Callable[[Run], bool]) -> Run:
    """Return the run to use of those for the same thing, and delete the others that hold nothing.

    Raises: TrackerUnreachable when it has no id: an answer without content.
    """
    ordered = sorted(runs, key=lambda run: (run.info.start_time or 0, run.info.run_id))
    if not all(run.info.run_id for run in ordered):
        raise TrackerUnreachable("MLflow gave an answer without content")
    if len(ordered) == 1:
        return ordered[0]
    full = [run for run in ordered if holds(run)]
    kept = full or ordered[:1]
    for run in ordered:
        if run not in kept:
            client.delete_run(run.info.run_id)
    return kept[0]
