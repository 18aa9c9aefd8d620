"""An append-only file of checksummed lines that survives being killed at any byte; `lines` says how they look.

An appended line is on disk when `append` returns. What a crash or a bad disk leaves behind is found by length and
checksum, reported, and repaired by the next writer; readers change nothing, so a file may be read while another process
writes it. A second writer, which should not be, waits its turn and sees what the first one wrote.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sweeper.errors import RunFolderError, SweeperError
from sweeper.files import sync_folder, write_bytes
from sweeper.tracking import lines
from sweeper.tracking.lines import Scan, Span

DAMAGED_KEPT = 16 * 2**20
"""Bytes of damaged lines kept aside, the newest ones."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ChecksummedLog:
    """Keys with one payload each, in the order of writing. A key is written once; writing it again changes nothing."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Read the file if there is one; it is created by the first `append`.

        Args:
            path: The file. Its folder is made when first needed.
            durable: Force each line to disk. Not worth its milliseconds where a lost line is merely repeated.

        Raises: RunFolderError when the file cannot be read.
        """
        self.path = path
        self._durable = durable
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        """Inode and size of the file as this writer left it; None before its first write."""
        found = self._scan()
        self._spans = found.spans
        self.dropped = tuple(self._describe(found))
        """What was found damaged, one sentence each."""

    def keys(self) -> list[str]:
        """Return all keys in the order of writing."""
        with self._lock:
            return list(self._spans)

    def __contains__(self, key: object) -> bool:
        return key in self._spans

    def __len__(self) -> int:
        return len(self._spans)

    def append(self, key: str, payload: str = "") -> None:
        """Write one line, unless the key is there already.

        Raises: RunFolderError when the folder cannot be written, SweeperError when the disk is full or the line is
            longer than `lines.LONGEST`.
        """
        if not lines.is_key(key) or "\n" in payload:
            raise SweeperError(f"{self.path}: {key!r} cannot be recorded; a key is one word and a payload one line")
        with self._lock:
            if key in self._spans:
                return
            line = lines.encode(key, payload)
            if len(line) > lines.LONGEST:
                raise SweeperError(
                    f"{self.path}: {key} cannot be recorded: {len(line)} bytes, at most {lines.LONGEST} are read back; "
                    "evaluate fewer test pictures"
                )
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self._alone():
                    if self._seen is None or self._seen != self._state():
                        self._repair(fresh=self._seen is None)
                    if key not in self._spans:
                        self._spans[key] = self._write(line)
                    self._seen = self._state()
            except OSError as error:
                # Whatever part of the line was written is a torn tail now; the next append sees and removes it.
                raise self._told(key, error) from error

    def read(self, key: str) -> str:
        """Return the payload of a key, which is checked again.

        Raises: KeyError when it was never written, RunFolderError when the file is gone or has been damaged since.
        """
        with self._lock:
            span = self._spans[key]
            try:
                parsed = self._parsed_at(span)
                if parsed is None or parsed[0] != key:  # another writer may have repaired the file meanwhile
                    span = self._scan().spans.get(key, span)
                    parsed = self._parsed_at(span)
            except OSError as error:
                raise RunFolderError(f"{self.path}: can no longer be read ({error}); restore it from a copy") from error
            if parsed is None or parsed[0] != key:
                raise RunFolderError(
                    f"{self.path}: the line of {key} was damaged after it was read; "
                    "run the same command again, which records what is lost anew"
                )
            self._spans[key] = span
            return parsed[1]

    def _parsed_at(self, span: Span) -> tuple[str, str] | None:
        with self.path.open("rb") as file:
            file.seek(span.offset)
            return lines.parse(file.read(span.length))

    def _write(self, line: bytes) -> Span:
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if self._durable:
                os.fsync(descriptor)
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
        finally:
            os.close(descriptor)
        if new and self._durable:
            sync_folder(self.path.parent)
        return Span(end - len(line), len(line))

    def _state(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other writers out. The lock is on the folder, since a repair replaces the file.

        Where folders have no locks, as on some network file systems, the lease of the run folder must do.
        """
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _scan(self) -> Scan:
        try:
            with self.path.open("rb") as file:
                return lines.scan(file)
        except FileNotFoundError:
            return Scan()
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be read ({error.strerror}); check its permissions") from error

    def _repair(self, *, fresh: bool) -> None:
        """Make the file end with a whole line and hold none that is damaged, and everything in it durable.

        Args:
            fresh: Whether this writer has written nothing yet, so that there may be no file.
        """
        found = self._scan()
        self.dropped = tuple(dict.fromkeys([*self.dropped, *self._describe(found)]))
        if not self.path.exists():
            if not fresh:
                raise RunFolderError(f"{self.path}: was removed while it is in use; restore it from a copy")
            self._spans = {}
            return
        with self.path.open("r+b") as file:
            if found.tail is not None and found.tail_whole:
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            elif found.tail is not None:
                file.truncate(found.tail.offset)
            file.flush()
            if self._durable:
                os.fsync(file.fileno())
            if found.damaged:
                self._set_aside(file, [span for _, span in found.damaged])
        self._spans = self._scan().spans

    def _set_aside(self, file: BinaryIO, damaged: Sequence[Span]) -> None:
        """Move damaged lines to a file of their own, which keeps the newest DAMAGED_KEPT bytes of such."""
        aside = b""
        with suppress(FileNotFoundError):
            aside = self._aside.read_bytes()
        for span in damaged:
            length = min(span.length, DAMAGED_KEPT)
            file.seek(span.offset + span.length - length)
            aside = (aside + file.read(length))[-DAMAGED_KEPT:]
        # The damaged lines are safe on disk before the file without them takes its place.
        write_bytes(self._aside, aside)
        sound = self.path.with_name(self.path.name + ".sound")
        try:
            with sound.open("wb") as new:
                for piece in _without(file, damaged):
                    new.write(piece)
                new.flush()
                os.fsync(new.fileno())
            os.replace(sound, self.path)
        except BaseException:
            sound.unlink(missing_ok=True)
            raise
        sync_folder(self.path.parent)

    @property
    def _aside(self) -> Path:
        return self.path.with_name(self.path.name + ".damaged")

    def _describe(self, found: Scan) -> Iterable[str]:
        for number, span in found.damaged:
            yield (
                f"{self.path}: line {number} ({span.length} bytes) is damaged and left out; "
                f"the next write moves it to {self._aside.name}"
            )
        if found.tail is not None and not found.tail_whole:
            yield f"{self.path}: its last line was cut short after {found.tail.length} bytes and is left out"

    def _told(self, key: str, error: OSError) -> SweeperError:
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError) or error.errno == errno.EROFS:
            return RunFolderError(f"{self.path}: cannot be written ({error.strerror}); choose another run folder")
        mend = "free space on" if error.errno in _FULL else "mend"
        return SweeperError(
            f"{self.path}: {key} could not be recorded ({error.strerror}); "
            f"{mend} this disk and run the same command again"
        )


def _without(file: BinaryIO, spans: Iterable[Span]) -> Iterator[bytes]:
    """Yield the contents of a file but for some spans, in pieces."""
    file.seek(0, os.SEEK_END)
    start = 0
    for span in [*spans, Span(file.tell(), 0)]:
        file.seek(start)
        while piece := file.read(min(lines.PIECE, span.offset - start)):
            start += len(piece)
            yield piece
        start = span.offset + span.length
