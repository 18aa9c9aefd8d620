"""Numbers known once per seed, with intervals over seeds: what another training run would change, and nothing else."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from sweeper.report.evidence import confirmed
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import COVERAGE, Array, Interval

if TYPE_CHECKING:
    from sweeper.results.results import Results


def tuned_seeds(results: Results) -> pd.DataFrame:
    """Return the completed confirm trials of the tuned settings: families in the study's order, then level and seed."""
    trials = confirmed(results)
    order = {family: place for place, family in enumerate(results.meta["families"])}
    tuned = trials[trials["is_tuned"]].assign(place=trials["family"].map(order))
    return tuned.sort_values(["place", "level", "seed"]).drop(columns="place").reset_index(drop=True)


def over_seeds(values: Array, *, seed: int) -> Interval:
    """Return the mean of `values` (S,) with its interval over seeds; those that are NaN are left out.

    A single value says nothing of how far another would be from it, so it has no interval. `seed` is that of the
    resampling.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        nothing = float("nan")
        return Interval(nothing, nothing, nothing)
    return statistics.over_seeds(defined, _draws(len(defined), seed))


def deviation(values: Array) -> Interval:
    """Return the standard deviation of `values` (S,) over seeds with its 95 % interval; see `deviation_factors`.

    NaN are left out; fewer than two values have no deviation, and equal ones no interval: a spread of nothing but
    rounding says not how far it is known.
    """
    defined = values[~np.isnan(values)]
    nothing = float("nan")
    if len(defined) < 2:
        return Interval(nothing, nothing, nothing)
    found = float(np.std(defined, ddof=1))
    if found <= 1e-12 * float(np.abs(defined).max()):
        return Interval(0.0, nothing, nothing)
    low, high = deviation_factors(len(defined))
    return Interval(found, low * found, high * found)


def deviation_factors(number: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a standard deviation of `number` ≥ 2 values, as multiples of it.

    They are those of normally distributed values, from the chi-squared distribution of `number` − 1 degrees of freedom:
    0.5 and 6.3 for three values, 0.7 and 1.8 for ten.
    """
    free, tail = number - 1, (1 - COVERAGE) / 2
    low, high = (float(np.sqrt(free / stats.chi2.ppf(at, free))) for at in (1 - tail, tail))
    return low, high


def proportion(count: int, total: int) -> Interval:
    """Return the share `count` of `total` with its 95 % Wilson score interval; all NaN of none.

    Wilson's interval stays in [0, 1] and keeps its promise for few trials: 0 of 5 may still be 43 %.
    Source: Wilson 1927, Journal of the American Statistical Association 22.
    """
    if not total:
        nothing = float("nan")
        return Interval(nothing, nothing, nothing)
    ends = stats.binomtest(count, total).proportion_ci(COVERAGE, method="wilson")
    return Interval(count / total, float(ends.low), float(ends.high))


@lru_cache(maxsize=32)
def _draws(number: int, seed: int) -> statistics.Resample:
    return statistics.draw(number, 1, rng=np.random.default_rng(seed))
