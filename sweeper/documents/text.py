"""Text of a file, of bounded size."""

from __future__ import annotations

import codecs
from pathlib import Path

from sweeper.documents.plain import Limits, Malformed

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""How text in UTF-16 and UTF-32 begins; of little-endian UTF-32 too."""


def read_text(path: Path, limits: Limits) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Raises: Malformed when it is too large or no such text; OSError when it cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(limits.size + 1)  # no more, of a file that never ends either
    if len(raw) > limits.size:
        raise Malformed(None, f"is larger than {limits.size:,} bytes", "make it smaller; is it the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        encoding = "is UTF-16 or UTF-32 text" if raw.startswith(_WIDE) else "is not UTF-8 text"
        line = None if raw.startswith(_WIDE) else raw.count(b"\n", 0, error.start) + 1
        raise Malformed(line, encoding, "save the file as UTF-8") from None
