"""How well the curves of a log are recovered from a predicted mask. Numpy only.

A curve is one value per depth row, on a track that wraps around: positions are fractions of the track width in
[0, 1), and distances are circular, at most 0.5. These scores need whole scans, so they are not level-weighted.

Every row with a drawn curve counts, whatever is predicted: a row without prediction takes the nearest row's value, and
a scan without any takes BLIND. A family that gives up on hard scans must not look better for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import Split
from sweeper.data.settings import IGNORE
from sweeper.training.stitching import stitch

BLIND = 0.25
"""Expected circular distance of a guess to the truth, in track widths: what a curve that was never found costs."""


@dataclass(frozen=True, slots=True)
class CurveScore:
    """One curve class in one picture, or pooled over all rows of all pictures."""

    picture: int | None
    """Index into the split's stems; None is pooled."""
    klass: int
    mae: float | None
    """Mean circular distance to the truth in track widths, in [0, 0.5]; None where no curve is drawn."""
    coverage: float | None
    """Share of the rows with ink of the curve where the class was predicted; None where there is no ink. Between
    dashes a curve has a position but no ink: nothing is to be found there."""


def curve_scores(split: Split, predictions: NDArray[np.uint8]) -> tuple[CurveScore, ...]:
    """Return the scores of every curve class, first per picture, then pooled; empty where pictures are no logs.

    Args:
        predictions: (N, P, P), the predicted class of every pixel of the split's patches.
    """
    if split.curves is None or split.track_width is None:
        return ()
    classes = [int(klass) for klass in np.flatnonzero(np.isfinite(split.curves).any(axis=(0, 2)))]
    scores: list[CurveScore] = []
    errors: dict[int, list[NDArray[np.float64]]] = {klass: [] for klass in classes}
    found: dict[int, list[NDArray[np.bool_]]] = {klass: [] for klass in classes}
    for picture in range(len(split.stems)):
        scan, ink = stitch(split, predictions, picture), stitch(split, split.masks, picture)
        # A row that is not there from edge to edge cannot say where its curve is (`limit` leaves such rows).
        whole = (scan != IGNORE).all(axis=1)
        for klass in classes:
            truth = split.curves[picture, klass].astype(np.float64)
            positions = row_positions(scan == klass)
            drawn = whole & np.isfinite(truth)
            missed = np.nan_to_num(circular_distance(fill_rows(positions), truth), nan=BLIND)
            errors[klass].append(missed[drawn])
            found[klass].append(np.isfinite(positions[drawn & (ink == klass).any(axis=1)]))
            scores.append(CurveScore(picture, klass, _mean(errors[klass][-1]), _mean(found[klass][-1])))
    for klass in classes:
        mae, coverage = _mean(np.concatenate(errors[klass])), _mean(np.concatenate(found[klass]))
        scores.append(CurveScore(None, klass, mae, coverage))
    return tuple(scores)


def row_positions(marked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the circular mean of the marked columns per row, (rows, cols) → (rows,), in [0, 1); NaN where none is.

    Column j is the stretch from j to j + 1, so its position is its middle.
    """
    cols = marked.shape[1]
    angles = 2 * np.pi * (np.arange(cols) + 0.5) / cols
    sine, cosine = marked @ np.sin(angles), marked @ np.cos(angles)
    positions: NDArray[np.float64] = (np.arctan2(sine, cosine) / (2 * np.pi)) % 1.0
    return np.where(marked.any(axis=1), positions, np.nan)


def fill_rows(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions with every NaN replaced by the nearest row's value, the upper one of two equally near.

    All NaN stay NaN.
    """
    known = np.flatnonzero(np.isfinite(positions))
    if len(known) == 0:
        return positions
    rows = np.arange(len(positions))
    after = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(known[after] - rows) < np.abs(rows - known[before]), after, before)
    return positions[known[nearest]]


def circular_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shorter way around between positions of a track, in [0, 0.5] track widths."""
    straight: NDArray[np.float64] = np.abs(a - b)
    return np.minimum(straight, 1 - straight)


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None
