"""What befell a trial that says nothing of its result: kept beside its checkpoint until it is recorded.

Whoever runs the trial next finds it there: another worker, on another machine, under another driver.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from sweeper.durations import duration
from sweeper.files import write_text
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.memory import Where

ATTEMPTS = 2
"""How often a trial is tried that runs out of memory or hangs."""

_MORE_MEMORY = "give it a smaller training.batch_size or model, or more of the machine (resources, Ray's memory)"
_MORE_TIME = "where a step may take that long, give resources.stall more seconds"


@dataclass(frozen=True)
class Mishaps:
    """Of one trial, oldest first."""

    memory: tuple[Where, ...] = ()
    """Where memory ran out, once for each time."""
    batch: str = ""
    """How the batch was trained after the first time, in words; empty if that is not known."""
    stalls: tuple[float, ...] = ()
    """Seconds without progress, once for each worker that was stopped for it."""

    @property
    def verdict(self) -> str | None:
        """Why the trial is not tried again; None while it may be."""
        if len(self.memory) >= ATTEMPTS:
            again = f", tried again with the batch {self.batch}" if self.batch else f" {ATTEMPTS} times"
            return f"out of memory on the {self.memory[-1]}{again}; {_MORE_MEMORY}"
        if len(self.stalls) >= ATTEMPTS:
            return f"no progress for {duration(self.stalls[-1])}, {ATTEMPTS} times; {_MORE_TIME}"
        return None


def mishaps_path(folder: RunFolder, key: str) -> Path:
    """Return where a trial's mishaps are kept."""
    return folder.checkpoints / key / "mishaps.json"


def read_mishaps(folder: RunFolder, key: str) -> Mishaps:
    """Return what befell a trial so far; of a file that cannot be read nothing is known, and the trial is tried."""
    try:
        found = json.loads(mishaps_path(folder, key).read_text(encoding="utf-8"))
        memory = tuple(where for where in found["memory"] if where in ("GPU", "host"))
        return Mishaps(memory, str(found["batch"]), tuple(float(seconds) for seconds in found["stalls"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Mishaps()


def note_memory(folder: RunFolder, key: str, where: Where) -> Mishaps:
    """Note that a trial ran out of memory. Raises: OSError."""
    known = read_mishaps(folder, key)
    return _write(folder, key, dataclasses.replace(known, memory=(*known.memory, where)))


def note_batch(folder: RunFolder, key: str, batch: str) -> Mishaps:
    """Note how the batch of a trial that ran out of memory is trained now. Raises: OSError."""
    return _write(folder, key, dataclasses.replace(read_mishaps(folder, key), batch=batch))


def note_stall(folder: RunFolder, key: str, seconds: float) -> Mishaps:
    """Note that a trial's worker was stopped after `seconds` without progress. Raises: OSError."""
    known = read_mishaps(folder, key)
    return _write(folder, key, dataclasses.replace(known, stalls=(*known.stalls, seconds)))


def _write(folder: RunFolder, key: str, mishaps: Mishaps) -> Mishaps:
    write_text(mishaps_path(folder, key), json.dumps(dataclasses.asdict(mishaps)))
    return mishaps
