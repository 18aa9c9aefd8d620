"""Coverage-guided inputs for the outbox: `make fuzz`, or `python tests/fuzz/atheris_outbox.py -runs=1000000`.

What is read was sealed with its checksum, a write after any damage leaves a file that reads as before, and nothing but
a SweeperError comes out. Needs `atheris`, which the tests do not.
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports():
    from sweeper.errors import SweeperError
    from sweeper.tracking.journal import RECORDS_FILE, Journal
    from sweeper.tracking.log import ChecksummedLog

FOLDER = Path(tempfile.mkdtemp(prefix="outbox-"))


def sealed(line: bytes) -> bytes:
    """Give a line the checksum that fits: else no input gets past it."""
    return b"%08x %s" % (zlib.crc32(line), line)


def one_input(content: bytes) -> None:
    lines = [sealed(line[1:]) if line.startswith(b"!") else line for line in content.split(b"\n")]
    for file in FOLDER.iterdir():
        file.unlink()
    (FOLDER / RECORDS_FILE).write_bytes(b"\n".join(lines))
    with suppress(SweeperError):  # sealed, but no record of a trial
        Journal(FOLDER).records()
    log = ChecksummedLog(FOLDER / RECORDS_FILE, durable=False)
    before = payloads(log)
    log.append("new", "payload")
    again = ChecksummedLog(FOLDER / RECORDS_FILE, durable=False)
    assert payloads(again) == {"new": "payload"} | before
    assert not again.dropped


def payloads(log: ChecksummedLog) -> dict[str, str]:
    keys = log.keys()
    return {key: log.read(key) for key in keys}


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
