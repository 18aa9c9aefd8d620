"""An append-only file of checksummed lines that survives being killed at any byte.

One line is `<crc32, 8 hex digits> <key> <payload>`; the checksum covers all that follows. An appended line is on disk
when `append` returns. What a crash or a bad disk leaves behind is found by length and checksum, reported, and repaired
by the next writer; readers change nothing, so a file may be read while another process writes it.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import RunFolderError, SweeperError
from sweeper.files import sync_folder


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a key's payload lies in the file, in bytes."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _Scan:
    entries: dict[str, Entry]
    damaged: tuple[tuple[int, bytes], ...]
    """Line number (from 1) and bytes of each whole line whose checksum is wrong."""
    tail: bytes
    """What follows the last newline: a write that was cut short, else empty."""
    sound: int
    """Length of the file without its tail, in bytes."""


class ChecksummedLog:
    """Keys with one payload each, in the order of writing. A key is written once; writing it again changes nothing."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Read the file if there is one; it is created by the first `append`.

        Args:
            path: The file. Its folder is made when first needed.
            durable: Force each line to disk. Not worth its milliseconds where a lost line is merely repeated.
        """
        self.path = path
        self._durable = durable
        self._lock = threading.RLock()
        self._repaired = False
        scan = self._scan()
        self._entries = scan.entries
        self.dropped = tuple(self._describe(scan))
        """What was found damaged, one sentence each."""

    def keys(self) -> list[str]:
        """Return all keys in the order of writing."""
        with self._lock:
            return list(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, key: str, payload: str = "") -> None:
        """Write one line, unless the key is there already.

        Raises: RunFolderError when the folder cannot be written, SweeperError when the disk is full.
        """
        if not key or not key.isprintable() or " " in key or "\n" in payload:
            raise SweeperError(f"{self.path}: {key!r} cannot be recorded; a key is one word and a payload one line")
        with self._lock:
            if key in self._entries:
                return
            try:
                if not self._repaired:
                    self._repair()
                    self._repaired = True
                if key not in self._entries:
                    self._entries[key] = self._write(key, payload)
            except OSError as error:
                # Whatever part of the line was written is a torn tail now; the next append removes it.
                self._repaired = False
                raise self._told(key, error) from error

    def read(self, key: str) -> str:
        """Return the payload of a key.

        Raises: KeyError when it was never written, RunFolderError when the file is gone or has been changed.
        """
        with self._lock:
            entry = self._entries[key]
            try:
                with self.path.open("rb") as file:
                    file.seek(entry.offset)
                    return file.read(entry.length).decode()
            except (OSError, UnicodeDecodeError) as error:
                raise RunFolderError(f"{self.path}: can no longer be read ({error}); restore it from a copy") from error

    def _write(self, key: str, payload: str) -> Entry:
        body = f"{key} {payload}".encode()
        line = b"%08x %s\n" % (zlib.crc32(body), body)
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
        length = len(payload.encode())
        return Entry(end - 1 - length, length)

    def _scan(self) -> _Scan:
        entries: dict[str, Entry] = {}
        damaged: list[tuple[int, bytes]] = []
        tail, position = b"", 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.endswith(b"\n"):
                        tail = line
                        break
                    parsed = _parse(line[:-1])
                    if parsed is None:
                        damaged.append((number, line))
                    else:
                        key, start = parsed
                        entries.setdefault(key, Entry(position + start, len(line) - 1 - start))
                    position += len(line)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be read ({error.strerror}); check its permissions") from error
        if tail and (parsed := _parse(tail)) is not None:  # whole but for its newline
            key, start = parsed
            entries.setdefault(key, Entry(position + start, len(tail) - start))
        return _Scan(entries, tuple(damaged), tail, position)

    def _repair(self) -> None:
        """Make the file end with a whole line and hold none that is damaged, losing no byte of a damaged one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scan = self._scan()
        self._entries = scan.entries
        self.dropped = tuple(dict.fromkeys([*self.dropped, *self._describe(scan)]))
        if scan.tail:
            with self.path.open("r+b") as file:
                if _parse(scan.tail) is None:
                    file.truncate(scan.sound)
                else:
                    file.seek(0, os.SEEK_END)
                    file.write(b"\n")
                file.flush()
                os.fsync(file.fileno())
        if scan.damaged:
            self._set_aside(scan.damaged)
            self._entries = self._scan().entries

    def _set_aside(self, damaged: Iterable[tuple[int, bytes]]) -> None:
        lines = dict(damaged)
        with self._aside.open("ab") as aside:
            aside.writelines(lines.values())
            aside.flush()
            os.fsync(aside.fileno())
        # The damaged lines are safe on disk before the file without them takes its place.
        sound = self.path.with_name(self.path.name + ".sound")
        with self.path.open("rb") as old, sound.open("wb") as new:
            new.writelines(line for number, line in enumerate(old, start=1) if number not in lines)
            new.flush()
            os.fsync(new.fileno())
        os.replace(sound, self.path)
        sync_folder(self.path.parent)

    @property
    def _aside(self) -> Path:
        return self.path.with_name(self.path.name + ".damaged")

    def _describe(self, scan: _Scan) -> Iterable[str]:
        for number, line in scan.damaged:
            yield (
                f"{self.path}: line {number} ({len(line)} bytes) is damaged and left out; "
                f"the next write moves it to {self._aside.name}"
            )
        if scan.tail and _parse(scan.tail) is None:
            yield f"{self.path}: its last line was cut short after {len(scan.tail)} bytes and is left out"

    def _told(self, key: str, error: OSError) -> SweeperError:
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            return RunFolderError(f"{self.path}: cannot be written ({error.strerror}); choose another run folder")
        return SweeperError(
            f"{self.path}: {key} could not be recorded ({error.strerror}); "
            "free space on this disk and run the same command again"
        )


def _parse(line: bytes) -> tuple[str, int] | None:
    """Return the key of a line without its newline and where its payload starts, or None when it is damaged."""
    crc, space, body = line.partition(b" ")
    key, gap, _ = body.partition(b" ")
    if not (space and gap) or crc != b"%08x" % zlib.crc32(body):
        return None
    return key.decode(errors="replace"), len(crc) + 1 + len(key) + 1
