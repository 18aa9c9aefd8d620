"""Where the decision margin is cut into bins: counts of a bin and all above it are exact at every offset between.

A margin is the best logit of a class other than the background, minus the background's. Shared by training, which
counts, and the report, which weighs misses against false alarms at any offset. Numpy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SIZES = (2.0 ** (np.arange(-30, 31) / 6)).astype(np.float32).astype(np.float64)

OFFSETS: NDArray[np.float64] = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
"""The background offsets tried: 0, and ±1/32 to ±32 in steps of 12 %. Losses differ in how large they drive their
logits; steps in proportion give a loss of small margins and one of large ones equally fine a choice. Exact in float32,
as margins are."""

BINS = len(OFFSETS) + 1
"""Bin j holds the margins in (offset j−1, offset j]; the first and the last hold those beyond all offsets."""

PROBABILITY_BINS = 20
"""Equal bins of the predicted probability of a minority class, for calibration."""


def above(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much lies above every offset: (..., BINS) → (..., BINS − 1)."""
    return np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1][..., 1:]
