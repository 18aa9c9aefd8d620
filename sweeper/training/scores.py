"""What a trial reports: one result per epoch, and its score rows at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import ClassInfo, Split
from sweeper.results.record import MINORITY, Score
from sweeper.training.curves import curve_scores
from sweeper.training.metrics import class_scores, mean_scores, outcome, pool


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch of training and the validation after it."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the epoch's batches."""
    seconds: float
    """Training and validation together."""
    scores: Mapping[str, float | None]
    """Validation scores at argmax under the level weights, by the names of `metrics.HEADLINES`; None is undefined."""

    def to_dict(self) -> dict[str, Any]:
        """Return one flat row of plain data; undefined scores are left out."""
        defined = {name: value for name, value in self.scores.items() if value is not None}
        return {"epoch": self.epoch, "train_loss": self.train_loss, "seconds": self.seconds, **defined}


@dataclass(frozen=True, kw_only=True)
class TrialScores:
    """What a trained trial is worth."""

    rows: tuple[Score, ...]
    """Rows of the `scores` table: pooled scores on val, and at confirm on test, where per-image counts and, for logs,
    the curve scores are added; each at the points `argmax` and `shifted`."""
    offset: float
    """The background logit offset chosen on val, of the point `shifted`."""
    offset_at_limit: bool
    """Whether that is the last offset tried, so that a better one may lie beyond."""
    clipped: float
    """Share of the weighted val pixels whose margin lies beyond every offset tried."""


def pooled_rows(
    split: str, point: str, confusion: NDArray[np.float64], classes: Sequence[ClassInfo], minority: Sequence[int]
) -> Iterator[Score]:
    """Yield the scores of every class and of the minority mean for a pooled (C, C) confusion."""
    scores = class_scores(confusion)
    for info, row in zip(classes, scores, strict=True):
        for metric, value in row.items():
            yield Score(split, point, None, info.name, metric, value)
    for metric, value in mean_scores(scores, minority).items():
        yield Score(split, point, None, MINORITY, metric, value)


def image_rows(
    split: Split,
    point: str,
    confusion: NDArray[np.int64],
    weights: NDArray[np.float64],
    classes: Sequence[ClassInfo],
) -> Iterator[Score]:
    """Yield the weighted tp, fp, fn and tn of every class in every picture, so that intervals can pool them again.

    Args:
        confusion: (N, C, C), per patch.
        weights: (N,), level weights of the patches.
    """
    for picture in np.unique(split.picture):
        patches = split.picture == picture
        pooled = pool(confusion[patches], weights[patches])
        for info in classes:
            counts = outcome(pooled, info.index)
            for metric in ("tp", "fp", "fn", "tn"):
                yield Score(split.name, point, split.stems[picture], info.name, metric, getattr(counts, metric))


def curve_rows(
    split: Split, point: str, predictions: NDArray[np.uint8], classes: Sequence[ClassInfo]
) -> Iterator[Score]:
    """Yield `curve_mae` and `curve_coverage` of every curve class, per picture and pooled; nothing for other data."""
    names = {info.index: info.name for info in classes}
    for score in curve_scores(split, predictions):
        image = None if score.picture is None else split.stems[score.picture]
        yield Score(split.name, point, image, names[score.klass], "curve_mae", score.mae)
        yield Score(split.name, point, image, names[score.klass], "curve_coverage", score.coverage)
