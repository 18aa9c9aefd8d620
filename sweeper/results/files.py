"""Writing a file of results, with a full disk told in one line."""

from __future__ import annotations

from pathlib import Path

from sweeper.errors import ResultsError
from sweeper.files import write_bytes


def replace_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that readers see the old file or the new one, never half of either.

    Raises: ResultsError when the folder cannot be written or the disk is full.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
