"""Which of the kept patches and scans a report shows: chosen by rule once all families are known. Numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.report.gallery.pictures import IGNORE

Classes = NDArray[np.uint8]
"""(n, P, P), the class of every pixel of n patches."""

CHUNK = 1 << 22
"""Pixels times classes counted at once."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The patch in which the families differ most."""

    patch: int
    pixels: float
    """Pixels of it in which two families predict different classes, on average over all pairs of families."""


@dataclass(frozen=True, slots=True)
class MissedObject:
    """The smallest of the objects that most families missed, and the patch that shows most of it."""

    patch: int
    number: int
    """Of the object, among all kept."""
    klass: int
    pixels: int
    """Its size in the whole picture."""
    families: int
    """How many missed it: not one pixel of its class was predicted where it is."""
    alike: int
    """How many objects were missed by as many families, this one among them."""


@dataclass(frozen=True, slots=True)
class Median:
    """The patch in the middle when all are ordered by how well the families do on average."""

    patch: int
    iou: float
    """Mean over families of the minority IoU within the patch: the mean over the minority classes it shows."""


def largest_disagreement(truths: Classes, predicted: Sequence[Classes]) -> Disagreement | None:
    """Return the patch with most pixels in which two families differ; None for one family, or where all agree."""
    if len(predicted) < 2:
        return None
    pairs = len(predicted) * (len(predicted) - 1) / 2
    differing = np.array([_differing_pairs(truths[patch], _of(predicted, patch)) for patch in range(len(truths))])
    if not differing.any():
        return None
    patch = int(differing.argmax())
    return Disagreement(patch, float(differing[patch] / pairs))


def smallest_missed(
    truths: Classes, predicted: Sequence[Classes], objects: NDArray[np.int32], object_pixels: NDArray[np.int64]
) -> MissedObject | None:
    """Return the smallest of the objects that most families missed; None where every family found a part of each.

    Objects of which a part was not kept are left out: nobody knows whether that part was found.
    """
    count = len(object_pixels)
    kept = np.bincount(objects.ravel(), minlength=count + 1)[1:]
    whole = kept == object_pixels
    missed = np.zeros(count, dtype=np.int64)
    places = np.flatnonzero(objects)
    numbers, real = objects.ravel()[places], truths.ravel()[places]
    for one in predicted:
        hit = numbers[one.ravel()[places] == real]
        missed += np.bincount(hit, minlength=count + 1)[1:] == 0
    missed[~whole] = 0
    if not missed.any():
        return None
    alike = np.flatnonzero(missed == missed.max())
    chosen = int(alike[object_pixels[alike].argmin()])
    shown = np.count_nonzero(objects == chosen + 1, axis=(1, 2))
    patch = int(shown.argmax())
    klass = int(truths[patch][objects[patch] == chosen + 1][0])
    return MissedObject(patch, chosen + 1, klass, int(object_pixels[chosen]), int(missed.max()), len(alike))


def median_patch(truths: Classes, predicted: Sequence[Classes], minority: Sequence[int]) -> Median | None:
    """Return the patch of median difficulty, the lower one of two in the middle; None without families or patches."""
    if not predicted or not len(truths):
        return None
    scores = np.array([_minority_iou(truths[patch], _of(predicted, patch), minority) for patch in range(len(truths))])
    order = np.argsort(scores, kind="stable")
    patch = int(order[(len(order) - 1) // 2])
    return Median(patch, float(scores[patch]))


@dataclass(frozen=True, slots=True)
class Scan:
    """One log whose recovered curves are shown."""

    stem: str
    error: float
    """Mean over families and curves of the curve error, in track widths."""


def chosen_scans(errors: Mapping[str, float]) -> tuple[Scan | None, Scan | None]:
    """Return the scan of median error, the lower one of two in the middle, and that of the largest, unless it is the
    same; None for what there is not.

    Args:
        errors: By the scan's name.
    """
    ordered = [Scan(stem, error) for stem, error in sorted(errors.items(), key=lambda one: (one[1], one[0]))]
    if not ordered:
        return None, None
    middle, worst = ordered[(len(ordered) - 1) // 2], ordered[-1]
    return middle, None if worst == middle else worst


def _of(predicted: Sequence[Classes], patch: int) -> Classes:
    """Return every family's prediction of one patch, (families, P, P)."""
    return np.stack([one[patch] for one in predicted])


def _differing_pairs(truth: NDArray[np.uint8], predicted: Classes) -> int:
    """Return over how many (pixel, pair of families) the predicted classes differ, ignored pixels left out."""
    block = predicted[:, truth != IGNORE]
    families, pixels = block.shape
    classes = int(block.max(initial=0)) + 1
    alike = 0
    size = max(1, CHUNK // classes)
    for start in range(0, pixels, size):
        part = block[:, start : start + size]
        votes = np.bincount((np.arange(part.shape[1]) * classes + part).ravel())
        # Of F² ordered pairs, those of the same class, a family with itself among them, do not differ.
        alike += int((votes * votes).sum())
    return int(families * families * pixels - alike) // 2


def _minority_iou(truth: NDArray[np.uint8], predicted: Classes, minority: Sequence[int]) -> float:
    """Return the mean over families of the mean IoU over the minority classes that the truth shows."""
    valid = truth != IGNORE
    real, block = truth[valid].astype(np.int64), predicted[:, valid]
    classes = max(int(real.max(initial=0)), int(block.max(initial=0)), *minority) + 1
    confusion = np.stack([np.bincount(real * classes + one, minlength=classes * classes) for one in block])
    confusion = confusion.reshape(len(block), classes, classes)
    shown = [klass for klass in minority if (real == klass).any()]
    if not shown:
        return 0.0
    both = np.stack([confusion[:, klass, klass] for klass in shown])
    either = np.stack([confusion[:, klass].sum(axis=1) + confusion[:, :, klass].sum(axis=1) for klass in shown]) - both
    return float((both / either).mean())
