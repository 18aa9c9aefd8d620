"""Mean ranks over blocks, Friedman's test, and which neighbors cannot be told apart (Demšar 2006, JMLR 7:1-30).

A block is a problem that everything compared was tried on once: a data set, when several studies are compared; a test
image, within a level of one study, where the score of an image is the mean over seeds. Seeds are no blocks, since those
of one image are no independent problems, and neither are the levels of one study: they share all their images, and
there are five of them at best. Ranks across levels are therefore those of each image's mean score over the levels.

Which neighbors are joined as not separable is not decided by Nemenyi's critical difference: whether two families differ
would then depend on what else was compared with them (Benavoli, Corani and Mangili 2016, JMLR 17(5):1-10). They are
joined unless tests of the two alone separate them: on the report's pages the verdicts of `pairs`, for blocks alone
`pairwise`. The critical difference is given beside them, for those who are used to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy import stats

from sweeper.report.multiplicity import ALPHA, holm
from sweeper.report.signed_rank import DECIMALS, signed_rank
from sweeper.report.statistics import Array


@dataclass(frozen=True)
class Ranks:
    """How k competitors rank over B blocks."""

    mean: Array
    """(k,) mean ranks, 1 for the best; ties share the mean of their ranks. NaN without a block."""
    blocks: int
    """Those in which every competitor has a score; others are left out."""
    statistic: float
    """Friedman's chi-square, corrected for ties; NaN where fewer than two compete or meet."""
    p: float
    """That all rank alike, by the F distribution of Iman and Davenport 1980, less conservative than chi-square."""
    critical: float
    """Nemenyi's critical difference of mean ranks at 5 %."""


def ranks(blocks: Array) -> Ranks:
    """Rank competitors by their scores, higher is better: (B, k), one row per block; NaN where there is none."""
    kept = blocks[~np.isnan(blocks).any(axis=1)].round(DECIMALS)
    number, k = kept.shape
    places = stats.rankdata(-kept, axis=1) if number else np.empty((0, k))
    mean = places.mean(axis=0) if number else np.full(k, np.nan)
    if k < 2 or number < 2:
        return Ranks(mean, number, float("nan"), float("nan"), float("nan"))
    # Equal to Friedman's formula where no two scores of a block tie, and its usual correction where they do.
    between = number * ((mean - (k + 1) / 2) ** 2).sum()
    within = ((places - (k + 1) / 2) ** 2).sum() / (number * (k - 1))
    statistic = float(between / within) if within > 0 else 0.0
    return Ranks(mean, number, statistic, _iman_davenport(statistic, number, k), critical_difference(number, k))


def pairwise(blocks: Array) -> Array:
    """Return the p-values of Wilcoxon's signed-rank test of every two competitors over blocks, (B, k) → (k, k).

    Corrected by Holm's method over all pairs; 1 on the diagonal.
    """
    k = blocks.shape[1]
    found = np.ones((k, k))
    pairs = list(combinations(range(k), 2))
    if pairs and len(blocks):
        first, second = np.array(pairs).T
        corrected = holm(signed_rank((blocks[:, first] - blocks[:, second]).T).p)
        found[first, second] = found[second, first] = corrected
    return found


def separable(p: Array) -> Callable[[int, int], bool]:
    """Return whether the corrected p-values (k, k) of `pairwise` tell two competitors apart."""
    return lambda first, second: bool(p[first, second] < ALPHA)


def cliques(order: Sequence[int], apart: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """Return the largest runs of `order` no two of which are apart, as (first, last) places, best first.

    Runs of one are left out: whoever is in none is apart from its neighbors.
    """
    found: list[tuple[int, int]] = []
    for start in range(len(order)):
        stop = start
        while stop + 1 < len(order) and not any(
            apart(order[place], order[stop + 1]) for place in range(start, stop + 1)
        ):
            stop += 1
        if stop > start and (not found or stop > found[-1][1]):
            found.append((start, stop))
    return found


@lru_cache(maxsize=256)
def critical_difference(blocks: int, k: int) -> float:
    """Return Nemenyi's critical difference of two mean ranks at 5 %, as in Demšar's table 5."""
    quantile = float(stats.studentized_range.ppf(1 - ALPHA, k, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(k * (k + 1) / (6 * blocks)))


def _iman_davenport(statistic: float, blocks: int, k: int) -> float:
    rest = blocks * (k - 1) - statistic
    if rest <= 1e-9 * statistic:
        return 0.0
    return float(stats.f.sf((blocks - 1) * statistic / rest, k - 1, (k - 1) * (blocks - 1)))
