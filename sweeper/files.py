"""Writing files whole or not at all: the one place that knows temporary names, fsync and rename."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
"""The names that `write_bytes` gives."""


def write_text(path: Path, text: str) -> None:
    """Write `text`, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write `parts` one after the other, so that `path` holds the old file or the new one at every moment.

    That holds after a power cut too. Folders are made as needed. Several processes may write the same path at once:
    the last one stays, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename itself durable, where folders can be synced."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # Some network file systems refuse; the file's own content is safe already.
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def remove_temporaries(folder: Path, *, below: bool = True) -> None:
    """Remove what `write_bytes` leaves in `folder` when its process is killed. Nobody may be writing there.

    Args:
        below: Also in the folders below it.
    """
    for path in folder.rglob(".*.tmp") if below else folder.glob(".*.tmp"):
        if is_temporary(path):
            path.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a file has a name that `write_bytes` gives while it writes."""
    return _TEMPORARY.fullmatch(path.name) is not None
