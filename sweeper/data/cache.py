"""Writing into the cache of prepared data: scratch folders that leave nothing behind, disks that refuse, and sizes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeper.errors import DataError
from sweeper.files import is_temporary

ABANDONED_SECONDS = 24 * 3600
"""What is half-finished and this old belongs to a process that was killed, where locks cannot tell."""

FRESH_SECONDS = 60
"""A folder younger than this may not be locked yet."""


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder of one's own in `parent` and remove it in the end, with those that killed processes left there."""
    _sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing_to(cache: Path, what: str) -> Iterator[None]:
    """Turn an error of the disk into a DataError that says where and what there must be room for."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{cache}: cannot keep prepared data there ({error.strerror or error}); choose a folder that can be "
            f"written and has room for {what}"
        ) from error


def size_words(count: float) -> str:
    """Return a number of bytes as `614 bytes`, `61 KB`, `3.2 MB` or `12 GB`, in units of 1000."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("KB", "MB", "GB"):
        count /= 1000
        if count < 999.5 or unit == "GB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def _sweep(parent: Path, prefix: str) -> None:
    """Remove what killed processes left, and nothing of one that is running."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            if _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            continue
    for file in parent.rglob(".*.tmp"):
        with suppress(FileNotFoundError):
            if is_temporary(file) and _age(file) > ABANDONED_SECONDS:
                file.unlink()


def _abandoned(folder: Path) -> bool:
    age = _age(folder)
    if age < FRESH_SECONDS:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        free = _lock(handle)
    finally:
        os.close(handle)
    return age > ABANDONED_SECONDS if free is None else free


def _lock(handle: int) -> bool | None:
    """Lock an open folder until its process closes it or dies; return whether it was free, None where none can tell."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None  # network file systems lock files only, if at all
    return True


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
