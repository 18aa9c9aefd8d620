"""Which worker a trial belongs to: the latest that claimed it.

A worker can outlive what started it, a machine that lost its network for example, while Ray has long started the trial
elsewhere. Files are written whole whoever writes them; the claim keeps the two from taking turns at it.
"""

from __future__ import annotations

import json
import socket
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweeper.files import write_text
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.memory import kernel_kills


class Claim:
    """Of one worker on one trial."""

    def __init__(self, folder: RunFolder, key: str, driver: str) -> None:
        """Take the trial over from whoever had it.

        Args:
            driver: Id of the worker's driver.

        Raises: OSError when the claim cannot be written.
        """
        self._path = claim_path(folder, key)
        self._own = {
            "id": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "driver": driver,
            "kernel_kills": kernel_kills(),
        }
        self.killed_for_memory = _killed_between(self._read(), self._own)
        """Whether the worker before this one, of the same driver, seems to have been killed by the kernel for memory:
        Ray only says that it died."""
        write_text(self._path, json.dumps(self._own))

    @property
    def held(self) -> bool:
        """Whether the trial is still this worker's: none has claimed it since, nor brought it to its end.

        A file that cannot be read says nothing against it.
        """
        if not self._path.exists():
            return False
        found = self._read()
        return found is None or found.get("id") == self._own["id"]

    def release(self) -> None:
        """Say that the worker let go of the trial in good order."""
        if self._read() == self._own:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def claim_path(folder: RunFolder, key: str) -> Path:
    """Return where a trial's claim is kept."""
    return folder.checkpoints / key / "worker.json"


def _killed_between(before: dict[str, Any] | None, now: dict[str, Any]) -> bool:
    if before is None or any(before.get(name) != now[name] for name in ("host", "driver")):
        return False
    counts = before.get("kernel_kills"), now["kernel_kills"]
    return all(isinstance(count, int) for count in counts) and counts[1] > counts[0]
