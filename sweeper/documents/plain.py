"""Plain data: text, finite numbers, true and false, null, lists and keyed values. Nothing else gets in."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KeyPath = tuple[str | int, ...]

SMALLEST, LARGEST = -(2**63), 2**63 - 1
"""Whole numbers that every store holds; Parquet and SQLite end here."""


class Malformed(Exception):
    """A document that cannot be used. Callers turn it into an error that names the file."""

    def __init__(self, line: int | None, wrong: str, right: str) -> None:
        super().__init__(wrong)
        self.line = line
        """From 1; None where it is not known."""
        self.wrong = wrong
        self.right = right


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How large a document may be. What a person writes is far below; what hangs a reader is far above."""

    size: int
    """Bytes of the file; characters too, once its aliases are written out."""
    values: int
    """Values, once its aliases are written out."""
    depth: int = 32
    """Keys and lists inside each other."""


def check_plain(value: Any, limits: Limits, line: int | None = None, depth: int = 0) -> None:
    """Raise Malformed unless `value` is plain data all the way down."""
    if depth > limits.depth:
        raise too_much(line)
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_key(key, line)
            check_plain(item, limits, line, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_plain(item, limits, line, depth + 1)
    else:
        check_single(value, line)


def check_key(key: object, line: int | None) -> None:
    """Raise Malformed unless `key` is a word or a whole number (a mask value is one)."""
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise Malformed(line, f"the key {key!r} is not a word", "use plain words as keys")
    if isinstance(key, str) and not key.isprintable():
        raise Malformed(line, f"the key {key!r} holds characters that cannot be seen", "type the key anew")
    check_single(key, line)


def check_single(value: object, line: int | None) -> None:
    """Raise Malformed unless `value` is null, true, false, a finite number or text that can be shown and stored."""
    if isinstance(value, str):
        bad = next((character for character in value if _is_unfit(character)), None)
        if bad is not None:
            wrong = f"a text holds the character U+{ord(bad):04X}, which cannot be shown or stored"
            raise Malformed(line, wrong, "remove it; write other characters as themselves")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Malformed(line, f"{value} is not a finite number", "write a finite number, or leave the key out")
    elif isinstance(value, int):
        if not SMALLEST <= value <= LARGEST:
            raise Malformed(line, "a whole number is beyond 64 bits", "write a smaller number")
    elif value is not None:
        raise Malformed(line, f"a {type(value).__name__} is no plain value", "use text, numbers, lists and keys")


def too_much(line: int | None) -> Malformed:
    """Return the error for a document that holds, or expands to, more than anyone writes."""
    return Malformed(line, "expands to too many or too deeply nested values", "write it out plainly")


def _is_unfit(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r"
