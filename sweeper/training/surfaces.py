"""How well the boundaries, the course and the objects of a class are found, in whole pictures. Torch is not needed.

Pixels of a picture that are ignored, or that no patch covers, are taken out of truth and prediction alike. Where a
class meets them, or the picture's edge, it has no boundary: nobody knows how it goes on there.

nsd       Normalized surface distance (Nikolov et al. 2018, arXiv:1809.04430): the share of the boundary pixels of truth
          and prediction together that lie within `NSD_TOLERANCE` of the other's boundary.
hd95      The larger of the two 95th percentiles of the distances from one boundary to the other, in pixels.
cldice    Centerline Dice (Shit et al. 2021, arXiv:2003.07311): the harmonic mean of the share of the predicted
          skeleton that lies in the true region and the share of the true skeleton that lies in the predicted one.
objects   8-connected regions of the truth; one is missed when not one of its pixels is predicted as its class.

Boundary pixels are those with a 4-neighbor of another class, as in MONAI; but MONAI also takes the pixels of a class at
the picture's edge, and beside ignored ones, for boundary.

A picture that does not show the class says nothing of how it is found and is left out, whatever is predicted there:
false alarms count in precision. Where the class is there and nothing of it is predicted, `nsd` and `cldice` are 0 and
`hd95` is undefined, which is why it improves when objects are missed. A class that fills all there is of a picture has
no boundary: its `nsd` is 0 where the prediction has one and undefined where that has none either.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sweeper.data.patches import Split
from sweeper.data.settings import IGNORE
from sweeper.maps.distances import Mask, inner_contour
from sweeper.results.record import NSD_TOLERANCE
from sweeper.training.stitching import stitch

Name = TypeVar("Name", bound=Hashable)

Points = NDArray[np.int64]
"""(n, 2), row and column of pixels."""

_SPARSE = 16
"""Distances between boundaries are looked up in a tree where these have at most one in so many pixels of their box,
else in a distance transform of the box; either is exact, and several times faster than the other on its side."""

_SQUARE = ndimage.generate_binary_structure(2, 2)


@dataclass(frozen=True, slots=True)
class SurfaceScore:
    """One class in one picture that shows it."""

    picture: int
    """Index into the split's stems."""
    klass: int
    nsd: float | None
    hd95: float | None
    cldice: float
    objects: int
    """In the truth, at least 1."""
    missed: int
    smallest_missed: int | None
    """Pixels of the smallest missed object; None where none was missed."""


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """The region of a class in one picture."""

    region: Mask
    """(rows, columns)."""
    contour: Points
    skeleton: Points


def surface_scores(
    split: Split, predictions: Mapping[Name, NDArray[np.uint8]], classes: Sequence[int]
) -> dict[Name, list[SurfaceScore]]:
    """Return, by the name of a prediction, the scores of every class in every picture that shows it.

    Args:
        predictions: One or more of the same pictures, each (N, P, P), the predicted class of every pixel of the split's
            patches.
        classes: Those to score; the background has no shape of its own.
    """
    scores: dict[Name, list[SurfaceScore]] = {name: [] for name in predictions}
    for picture in np.unique(split.picture).tolist():
        truth = stitch(split, split.masks, picture)
        stitched = {name: stitch(split, each, picture) for name, each in predictions.items()}
        valid = truth != IGNORE
        for klass in classes:
            region = truth == klass
            if not region.any():
                continue
            true = shape_of(region, valid)
            sizes, numbers = _objects(region)
            for name, each in stitched.items():
                found = shape_of((each == klass) & valid, valid)
                nsd, hd95 = boundary_scores(true.contour, found.contour)
                missed = sizes[np.bincount(numbers[found.region[region]], minlength=len(sizes)) == 0]
                score = SurfaceScore(
                    picture=picture,
                    klass=klass,
                    nsd=nsd,
                    hd95=hd95,
                    cldice=centerline_dice(true, found),
                    objects=len(sizes),
                    missed=len(missed),
                    smallest_missed=int(missed.min()) if len(missed) else None,
                )
                scores[name].append(score)
    return scores


def shape_of(region: Mask, valid: Mask) -> Shape:
    """Return the boundary and the skeleton of a region, (rows, columns); `valid` says where there is a picture."""
    from skimage.morphology import skeletonize  # takes a while to import, which only a confirm trial should wait for

    if not region.any():
        nothing = np.empty((0, 2), dtype=np.int64)
        return Shape(region, nothing, nothing)
    # Neither knows of what is further away than the next pixel, so that the region's own box tells all.
    box, corner = _box(region)
    inside = region[box]
    contour = np.argwhere(inner_contour(inside, valid[box])) + corner
    skeleton = np.argwhere(skeletonize(inside)) + corner  # type: ignore[no-untyped-call]
    return Shape(region, contour, skeleton)


def boundary_scores(true: Points, found: Points) -> tuple[float | None, float | None]:
    """Return the normalized surface distance, in [0, 1], and the 95 % Hausdorff distance of two boundaries, in pixels.

    With one of them empty the first is 0 and the second None; with both, both are None.
    """
    if not len(true) or not len(found):
        return (0.0 if len(true) or len(found) else None), None
    found_to_true, true_to_found = _distances(found, true), _distances(true, found)
    within = np.count_nonzero(found_to_true <= NSD_TOLERANCE) + np.count_nonzero(true_to_found <= NSD_TOLERANCE)
    farthest = max(np.percentile(found_to_true, 95), np.percentile(true_to_found, 95))
    return within / (len(true) + len(found)), float(farthest)


def centerline_dice(true: Shape, found: Shape) -> float:
    """Return the clDice of two regions of one picture, in [0, 1]; 0 where nothing was found of a region that is there.

    The skeletons are those of Zhang and Suen, one pixel wide.
    """
    if not len(found.skeleton) or not len(true.skeleton):
        return 0.0
    precision = _share_inside(found.skeleton, true.region)
    sensitivity = _share_inside(true.skeleton, found.region)
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def _objects(region: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the size of each object in pixels, and to which one each pixel of `region[region]` belongs, from 0."""
    box, _ = _box(region)
    labels, _ = ndimage.label(region[box], _SQUARE)
    numbers = labels[region[box]].astype(np.int64) - 1
    return np.bincount(numbers), numbers


def _share_inside(points: Points, region: Mask) -> float:
    return float(region[points[:, 0], points[:, 1]].mean())


def _distances(start: Points, goal: Points) -> NDArray[np.float64]:
    """Return how far each of `start` is from the nearest of `goal`, which must have one, (n,), in pixels."""
    low = np.minimum(start.min(axis=0), goal.min(axis=0))
    rows, cols = np.maximum(start.max(axis=0), goal.max(axis=0)) - low + 1
    nearest: NDArray[np.float64]
    if (len(start) + len(goal)) * _SPARSE <= rows * cols:
        from scipy.spatial import KDTree

        nearest = KDTree(goal).query(start)[0]
        return nearest
    elsewhere = np.ones((rows, cols), dtype=np.bool_)
    elsewhere[tuple((goal - low).T)] = False
    nearest = ndimage.distance_transform_edt(elsewhere)[tuple((start - low).T)]
    return nearest


def _box(region: Mask) -> tuple[tuple[slice, slice], Points]:
    """Return the smallest box around a region, one pixel wider where the picture goes on, and its first pixel."""
    rows, cols = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    top, left = max(int(rows[0]) - 1, 0), max(int(cols[0]) - 1, 0)
    return (slice(top, int(rows[-1]) + 2), slice(left, int(cols[-1]) + 2)), np.array([top, left])
