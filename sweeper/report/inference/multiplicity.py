"""Looking at many comparisons at once without being fooled by the luckiest."""

from __future__ import annotations

import numpy as np

from sweeper.report.inference.statistics import Array

ALPHA = 0.05
"""How often, at most, the tests of one family of comparisons find anything where there is nothing."""


def holm(p: Array) -> Array:
    """Correct the p-values (M,) of one family of tests by Holm's step-down method: (M,), none above 1.

    The i-th smallest of M is multiplied by M − i + 1, and none comes out below a smaller one. Whatever the tests have
    to do with each other, the chance of a single corrected value below `ALPHA` is at most that where nothing differs.
    A test that could not be made (NaN) stays NaN and counts as one of the M.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65-70.
    """
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty_like(p)
    found[order] = np.minimum(corrected, 1.0)
    return found
