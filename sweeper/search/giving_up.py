"""When to stop running a cell whose first trials all fail in one way: with a bug, nothing is learned from its budget.

Only errors count. A loss that is not finite or diverges is what a study may be there to find out: another setting may
be stable, and the share that is not is a result. An exception is none, nor is a lack of memory or a crash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from sweeper.results.record import TrialRecord

Verdict = Literal["goes on", "open", "given up"]

_INSTABILITY = re.compile(r"\b(is|are) not finite\b|\bthe loss diverged\b")
"""How `training` says that a trial was unstable."""

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?(e[+-]?\d+)?")


def verdict(first: Sequence[TrialRecord | None], after: int) -> Verdict:
    """Say whether a cell is given up.

    Args:
        first: The cell's first trials in their order, whoever finished first; None where one is not recorded yet.
        after: How many must have failed alike; 0 is never.
    """
    if after == 0 or len(first) < after:
        return "goes on"
    known = [record for record in first[:after] if record is not None]
    if any(record.status != "failed" or is_instability(record.reason or "") for record in known):
        return "goes on"
    if len({alike(record.reason or "") for record in known}) > 1:
        return "goes on"
    return "given up" if len(known) == after else "open"


def is_instability(reason: str) -> bool:
    """Whether a trial failed for its setting's sake."""
    return _INSTABILITY.search(reason) is not None


def alike(reason: str) -> str:
    """Return a reason without its numbers: the same error comes with other steps, sizes, addresses and lines."""
    return _NUMBER.sub("#", reason)
