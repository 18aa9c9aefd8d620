"""Early stopping within one cell: asynchronous successive halving (ASHA; Li et al. 2020, arXiv:1810.05934).

Ours rather than Ray's, because a rung must hold the trials recorded before a restart too, and only those a trial may
see whatever the machine's timing; Ray's scheduler keeps its rungs in memory and fills them as trials happen to report.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REDUCTION = 3
"""One trial in three goes on at every rung."""


def rungs(epochs: int) -> tuple[int, ...]:
    """Return the epochs at which trials are compared: a ninth of the schedule, then each time three times as late."""
    found: list[int] = []
    rung = max(1, round(epochs / REDUCTION**2))
    while rung < epochs:
        found.append(rung)
        rung *= REDUCTION
    return tuple(found)


def goes_on(value: float, peers: Sequence[float]) -> bool:
    """Say whether a trial scoring `value` (larger is better) at a rung is in the best third of itself and its peers."""
    if not peers:
        return True
    return bool(value >= np.quantile([*peers, value], 1 - 1 / REDUCTION))
