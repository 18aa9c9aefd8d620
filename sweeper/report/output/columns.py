"""What many of the report's tables share: columns, the order of rows, and the rule printed with them."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from sweeper.report.document import Document
from sweeper.report.output.typeset import Column, level, word

SHOWN = ("iou", "recall", "precision")
"""The minority metrics a summary shows."""

FAMILY = Column("family", word("family"))
LEVEL = Column("background", level, numeric=True)


def rule(document: Document) -> str:
    """Say by which rule epoch and setting of the scores were chosen."""
    return f"Selection: {document.results.meta.get('selection') or 'not recorded'}"


def places(frame: pd.DataFrame, families: list[str]) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Yield the rows of every (family, level), families in the study's order, levels mildest first."""
    for family in families:
        own = frame[frame["family"] == family]
        for at in sorted(own["level"].unique()):
            yield family, float(at), own[own["level"] == at]


def sentence(words: str) -> str:
    """Return the words with a capital letter first."""
    return words[:1].upper() + words[1:]
