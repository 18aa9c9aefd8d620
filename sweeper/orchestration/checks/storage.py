"""The disk that run folders go to: whether files can be written, renamed and locked there. Nothing is left behind."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sweeper.files import write_text
from sweeper.orchestration.checks.finding import Finding, ok, problem, unknown


@dataclass(frozen=True)
class Tried:
    """What trying a folder came to."""

    where: Path
    """The nearest folder that exists."""
    error: str | None = None
    """Why nothing can be written there."""
    no_locks: str | None = None
    """Why a lock does not keep a second process out."""
    ahead: float | None = None
    """By how many seconds the file system's clock is ahead of ours."""


def nearest(folder: Path) -> Path:
    """Return the folder, or the first above it that exists."""
    folder = folder.expanduser().absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def try_out(folder: Path) -> Tried:
    """Write, rename and lock files in a folder of their own below `folder`, and remove it."""
    where = nearest(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".sweeper-doctor-", dir=where) as scratch:
            file = Path(scratch) / "file"
            before = time.time()
            write_text(file, "one")
            ahead = file.stat().st_mtime - before
            write_text(file, "two")
            if file.read_text(encoding="utf-8") != "two":
                return Tried(where, error="what was written is not what is read")
            return Tried(where, no_locks=_why_no_locks(file), ahead=ahead)
    except OSError as error:
        return Tried(where, error=error.strerror or str(error))


def writable(tried: Tried) -> Finding:
    """Judge whether run folders can be made."""
    if tried.error is not None:
        return problem("folder", f"{tried.where}: cannot be written ({tried.error})", "give another with --out")
    return ok("folder", f"{tried.where}: can be written")


def locks(tried: Tried) -> Finding:
    """Judge whether a second driver would be kept out."""
    if tried.error is not None:
        return unknown("locks", "no file can be written")
    if tried.no_locks is not None:
        return problem(
            "locks",
            f"{tried.where}: its file system does not lock ({tried.no_locks}), so two runs could drive one study",
            "mount it with locks (NFS: version 4), or give another folder with --out",
        )
    return ok("locks", "files can be locked")


def _why_no_locks(file: Path) -> str | None:
    first = os.open(file, os.O_RDWR)
    second = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return "a file that is locked can be locked again"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(second)
        os.close(first)
