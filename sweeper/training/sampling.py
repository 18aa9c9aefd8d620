"""Which patches an epoch trains on: drawn by level weight, the same uniforms for every family and level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweeper.training.randomness import generator


def steps_in_epoch(patches: int, batch_size: int, steps_per_epoch: int | None) -> int:
    """Return the batches of an epoch: as set, else as many as `patches` fill once, the last one topped up."""
    return steps_per_epoch if steps_per_epoch is not None else -(-patches // batch_size)


def epoch_batches(
    weights: NDArray[np.float64], steps: int, batch_size: int, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the patch indices of one epoch, (steps, batch_size), each drawn with probability ∝ its weight.

    The n draws are stratified: the k-th uniform falls in [k/n, (k+1)/n), so that every epoch's mixture is within
    a draw or two of the weights instead of scattering binomially. A patch of weight 0 is never drawn.

    Args:
        weights: (N,), not negative, not all 0. Only their ratios matter.
    """
    draws = generator("batches", seed, epoch)
    n = steps * batch_size
    uniforms = (np.arange(n) + draws.random(n)) / n
    return draws.permutation(inverse_cdf(weights, uniforms)).reshape(steps, batch_size)


def inverse_cdf(weights: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index that each number of [0, 1] falls on when [0, 1] is shared out by weight, in order of index.

    The same numbers under other weights give indices in the same order, which is what couples the levels.
    """
    cumulative = np.cumsum(weights)
    # `side="right"` steps over indices of weight 0, whose cumulative weight equals their predecessor's.
    indices = np.searchsorted(cumulative, uniforms * cumulative[-1], side="right")
    # Rounding may carry a number just below 1 past the end: it belongs to the last index that has weight.
    inside: NDArray[np.int64] = np.minimum(indices, np.flatnonzero(weights)[-1]).astype(np.int64)
    return inside
