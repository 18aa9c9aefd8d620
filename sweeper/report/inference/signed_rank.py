"""Wilcoxon's signed-rank test, for many pairs at once."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from sweeper.report.inference.statistics import Array

EXACT = 50
"""Up to so many differences the p-value is exact, ties or not; beyond, by the normal approximation."""

DECIMALS = 12
"""Differences are rounded to so many: two that differ by less are the same number added up in another order."""


class SignedRank(NamedTuple):
    """The outcome of M tests, (M,) each."""

    p: Array
    """Two-sided; NaN where there is no difference to rank, 1 where all are 0."""
    direction: Array
    """1 where the positive ranks weigh more, −1 where the negative ones do, 0 where neither."""
    number: Array
    """How many differences were defined, zeros among them."""


def signed_rank(differences: Array) -> SignedRank:
    """Test M rows of N differences for a median of 0, (M, N); NaN is left out, and so are zeros, as Wilcoxon did.

    Ties share the mean of their ranks. Up to `EXACT` differences the distribution of the rank sum over all signs is
    worked out as it is, for tied ranks as well (Streitberg and Röhmel 1986); beyond, it is taken for normal, with its
    variance corrected for ties and with continuity correction.

    Source: Wilcoxon 1945, Biometrics Bulletin 1:80-83.
    """
    differences = differences.round(DECIMALS)
    defined = ~np.isnan(differences)
    used = defined & (differences != 0)
    count = used.sum(axis=1)
    sizes = np.where(used, np.abs(differences), np.inf)
    # Those left out rank last, beyond the `count` that are looked at.
    ranks = np.where(used, stats.rankdata(sizes, axis=1), 0.0)
    positive = (ranks * (differences > 0)).sum(axis=1)
    total = count * (count + 1) / 2
    spread = (ranks**2).sum(axis=1) / 4
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.maximum(np.abs(positive - total / 2) - 0.5, 0) / np.sqrt(spread)
    p = 2 * stats.norm.sf(away)
    for row in np.flatnonzero((count > 0) & (count <= EXACT)):
        p[row] = _exact(positive[row], ranks[row, used[row]])
    p = np.where(count > 0, np.minimum(p, 1.0), np.where(defined.any(axis=1), 1.0, np.nan))
    return SignedRank(p, np.sign(positive - total / 2), defined.sum(axis=1).astype(np.float64))


def least_p(number: int) -> float:
    """Return the smallest p-value that `number` differences can have: all of one sign."""
    return min(1.0, 2.0 ** (1 - number))


def _exact(positive: float, ranks: Array) -> float:
    # Mean ranks are halves: doubled, they are whole numbers.
    doubled = np.sort((2 * ranks).round().astype(np.intp))
    below = _cumulative(tuple(doubled.tolist()))
    extreme = round(2 * min(positive, ranks.sum() - positive))
    return 2 * float(below[extreme])


@lru_cache(maxsize=512)
def _cumulative(ranks: tuple[int, ...]) -> Array:
    """Return, for every whole number, the chance that the ranks with a positive sign add up to it or less."""
    chance = np.zeros(sum(ranks) + 1)
    chance[0] = 1.0
    for rank in ranks:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: len(chance) - rank]
        chance = (chance + moved) / 2
    return np.cumsum(chance)
