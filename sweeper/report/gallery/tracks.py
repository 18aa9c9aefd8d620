"""Curves of a log as stretches that can be drawn as lines: broken where the curve wraps around or was not found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweeper.report.gallery.panels import Track

ROWS = 128
"""Rows drawn of a log, at most: more than a panel has pixels would only make the page large."""


def thinning(tracks: Sequence[Track]) -> int:
    """Return n where every nth row is drawn."""
    rows = max((track.true.shape[1] for track in tracks), default=0)
    return max(1, -(-rows // ROWS))


def stretches(positions: NDArray[np.float32], step: int = 1) -> pd.DataFrame:
    """Return a curve (rows,) as lines: columns stretch, row, position.

    A stretch is a run of rows with a position, in which no step leads over the track's edge. It ends one row after its
    last, since a row reaches from its number to the next: a curve found in a single row is a short line too.
    """
    rows = np.arange(0, len(positions), step)
    kept = positions[rows]
    there = np.isfinite(kept)
    rows, kept = rows[there], kept[there].astype(np.float64)
    if not len(rows):
        return pd.DataFrame({"stretch": np.empty(0, int), "row": np.empty(0, int), "position": np.empty(0)})
    # Positions lie on a circle: a step of more than half of it is one over the edge.
    begins = np.concatenate([[True], (np.diff(rows) > step) | (np.abs(np.diff(kept)) > 0.5)])
    stretch = np.cumsum(begins) - 1
    ends = np.append(np.flatnonzero(begins)[1:] - 1, len(rows) - 1)
    at = np.concatenate([np.arange(len(rows)), ends])
    order = np.argsort(at, kind="stable")
    row = np.concatenate([rows, np.minimum(rows[ends] + step, len(positions))])
    return pd.DataFrame({"stretch": stretch[at][order], "row": row[order], "position": kept[at][order].round(4)})


def lines(track: Track, families: Sequence[str], classes: Sequence[str], step: int = 1) -> pd.DataFrame:
    """Return all lines of one log: columns curve, family (None for the true curve), stretch, row, position."""
    parts = []
    for place, curve in enumerate(classes):
        parts.append(stretches(track.true[place], step).assign(curve=curve, family=None))
        for family in families:
            parts.append(stretches(track.recovered[family][place], step).assign(curve=curve, family=family))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
