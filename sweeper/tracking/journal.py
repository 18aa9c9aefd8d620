"""The journal of a study: every finished trial, on disk before anyone else hears of it.

It is the truth about what is recorded. Trackers are copies of it, filled as they can be reached.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweeper.errors import RunFolderError, SweeperError
from sweeper.results.record import TrialRecord
from sweeper.results.recorded import from_json
from sweeper.tracking.log import ChecksummedLog
from sweeper.tracking.payload import pack, unpack

RECORDS_FILE = "trials.log"


class Journal:
    """The outbox folder of one study. Safe to use from several threads; one process writes, others may read."""

    def __init__(self, folder: Path) -> None:
        """Open what is in `folder`; nothing is created or repaired until the first write.

        Raises: RunFolderError when the folder cannot be read.
        """
        self.folder = folder
        self._trials = ChecksummedLog(folder / RECORDS_FILE)
        self._delivered: dict[str, ChecksummedLog] = {}
        self._lock = threading.Lock()

    @property
    def dropped(self) -> tuple[str, ...]:
        """What a crash or a bad disk damaged, one sentence each; such trials are not recorded and will run again."""
        return self._trials.dropped

    def append(self, record: TrialRecord) -> None:
        """Record one trial: on disk when this returns. A key already recorded stays as it is.

        Raises: SweeperError when the disk is full or the record holds a value that is not finite or not plain data;
            RunFolderError when the folder cannot be written.
        """
        if record.key in self._trials:
            return
        try:
            line = record.to_json()
        except (TypeError, ValueError) as error:
            raise SweeperError(
                f"trial {record.key} of {record.family} cannot be recorded: {_culprit(record) or error}; "
                "give undefined values as None, numbers as plain int or float"
            ) from error
        self._trials.append(record.key, pack(line))

    def records(self) -> list[TrialRecord]:
        """Return all recorded trials in the order they were recorded."""
        return [self.read(key) for key in self.recorded()]

    def read(self, key: str) -> TrialRecord:
        """Return one recorded trial.

        Raises: KeyError when there is none of that key, RunFolderError when it cannot be used: written by another
            version of sweeper or by someone else, or damaged since.
        """
        line = self._trials.read(key)
        try:
            record = from_json(unpack(line))
        except ValueError as error:
            raise RunFolderError(
                f"{self._trials.path}: trial {key} was recorded by another version of sweeper, or not by sweeper "
                f"({error}); use that version, or another run folder"
            ) from error
        if record.key != key:
            raise RunFolderError(
                f"{self._trials.path}: the line of trial {key} holds trial {record.key}; restore the file from a copy"
            )
        return record

    def recorded(self) -> list[str]:
        """Return the keys of all recorded trials in the order they were recorded."""
        return self._trials.keys()

    def finished(self) -> set[str]:
        """Return the keys of all recorded trials."""
        return set(self.recorded())

    def delivered(self, target: str) -> set[str]:
        """Return the keys marked as delivered to `target`, an id made by `uri.target_id`."""
        return set(self._marks(target).keys())

    def mark_delivered(self, target: str, key: str) -> None:
        """Note that `target` has the trial. A note lost in a crash costs one more delivery, which changes nothing."""
        self._marks(target).append(key)

    def _marks(self, target: str) -> ChecksummedLog:
        with self._lock:
            if target not in self._delivered:
                self._delivered[target] = ChecksummedLog(self.folder / f"delivered-{target}.log", durable=False)
            return self._delivered[target]


def _culprit(record: TrialRecord) -> str | None:
    """Name the first value that JSON cannot hold, e.g. `history[3].train_loss is nan`."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in record.__dataclass_fields__}
    for name, value in _leaves(fields):
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name} is {value}"
        try:
            json.dumps(value)
        except TypeError:
            return f"{name} is a {type(value).__name__}"
    return None


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}[{index}]")
    elif hasattr(value, "__dataclass_fields__"):
        yield from _leaves({field: getattr(value, field) for field in value.__dataclass_fields__}, name)
    else:
        yield name, value
