"""Writing into the cache of prepared data: scratch folders that leave nothing behind, disks that refuse, and sizes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import DataError

ABANDONED_SECONDS = 24 * 3600
"""A half-finished folder this old belongs to a process that was killed."""


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder of one's own in `parent` and remove it in the end, with those that killed processes left there."""
    _sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
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
    """Remove what killed processes left; young folders may belong to one that is running."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            continue
