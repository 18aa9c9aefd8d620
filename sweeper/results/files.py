"""Writing a file so that readers see the old one or the new one, never half of either."""

from __future__ import annotations

import os
from pathlib import Path

from sweeper.errors import ResultsError


def replace_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, force it to disk, then rename it into place; folders are made as needed.

    Raises: ResultsError when the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
