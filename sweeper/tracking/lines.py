"""The lines of a checksummed log: how one is written, told from damage, and found in a file. Changes nothing.

One line is `<crc32, 8 hex digits> <key> <payload>`; the checksum covers all that follows it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

LONGEST = 256 * 2**20
"""Bytes of the longest line: a record of some 40,000 test pictures. Whatever is longer was not written by sweeper."""

PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Span:
    """Where a line lies in its file, in bytes; its newline counts."""

    offset: int
    length: int


@dataclass(slots=True)
class Scan:
    """What a file holds."""

    spans: dict[str, Span] = field(default_factory=dict)
    """The first whole line of every key, in the order of writing."""
    damaged: list[tuple[int, Span]] = field(default_factory=list)
    """Number (from 1) and place of each line that ends but is not what was written."""
    tail: Span | None = None
    """What follows the last newline: a write that was cut short, or a whole line that only lacks its newline."""
    tail_whole: bool = False


def encode(key: str, payload: str) -> bytes:
    """Return the line of a key and its payload, newline included."""
    body = f"{key} {payload}".encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def is_key(key: str) -> bool:
    """Whether a line can hold `key`: one printable word."""
    return bool(key) and key.isprintable() and " " not in key


def parse(line: bytes) -> tuple[str, str] | None:
    """Return key and payload of a line, with or without its newline, or None when it is damaged."""
    crc, space, body = line.removesuffix(b"\n").partition(b" ")
    if not space or crc != b"%08x" % zlib.crc32(body):
        return None
    try:
        key, gap, payload = body.decode().partition(" ")
    except UnicodeDecodeError:
        return None
    return (key, payload) if gap and is_key(key) else None


def scan(file: BinaryIO) -> Scan:
    """Look through a file from its start, holding no more than one line of it in memory."""
    found = Scan()
    for number, span, line, ended in _lines(file):
        parsed = None if line is None else parse(line)
        if not ended:
            found.tail, found.tail_whole = span, parsed is not None
        if parsed is not None:
            found.spans.setdefault(parsed[0], span)
        elif ended:
            found.damaged.append((number, span))
    return found


def _lines(file: BinaryIO) -> Iterator[tuple[int, Span, bytes | None, bool]]:
    """Yield number, place, bytes (None where too long) of every line, and whether it ends with a newline."""
    number, offset = 0, 0
    while line := file.readline(LONGEST):
        number += 1
        length, kept = len(line), line
        while not line.endswith(b"\n") and length >= LONGEST and (line := file.readline(PIECE)):
            length += len(line)
        yield number, Span(offset, length), kept if length <= LONGEST else None, (line or kept).endswith(b"\n")
        offset += length
