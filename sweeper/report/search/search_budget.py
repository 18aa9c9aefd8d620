"""Whether the search has seen enough trials: the best score so far, and the one to expect of fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import gammaln

from sweeper.report.inference.statistics import Array

if TYPE_CHECKING:
    from sweeper.results.results import Results

LEAST = 6
"""Completed trials of a cell below which nothing is said: a third of them must be two at least."""


MOST = 200
"""Numbers of trials at which a curve is worked out."""


def expected_best(scores: Array, numbers: NDArray[np.int64] | None = None) -> Array:
    """Return the expected best of k of the n scores drawn without replacement, for every k of `numbers` or for 1..n.

    Exact: the i-th smallest is the best of k in C(i − 1, k − 1) of the C(n, k) draws. Dodge et al. 2019, "Show Your
    Work" (arXiv:1909.03004), take the draws with replacement, which is biased downwards for finite n.
    """
    ordered = np.sort(scores)
    n = len(ordered)
    place = np.arange(1.0, n + 1)[None, :]
    k = (np.arange(1.0, n + 1) if numbers is None else np.asarray(numbers, np.float64))[:, None]
    possible = place >= k
    # Where fewer than k scores are as small, the best of k cannot be among them.
    low = np.where(possible, place, k)
    shares = np.where(possible, np.exp(_log_choose(low - 1, k - 1) - _log_choose(np.full_like(k, n), k)), 0.0)
    best: Array = shares @ ordered
    return best


def budget_curves(results: Results) -> pd.DataFrame:
    """Return the search of every cell by the number of completed trials.

    Trials stopped early were scored on fewer epochs and are left out of both columns.

    Columns: family, level, trials (1, 2, ..., thinned out beyond `MOST`), so_far (best validation score in the order
    tried), expected (best of so many under any order).
    """
    table = results.trials
    wanted = pc.and_(pc.equal(table["stage"], "search"), pc.equal(table["status"], "completed"))
    trials = table.filter(pc.and_(wanted, pc.is_valid(table["objective"])))
    frame = trials.select(["family", "level", "number", "objective"]).to_pandas()
    parts = []
    for (family, level), cell in frame.sort_values("number").groupby(["family", "level"], sort=False):
        scores = cell["objective"].to_numpy(np.float64)
        numbers = _numbers(len(scores))
        parts.append(
            pd.DataFrame(
                {
                    "family": family,
                    "level": level,
                    "trials": numbers,
                    "so_far": np.maximum.accumulate(scores)[numbers - 1],
                    "expected": expected_best(scores, numbers),
                }
            )
        )
    columns = ["family", "level", "trials", "so_far", "expected"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def last_third(curves: pd.DataFrame) -> pd.DataFrame:
    """Return what the last third of every cell's trials gained in the expected best, which need not be sorted by luck.

    Columns: family, level, trials, gain; NaN below `LEAST` trials.
    """
    rows = []
    for (family, level), cell in curves.groupby(["family", "level"], sort=False):
        expected = cell.set_index("trials")["expected"]
        n = int(expected.index.max())
        gain = float(expected[n] - expected[n - n // 3]) if n >= LEAST else float("nan")
        rows.append((family, level, n, gain))
    return pd.DataFrame(rows, columns=["family", "level", "trials", "gain"])


def _numbers(n: int) -> NDArray[np.int64]:
    """Return the numbers of trials to look at: all, or some in proportion, with those that `last_third` compares."""
    if n <= MOST:
        return np.arange(1, n + 1)
    some = np.unique(np.geomspace(1, n, MOST).round().astype(np.int64))
    return np.union1d(some, [n - n // 3, n])


def _log_choose(n: Array, k: Array) -> Array:
    found: Array = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
