"""Names from strangers as text: what would turn a line round or hide in it is shown as a mark instead."""

from __future__ import annotations

import re

HIDDEN = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Control characters, and those that are invisible or change the direction of the text after them."""

MARK = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Return `text` with every hidden character shown as a mark; letters of right-to-left scripts stay."""
    return HIDDEN.sub(MARK, text)
