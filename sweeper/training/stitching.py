"""Whole pictures put together again from what is known of their patches. Numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import Split
from sweeper.data.settings import IGNORE


def stitch(split: Split, patches: NDArray[np.uint8], picture: int) -> NDArray[np.uint8]:
    """Return one picture, (rows, columns), from a value per pixel of every patch of the split, (N, P, P).

    IGNORE where the split has no patch: `limit` leaves patches out, and none is kept that holds no valid pixel. A log
    is as large as its track. How far other pictures reach is not known here: they end with their last patches, whose
    masks have IGNORE beyond the picture's edge.
    """
    chosen = np.flatnonzero(split.picture == picture)
    row, col = split.row[chosen], split.col[chosen]
    side = patches.shape[1]
    if split.curves is not None and split.track_width is not None:
        rows, cols = split.curves.shape[2], split.track_width
    else:
        rows, cols = (int(first.max(initial=-side)) + side for first in (row, col))
    whole = np.full((rows, cols), IGNORE, dtype=np.uint8)
    for index, top, left in zip(chosen.tolist(), row.tolist(), col.tolist(), strict=True):
        # The last patches reach past the picture's edge; that part is padding.
        part = patches[index, : rows - top, : cols - left]
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole
