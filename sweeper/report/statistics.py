"""Intervals over seeds and test images, and paired differences between families.

Everything here works on pixel counts per image, an array (S seeds, N images, C classes, 4) of `tp, fp, fn, tn`. A score
is a ratio of *pooled* counts, so resampling draws images and pools their counts again before the ratio is taken: an
image without the class needs no made-up score.

Seeds and images are crossed, every seed is tested on the same images, so one resample draws S seeds and, once for all
of them, N images. Drawing the images afresh within each seed would average away the luck of the test set S times and
give intervals that are too narrow; a test measures by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

TP, FP, FN, TN = range(4)
COVERAGE = 0.95
REPS = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval; all NaN where nothing is defined."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: whether its sign is clear of the noise of seeds and images."""
        return self.low > 0 or self.high < 0

    def clipped(self, lowest: float, highest: float) -> Interval:
        """Cut the ends to what the score can be: a widened interval may overshoot."""
        return Interval(self.mean, max(self.low, lowest), min(self.high, highest))


@dataclass(frozen=True, slots=True)
class Resample:
    """How often each seed and each image is drawn in each of R repetitions.

    Two cells scored under the *same* resample are paired: their difference is free of what they share.
    """

    seeds: Array
    """(R, S)"""
    images: Array
    """(R, N)"""


def draw(seeds: int, images: int, *, rng: np.random.Generator, reps: int = REPS) -> Resample:
    """Draw `seeds` of `seeds` and `images` of `images` with replacement, `reps` times."""
    return Resample(
        seeds=rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=reps).astype(np.float64),
        images=rng.multinomial(images, np.full(images, 1 / images), size=reps).astype(np.float64),
    )


def ratio(counts: Array, metric: str) -> Array:
    """Score pooled counts (..., 4) as (...): NaN where the class is absent or the ratio is 0 / 0."""
    tp, fp, fn, tn = (counts[..., index] for index in (TP, FP, FN, TN))
    match metric:
        case "iou":
            top, bottom = tp, tp + fp + fn
        case "f1":
            top, bottom = 2 * tp, 2 * tp + fp + fn
        case "precision":
            top, bottom = tp, tp + fp
        case "recall":
            top, bottom = tp, tp + fn
        case "specificity":
            top, bottom = tn, tn + fp
        case _:
            raise ValueError(f"{metric!r} is not a ratio of counts")
    defined = (bottom > 0) & (tp + fn > 0)
    return np.where(defined, top / np.where(defined, bottom, 1.0), np.nan)


def present_mean(values: Array, axis: int = -1) -> Array:
    """Average the values that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def pool(counts: Array, resample: Resample) -> tuple[Array, Array]:
    """Pool the counts (S, N, C, 4) over images: as they are (S, C, 4), and in every repetition (R, S, C, 4)."""
    seeds, images, classes, kinds = counts.shape
    flat = counts.transpose(1, 0, 2, 3).reshape(images, -1)
    drawn = (resample.images @ flat).reshape(-1, seeds, classes, kinds)
    return counts.sum(axis=1), drawn


def score(pooled: Array, metric: str) -> Array:
    """Average a ratio of pooled counts (..., C, 4) over the classes present: (...)."""
    return present_mean(ratio(pooled, metric))


def interval(actual: Array, drawn: Array, seeds: Array) -> Interval:
    """Mean over seeds of `actual` (S,) with the percentile interval of `drawn` (R, S) under seed draws (R, S)."""
    centre = float(present_mean(actual))
    if np.isnan(centre):
        return Interval(float("nan"), float("nan"), float("nan"))
    means = repetitions(drawn, seeds)
    means = means[~np.isnan(means)]
    if not len(means):
        return Interval(centre, float("nan"), float("nan"))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(centre, float(low), float(high))


def repetitions(drawn: Array, seeds: Array) -> Array:
    """Mean over the drawn seeds in each repetition, (R,), its spread over seeds widened by `stretch`."""
    defined = ~np.isnan(drawn)
    filled = np.where(defined, drawn, 0.0)
    weight = seeds * defined
    plain = present_mean(drawn)
    total = weight.sum(axis=1)
    resampled = np.where(total > 0, (filled * weight).sum(axis=1) / np.maximum(total, 1), plain)
    return plain + stretch(drawn.shape[1]) * (resampled - plain)


@cache
def stretch(seeds: int) -> float:
    """How much resampling so few seeds must be widened for its interval to hold what it promises.

    Resampling S values shows only (S - 1) / S of their variance, and a normal tail is too thin for a spread estimated
    from S values: the factor is sqrt(S / (S - 1)) times Student's quantile over the normal one (2.7 for three seeds,
    1.6 for five, 1 in the limit). A single seed has no spread to widen; the interval then covers images only.
    """
    if seeds < 2:
        return 1.0
    tail = (1 + COVERAGE) / 2
    student = stats.t.ppf(tail, seeds - 1) / stats.norm.ppf(tail)
    return float(np.sqrt(seeds / (seeds - 1)) * student)


def over_seeds(values: Array, resample: Resample) -> Interval:
    """Interval of a score known only once per seed (S,), such as the error of a recovered curve: seeds alone vary."""
    reps = len(resample.seeds)
    return interval(values, np.broadcast_to(values, (reps, len(values))), resample.seeds)


def difference(first: Array, second: Array, metric: str, resample: Resample) -> Interval:
    """Interval of the score of `first` minus that of `second`, both (S, N, C, 4) over the same seeds and images."""
    actual_first, drawn_first = pool(first, resample)
    actual_second, drawn_second = pool(second, resample)
    return interval(
        score(actual_first, metric) - score(actual_second, metric),
        score(drawn_first, metric) - score(drawn_second, metric),
        resample.seeds,
    )
