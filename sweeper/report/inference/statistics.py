"""Intervals over seeds and test images, and paired differences between families.

Everything here works on pixel counts per image, an array (S seeds, N images, C classes, 4) of `tp, fp, fn, tn`. A score
is a ratio of *pooled* counts, so resampling draws images and pools their counts again before the ratio is taken: an
image without the class needs no made-up score.

The seed is the unit of replication: what one wants to know of a family is how it does when trained again. Seeds and
images are crossed, every seed is tested on the same images, so one resample draws S seeds and, once for all of them, N
images. Drawing the images afresh within each seed (a nested bootstrap) would average away the luck of the test set S
times and give intervals that are too narrow; `tests/report/test_coverage.py` measures by how much.

`intervals` says how the two kinds of luck are put together. Intervals are percentile intervals. BCa would correct their
ends by an acceleration, estimated by leaving out one unit at a time; with three to ten seeds that estimate is noise,
and what matters at such numbers is to correct their spread (`stretch`), which BCa does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
    missing = np.isnan(values)
    if values.shape[axis] and not missing.any():
        mean: Array = values.mean(axis=axis)
        return mean
    number = values.shape[axis] - missing.sum(axis=axis)
    total = np.where(missing, 0.0, values).sum(axis=axis)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def pool(counts: Array, resample: Resample) -> tuple[Array, Array]:
    """Pool the counts (S, N, C, 4) over images: as they are (S, C, 4), and in every repetition (R, S, C, 4)."""
    seeds, images, classes, kinds = counts.shape
    flat = counts.transpose(0, 2, 3, 1).reshape(-1, images)
    # Repetitions last in memory, however they are indexed: what follows runs over all of them for one seed and class.
    drawn = (flat @ resample.images.T).reshape(seeds, classes, kinds, -1)
    return counts.sum(axis=1), drawn.transpose(3, 0, 1, 2)


def score(pooled: Array, metric: str) -> Array:
    """Average a ratio of pooled counts (..., C, 4) over the classes present: (...)."""
    return present_mean(ratio(pooled, metric))


def intervals(actual: Array, drawn: Array, resample: Resample, images: Array | float | None = None) -> Ends:
    """Return means over seeds with their 95 % percentile intervals, many at once.

    Two kinds of luck are added up, each counted once. That of training: the seeds drawn, read on the images as they
    are. That of the test set: the images drawn, averaged over the seeds as they are; what a seed makes of single images
    (the interaction) is part of both, and so is taken out here, where its share is known from how far the seeds move
    together. Each is widened by its `stretch`, so that the squares of their half widths add up (Graybill and Wang 1980,
    JASA 75:869-873; Zou and Donner 2008, Statistics in Medicine 27:1693-1702). In simulations with
    3, 5 and 10 seeds and 12, 30 and 100 images they then hold the truth in 93 to 97 % of studies, three seeds erring on
    the side of too often (`tests/report/test_coverage.py`).

    With one seed the interval holds the luck of the images alone, with one image that of training alone, with one of
    each there is none (NaN).

    Args:
        actual: (P, S) scores per seed; NaN where undefined.
        drawn: (P, S, R) the same under every draw of images.
        resample: The draws; its images are those of `drawn`.
        images: (P,) or one number: how many images a score rests on, where it is not all of them; see `effective`.
    """
    present = ~np.isnan(actual)
    number = present.sum(axis=1)
    centre = present_mean(actual, axis=1)
    seeds, pictures = resample.seeds.shape[1], resample.images.shape[1]
    if seeds * pictures == 1:
        return Ends(centre, np.full_like(centre, np.nan), np.full_like(centre, np.nan))
    resting = np.broadcast_to(np.float64(pictures) if images is None else images, centre.shape)
    means = _luck_of_images(drawn) * _stretches(resting)[:, None]
    means += _luck_of_training(actual, centre, resample.seeds) * _stretches(number)[:, None]
    means += centre[:, None]
    return _ends(centre, means)


def mean_intervals(values: Array, resample: Resample) -> Ends:
    """Return means over all runs, seeds × images, with their intervals, as `intervals` does for pooled scores.

    Args:
        values: (P, S, N), one number per seed and image; an image without one (NaN) has none for any seed.
        resample: The draws of the S seeds and N images.
    """
    defined = np.asarray(~np.isnan(values).all(axis=1), dtype=bool)
    number = defined.sum(axis=1)
    actual = present_mean(values)
    centre = present_mean(actual, axis=1)
    if values.shape[1] * values.shape[2] == 1:
        return Ends(centre, np.full_like(centre, np.nan), np.full_like(centre, np.nan))
    overall = present_mean(values, axis=1)
    part = _shared_part(_spread(overall), present_mean(_spread(values), axis=1), values.shape[1])
    means = _luck_of_draws(overall, defined, resample.images)
    means *= (np.sqrt(part) * _stretches(number.astype(np.float64)))[:, None]
    means += _luck_of_training(actual, centre, resample.seeds) * stretch(values.shape[1])
    means += centre[:, None]
    return _ends(centre, means)


class Ends(NamedTuple):
    """Many intervals as arrays, (P,) each."""

    mean: Array
    low: Array
    high: Array

    def one(self, index: int) -> Interval:
        """Return one of them."""
        return Interval(float(self.mean[index]), float(self.low[index]), float(self.high[index]))


def interval(actual: Array, drawn: Array, resample: Resample, images: float | None = None) -> Interval:
    """Return the mean over seeds of `actual` (S,) with its interval, from `drawn` (R, S); see `intervals`."""
    return intervals(actual[None], drawn.T[None], resample, images).one(0)


def effective(target: Array) -> float:
    """Return how many images of equal size say as much as these, of which `target` (N, C) pixels are each class's.

    The participation ratio, (Σ t)² / Σ t²: 1 where one image holds all pixels, N where each holds as many, and of
    several classes that of the class it is least for. Classes that no image shows are left out; 2 at least, below which
    there is no spread to speak of, and N where no class is shown.
    """
    total, squares = target.sum(axis=0), (target**2).sum(axis=0)
    shown = squares > 0
    return max(2.0, float((total[shown] ** 2 / squares[shown]).min())) if shown.any() else float(len(target))


def _luck_of_images(drawn: Array) -> Array:
    """Return how far each draw of images moves the mean over seeds, (P, S, R) → (P, R), interaction taken out."""
    plain = present_mean(drawn, axis=1)
    moved = plain - present_mean(plain)[:, None]
    part = _shared_part(present_mean(moved**2), present_mean(_spread(drawn), axis=1), drawn.shape[1])
    scaled: Array = moved * np.sqrt(part)[:, None]
    return scaled


def _luck_of_draws(values: Array, defined: NDArray[np.bool_], images: Array) -> Array:
    """Return how far each draw of images (R, N) moves the mean of values (P, N): (P, R), NaN where none is drawn."""
    off = np.where(defined, values - present_mean(values)[:, None], 0.0)
    moved: Array = off @ images.T
    if defined.all():
        moved /= max(values.shape[1], 1)
        return moved
    drawn = defined.astype(np.float64) @ images.T
    return np.where(drawn > 0, moved / np.where(drawn > 0, drawn, 1.0), np.nan)


def _spread(values: Array) -> Array:
    """Return the variance of the defined values along the last axis."""
    return present_mean((values - present_mean(values)[..., None]) ** 2)


def _shared_part(total: Array, own: Array, seeds: int) -> Array:
    """Return the part of the variance `total` of a mean over seeds that all seeds have in common, in [0, 1].

    `own` is the mean of the seeds' own variances. The variance of a mean is made of these and of the covariances: the
    mean covariance is what moves all seeds alike, the rest is what draws make of single seeds.
    """
    if seeds < 2:
        return np.ones_like(total)
    shared = (seeds * total - own) / (seeds - 1)
    return np.nan_to_num(np.clip(shared / np.where(total > 0, total, 1.0), 0.0, 1.0))


def _luck_of_training(actual: Array, centre: Array, seeds: Array) -> Array:
    """Return how far each draw of seeds (R, S) moves the mean over seeds, (P, S) → (P, R)."""
    present = ~np.isnan(actual)
    off = np.where(present, actual - centre[:, None], 0.0)
    moved: Array = off @ seeds.T
    if present.all():
        moved /= max(actual.shape[1], 1)
        return moved
    drawn = present.astype(np.float64) @ seeds.T
    return np.where(drawn > 0, moved / np.where(drawn > 0, drawn, 1.0), 0.0)


def _stretches(numbers: Array) -> Array:
    values, places = np.unique(numbers, return_inverse=True)
    return np.array([stretch(float(value)) for value in values])[places.reshape(numbers.shape)]


def _ends(centre: Array, values: Array) -> Ends:
    """Return the percentile ends of values (P, R) around their centres; NaN where none is defined. Sorts in place."""
    reps = values.shape[-1]
    missing = np.isnan(values)
    tails = np.array([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    if missing.any():
        values.sort(axis=-1)
        number = reps - missing.sum(axis=-1)
    else:
        # Only what stands beside the two quantiles has to be in its place: several times faster than to sort.
        number = np.full(len(values), reps)
        beside = np.floor(tails * (reps - 1)).astype(np.intp)
        values.partition(np.unique(np.minimum(np.concatenate([beside, beside + 1]), reps - 1)), axis=-1)
    at = tails[:, None] * np.maximum(number - 1, 0)
    below = np.floor(at).astype(np.intp)
    above = np.minimum(below + 1, np.maximum(number - 1, 0))
    rows = np.arange(len(values))
    lower, upper = values[rows, below], values[rows, above]
    low, high = np.where(number > 0, lower + (at - below) * (upper - lower), np.nan)
    return Ends(centre, low, high)


def repetitions(drawn: Array, seeds: Array) -> Array:
    """Mean over the drawn seeds in each repetition, (R, S) → (R,), its spread over seeds widened by `stretch`.

    For asking, resample by resample, which of several is ahead; linear in `drawn` where every seed has a value. It
    counts what a seed makes of single images more than once, so that its shares err towards "not sure".
    """
    defined = ~np.isnan(drawn)
    filled = np.where(defined, drawn, 0.0)
    weight = seeds * defined
    plain = present_mean(drawn)
    total = weight.sum(axis=1)
    resampled = np.where(total > 0, (filled * weight).sum(axis=1) / np.maximum(total, 1), plain)
    return plain + stretch(drawn.shape[1]) * (resampled - plain)


@lru_cache(maxsize=4096)
def stretch(units: float) -> float:
    """How much resampling so few seeds, or images, must be widened for its interval to hold what it promises.

    Resampling n values shows only (n - 1) / n of their variance, and a normal tail is too thin for a spread estimated
    from n values: the factor is sqrt(n / (n - 1)) times Student's quantile over the normal one (2.7 for three, 1.6 for
    five, 1 in the limit). A single one has no spread to widen: 1. `units` need not be whole; see `effective`.
    """
    if units < 2:
        return 1.0
    tail = (1 + COVERAGE) / 2
    student = stats.t.ppf(tail, units - 1) / stats.norm.ppf(tail)
    return float(np.sqrt(units / (units - 1)) * student)


def over_seeds(values: Array, resample: Resample) -> Interval:
    """Interval of a score known only once per seed (S,), such as the error of a recovered curve: seeds alone vary."""
    reps = len(resample.seeds)
    return interval(values, np.broadcast_to(values, (reps, len(values))), resample)


def difference(first: Array, second: Array, metric: str, resample: Resample) -> Interval:
    """Interval of the score of `first` minus that of `second`, both (S, N, C, 4) over the same seeds and images."""
    actual_first, drawn_first = pool(first, resample)
    actual_second, drawn_second = pool(second, resample)
    return interval(
        score(actual_first, metric) - score(actual_second, metric),
        score(drawn_first, metric) - score(drawn_second, metric),
        resample,
        effective(targets(first)),
    )


def targets(counts: Array) -> Array:
    """Return the true pixels of every image and class, (S, N, C, 4) → (N, C); they are the same for every seed."""
    truth: Array = (counts[..., TP] + counts[..., FN]).mean(axis=0)
    return truth
