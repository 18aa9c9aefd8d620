"""Scores of a segmentation from pooled confusion counts. Numpy only, no hidden conventions.

Two things are undefined and therefore None, never 0 or 1:
* every score of a class that has no target pixel under the weights: it is *absent*;
* the precision of a class that is predicted nowhere, and the specificity of one that fills every pixel.
A class that is present and never predicted has IoU, F1 and recall 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METRICS = ("iou", "f1", "precision", "recall", "specificity")

HEADLINES = ("minority_iou", "minority_f1", "minority_precision", "minority_recall", "mean_iou", "background_iou")
"""Names of the per-epoch scores, any of which a study may search on."""

ClassScores = dict[str, float | None]
"""The value of every name of `METRICS`, in [0, 1] or None."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One class against all others, in (weighted) pixels."""

    tp: float
    fp: float
    fn: float
    tn: float


def pool(confusion: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted sum of per-patch confusion counts, (N, C, C) × (N,) → (C, C); rows are the truth."""
    return np.tensordot(weights, confusion.astype(np.float64), axes=1)


def outcome(confusion: NDArray[np.float64], klass: int) -> Outcome:
    """Return the four counts of class `klass` in a (C, C) confusion whose rows are the truth."""
    tp = float(confusion[klass, klass])
    # Sums of the others' cells, not differences of totals: rounding must not turn a true 0 into 1e-12.
    others = np.arange(len(confusion)) != klass
    fp = float(confusion[others, klass].sum())
    fn = float(confusion[klass, others].sum())
    tn = float(confusion[np.ix_(others, others)].sum())
    return Outcome(tp, fp, fn, tn)


def class_scores(confusion: NDArray[np.float64]) -> tuple[ClassScores, ...]:
    """Return the scores of each class of a pooled (C, C) confusion whose rows are the truth."""
    return tuple(_scores(outcome(confusion, klass)) for klass in range(len(confusion)))


def mean_scores(scores: Sequence[ClassScores], classes: Iterable[int]) -> ClassScores:
    """Return the mean of each metric over those of `classes` for which it is defined; None where it is for none.

    A class that is absent so leaves the mean, and one that is never predicted leaves the mean of precision alone.
    """
    chosen = [scores[klass] for klass in classes]
    return {metric: _mean([each[metric] for each in chosen]) for metric in METRICS}


def headlines(confusion: NDArray[np.float64], *, background: int, minority: Iterable[int]) -> dict[str, float | None]:
    """Return the value of every name of `HEADLINES` for a pooled confusion; `mean_iou` is over all classes present."""
    scores = class_scores(confusion)
    rare = mean_scores(scores, minority)
    return {
        "minority_iou": rare["iou"],
        "minority_f1": rare["f1"],
        "minority_precision": rare["precision"],
        "minority_recall": rare["recall"],
        "mean_iou": mean_scores(scores, range(len(scores)))["iou"],
        "background_iou": scores[background]["iou"],
    }


def _scores(counts: Outcome) -> ClassScores:
    tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
    if tp + fn == 0:
        return dict.fromkeys(METRICS)
    return {
        "iou": tp / (tp + fp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "precision": tp / (tp + fp) if tp + fp > 0 else None,
        "recall": tp / (tp + fn),
        "specificity": tn / (tn + fp) if tn + fp > 0 else None,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
