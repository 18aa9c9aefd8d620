"""Who a run folder is, wherever it is moved to: what tells two studies of one name apart on a shared server."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from pathlib import Path

from sweeper.files import write_bytes
from sweeper.tracking import lines

ID_FILE = "outbox/id"

COPIES = 3
"""Checksummed lines that say the same: an id lost to one bad byte would send a whole study again."""

_ID = re.compile(r"[0-9a-f]{32}")


def identity(run_folder: Path) -> str:
    """Return the id of a run folder: 32 hexadecimal digits, drawn when first asked for. A copy is the same study.

    Raises: OSError when it has none and cannot be written.
    """
    file = run_folder / ID_FILE
    known = known_identity(run_folder)
    if known is None:
        known = uuid.uuid4().hex
        write_bytes(file, _content(known))
    elif file.read_bytes() != _content(known):
        with suppress(OSError):
            write_bytes(file, _content(known))
    return known


def known_identity(run_folder: Path) -> str | None:
    """Return the id of a run folder, or None where none was drawn yet or no copy of it is whole."""
    try:
        content = (run_folder / ID_FILE).read_bytes()
    except OSError:
        return None
    for line in content.splitlines():
        parsed = lines.parse(line)
        if parsed is not None and _ID.fullmatch(parsed[1]):
            return parsed[1]
    return None


def _content(known: str) -> bytes:
    return lines.encode("id", known) * COPIES
