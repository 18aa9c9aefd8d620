"""A trial's record as one word of a log line: JSON, compressed where that is worth it; and the size of it all."""

from __future__ import annotations

import base64
import binascii
import zlib

PLAIN = 1000
"""Characters up to which JSON is kept as it is; also how earlier versions kept all of it."""
LARGEST = 2**30
"""Bytes of JSON that are unpacked at most, four times the longest line: a small line may pretend to hold anything."""

_MARK = "z"
"""Begins a compressed payload; JSON begins with a brace."""

# Characters of JSON in real journals, and what packing leaves of one.
_RECORD = 1100
_EPOCH = 300
_SCORE = 72
_HISTOGRAMS = 2450
_CALIBRATION = 1500
_PACKED = 0.35

_POOLED = 20
"""Scores per class over all pictures: of validation and test, at both operating points."""
_PER_PICTURE = 20
"""Scores per class and picture: counts and surface distances at both operating points."""


def pack(text: str) -> str:
    """Return JSON of one line as a payload without line breaks."""
    if len(text) <= PLAIN:
        return text
    return _MARK + base64.b64encode(zlib.compress(text.encode())).decode("ascii")


def unpack(payload: str) -> str:
    """Read what `pack` made, in this version or before there was compression.

    Raises: ValueError where it is not that, or would unpack to more than LARGEST bytes.
    """
    if not payload.startswith(_MARK):
        return payload
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(base64.b64decode(payload[len(_MARK) :], validate=True), LARGEST)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"its payload cannot be unpacked: {error}") from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError(f"its payload does not unpack to one record of at most {LARGEST} bytes")
    return text.decode()


def journal_bytes(*, search: int, confirm: int, epochs: int, classes: int, pictures: int) -> int:
    """Return about how many bytes of disk the journal of a study will take: within a factor of two of the truth.

    Every trial is written once, so this is also where it ends: damaged lines kept aside add at most
    `log.DAMAGED_KEPT`, and marks of what was delivered some 40 bytes per trial and tracking address.

    Args:
        search: Trials of the search.
        confirm: Trials that are scored on test, picture by picture.
        epochs: Of one trial.
        classes: The background among them.
        pictures: Of the test split.
    """
    searched = _RECORD + epochs * _EPOCH + classes * _POOLED * _SCORE / 2
    pooled = _RECORD + epochs * _EPOCH + classes * _POOLED * _SCORE + _CALIBRATION
    confirmed = pooled + (pictures + 1) * (_HISTOGRAMS + classes * _PER_PICTURE * _SCORE)
    return round(_PACKED * (search * searched + confirm * confirmed))
