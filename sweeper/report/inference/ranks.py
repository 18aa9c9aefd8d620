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
from itertools import combinations, permutations
from math import lgamma

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sweeper.report.inference.multiplicity import ALPHA, holm
from sweeper.report.inference.signed_rank import DECIMALS, signed_rank
from sweeper.report.inference.statistics import Array

FEW = 20
"""Up to so many blocks Friedman's p is that of the blocks' own ranks in random order; beyond, of the F distribution."""

DRAWS = 20_000
"""Random orders where there are too many to go through."""

_STEPS = 50_000
"""Sums of ranks to work out per block, beyond which orders are drawn instead."""

EXACT, DRAWN, APPROXIMATE = "exact", f"{DRAWS:,} random orders", "F distribution"
"""Where a p-value comes from."""


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
    """That all rank alike: the chance of such a statistic, or a greater one, where every order of a block's ranks is
    equally likely. Never 0."""
    way: str
    """Where `p` comes from: `EXACT`, `DRAWN` or `APPROXIMATE`; empty without one."""
    critical: float
    """Nemenyi's critical difference of mean ranks at 5 %."""


def ranks(blocks: Array, *, seed: int = 0) -> Ranks:
    """Rank competitors by their scores, higher is better: (B, k), one row per block; NaN where there is none.

    `seed` is that of the random orders, where p is taken from such.
    """
    kept = blocks[~np.isnan(blocks).any(axis=1)].round(DECIMALS)
    number, k = kept.shape
    places = stats.rankdata(-kept, axis=1) if number else np.empty((0, k))
    mean = places.mean(axis=0) if number else np.full(k, np.nan)
    if k < 2 or number < 2:
        return Ranks(mean, number, float("nan"), float("nan"), "", float("nan"))
    # Equal to Friedman's formula where no two scores of a block tie, and its usual correction where they do.
    between = number * ((mean - (k + 1) / 2) ** 2).sum()
    within = ((places - (k + 1) / 2) ** 2).sum() / (number * (k - 1))
    statistic = float(between / within) if within > 0 else 0.0
    p, way = _p(places, statistic, seed)
    return Ranks(mean, number, statistic, p, way, critical_difference(number, k))


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


def _p(places: Array, statistic: float, seed: int) -> tuple[float, str]:
    """Return the p-value of Friedman's test on ranks (B, k), and where it comes from.

    For few blocks the F distribution of Iman and Davenport 1980 is far off: where they all agree it says 0.
    """
    blocks, k = places.shape
    # Nothing is rarer than full agreement: that every other block happens to have the order of the first.
    least = float(np.exp(-(blocks - 1) * lgamma(k + 1)))
    if blocks > FEW:
        return max(_iman_davenport(statistic, blocks, k), least, float(np.finfo(np.float64).tiny)), APPROXIMATE
    # Mean ranks are halves: doubled, they are whole numbers, and so are sums that would else tie only nearly.
    doubled = (2 * places).round().astype(np.int64)
    exact = _exact(doubled)
    return (exact, EXACT) if exact is not None else (max(_drawn(doubled, seed), least), DRAWN)


def _exact(places: NDArray[np.int64]) -> float | None:
    """Return the chance that sums of ranks (B, k) in random order spread as far; None where there are too many."""
    k = places.shape[1]
    digits = 2 ** (9 * np.arange(7))
    if k > len(digits):
        return None
    # Only how far the sums spread matters, not whose they are: the first block stays as it is, and sums are sorted.
    sums = np.sort(places[:1], axis=1)
    chances: Array = np.ones(1)
    for row in places[1:]:
        orders = np.unique(np.array(list(permutations(row.tolist()))), axis=0)
        if len(sums) * len(orders) > _STEPS:
            return None
        reached = np.sort((sums[:, None] + orders[None]).reshape(-1, k), axis=1)
        # Sums stay below 2 · FEW · 7 < 2⁹, so that seven of them fit into one number, which sorts much faster.
        _, first, which = np.unique(reached @ digits[:k], return_index=True, return_inverse=True)
        sums = reached[first]
        chances = np.bincount(which, np.repeat(chances / len(orders), len(orders))).astype(np.float64)
    far = (sums**2).sum(axis=1) >= (places.sum(axis=0) ** 2).sum()
    return min(1.0, float(chances[far].sum()))


def _drawn(places: NDArray[np.int64], seed: int) -> float:
    """Return the same from random orders, with the order at hand as one of them (Phipson and Smyth 2010)."""
    rng, sums = np.random.default_rng(seed), np.zeros((DRAWS, places.shape[1]), np.int64)
    for row in places:
        sums += rng.permuted(np.broadcast_to(row, sums.shape), axis=1)
    far = int(((sums**2).sum(axis=1) >= (places.sum(axis=0) ** 2).sum()).sum())
    return (far + 1) / (DRAWS + 1)


def _iman_davenport(statistic: float, blocks: int, k: int) -> float:
    rest = blocks * (k - 1) - statistic
    if rest <= 1e-9 * statistic:
        return 0.0
    return float(stats.f.sf((blocks - 1) * statistic / rest, k - 1, (k - 1) * (blocks - 1)))
