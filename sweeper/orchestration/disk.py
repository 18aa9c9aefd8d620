"""Disks that are full: one clear message, wherever it shows."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No space, no quota, and a limit on the size of files, which some sites set instead."""


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into one message.

    Args:
        folder: Where most is written; named where the error itself names no file.

    Raises: DiskFull.
    """
    try:
        yield
    except Exception as error:
        full = _cause(error)
        if full is None:
            raise
        where = full.filename or folder
        raise DiskFull(
            f"{where}: no room to write ({full.strerror or 'the disk is full'}); nothing recorded is lost. "
            "Free space on this disk and give the same command again"
        ) from error


def _cause(error: BaseException | None) -> OSError | None:
    """Return the full disk behind an error; Ray and Arrow raise errors of their own over it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error = error.__cause__ or error.__context__
    return None
