"""What a trial reports: one result per epoch, and its score rows at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import ClassInfo, Split
from sweeper.results.record import MINORITY, MarginCounts, ReliabilityBin, Score
from sweeper.training.curves import curve_scores
from sweeper.training.metrics import class_scores, mean_scores, outcome, pool
from sweeper.training.surfaces import SurfaceScore


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
    """Rows of the `scores` table: pooled scores on val, and at confirm on test, where per-image counts, the scores of
    whole pictures and, for logs, of curves are added; each at the points `argmax` and `shifted`."""
    offset: float
    """The background logit offset chosen on val, of the point `shifted`."""
    offset_at_limit: bool
    """Whether that is the last offset tried, so that a better one may lie beyond."""
    clipped: float
    """Share of the weighted val pixels whose margin lies beyond every offset tried."""
    margins: tuple[MarginCounts, ...] = ()
    """Rows of the `margins` table: val pooled and test per picture, at confirm."""
    reliability: tuple[ReliabilityBin, ...] = ()
    """Rows of the `reliability` table: test, at confirm."""


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


def surface_rows(
    split: Split, point: str, scores: Iterable[SurfaceScore], classes: Sequence[ClassInfo]
) -> Iterator[Score]:
    """Yield `schema.SURFACE_METRICS` pooled, and per picture these and `schema.OBJECT_METRICS`, of each of `classes`.

    `object_miss_rate` is pooled alone: of one picture it follows from its objects.
    """
    by_class: dict[int, list[SurfaceScore]] = {info.index: [] for info in classes}
    for score in scores:
        by_class[score.klass].append(score)
    for info in classes:
        shown = by_class[info.index]
        for score in shown:
            own = {
                "nsd": score.nsd,
                "hd95": score.hd95,
                "cldice": score.cldice,
                "objects": score.objects,
                "objects_missed": score.missed,
                "smallest_missed": score.smallest_missed,
            }
            for metric, value in own.items():
                yield Score(split.name, point, split.stems[score.picture], info.name, metric, value)
        objects, missed = sum(score.objects for score in shown), sum(score.missed for score in shown)
        pooled = {
            "nsd": _mean(score.nsd for score in shown),
            "hd95": _mean(score.hd95 for score in shown),
            "cldice": _mean(score.cldice for score in shown),
            "object_miss_rate": missed / objects if objects else None,
        }
        for metric, value in pooled.items():
            yield Score(split.name, point, None, info.name, metric, value)


def pooled_margins(
    split: Split, histogram: NDArray[np.float64], weights: NDArray[np.float64], minority: Sequence[int]
) -> MarginCounts:
    """Return the row of a whole split.

    Args:
        histogram: (C, C, BINS), weighted pixels by true class, best non-background class and margin bin.
        weights: (N,), level weights of the patches.
    """
    rare = np.isin(np.arange(len(histogram)), minority)
    own = np.eye(len(histogram), dtype=np.bool_)
    found = histogram[own & rare[:, None]].sum(axis=0)
    alarms = histogram[~own & rare[None, :]].sum(axis=0)
    counts = weights @ split.counts
    return MarginCounts(
        split=split.name,
        image=None,
        pixels=float(counts.sum()),
        target=float(counts[rare].sum()),
        found=_single(found),
        alarms=_single(alarms),
    )


def margin_rows(
    split: Split, margins: NDArray[np.int32], weights: NDArray[np.float64], minority: Sequence[int]
) -> Iterator[MarginCounts]:
    """Yield the row of every picture.

    Args:
        margins: (N, 2, BINS), pixels found and false alarms of each patch by margin bin.
        weights: (N,), level weights of the patches.
    """
    for picture in np.unique(split.picture):
        patches = split.picture == picture
        counts = weights[patches] @ split.counts[patches]
        found, alarms = np.tensordot(weights[patches], margins[patches], axes=1)
        yield MarginCounts(
            split=split.name,
            image=split.stems[picture],
            pixels=float(counts.sum()),
            target=float(counts[list(minority)].sum()),
            found=_single(found),
            alarms=_single(alarms),
        )


def reliability_rows(
    split: Split, reliability: NDArray[np.float64], weights: NDArray[np.float64]
) -> Iterator[ReliabilityBin]:
    """Yield the row of every bin.

    Args:
        reliability: (N, 3, bins): of each patch and bin the pixels, their summed probability, those of the minority.
        weights: (N,), level weights of the patches.
    """
    for place, (pixels, probability, minority) in enumerate(np.tensordot(weights, reliability, axes=1).T.tolist()):
        yield ReliabilityBin(
            split=split.name,
            bin=place,
            pixels=pixels,
            probability=probability / pixels if pixels else None,
            share=minority / pixels if pixels else None,
        )


def _single(counts: NDArray[np.float64]) -> tuple[float, ...]:
    """Return counts in the single precision of their table, spelled with no more digits than that has."""
    return tuple(float(str(each)) for each in counts.astype(np.float32))


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
