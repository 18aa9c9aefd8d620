"""Masks a few at a time, so that memory holds little beyond them however many and however large they are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 32 * 2**20
"""Of what is made of masks at a time."""


def chunks(masks: NDArray[np.uint8], bytes_per_pixel: int) -> Iterator[NDArray[np.uint8]]:
    """Yield all of `masks`, (N, P, P), in order, as many at a time as CHUNK_BYTES allow; at least one.

    Args:
        bytes_per_pixel: Of what is made of each pixel of a mask.
    """
    step = max(1, CHUNK_BYTES // max(1, bytes_per_pixel * math.prod(masks.shape[1:])))
    for start in range(0, len(masks), step):
        yield masks[start : start + step]
