"""Distances of pixels to regions of a mask and to their edges. Lengths in pixels, between pixel centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
"""(H, W)."""
Real = NDArray[np.float32]

NONE = -1.0
"""Stands for a distance to nothing: the class has no contour, the mask no boundary."""


def distance_to(goal: Mask) -> Real:
    """Return the Euclidean distance of every pixel to the nearest pixel of `goal`; it must have one."""
    distance: Real = ndimage.distance_transform_edt(~goal).astype(np.float32)
    return distance


def own_distance(regions: NDArray[np.bool_]) -> Real:
    """Return the distance of every pixel to the nearest valid pixel of another class, (1, H, W), at least 1.

    0 where there is no other class, and on ignored pixels. `regions` is (C, H, W), the valid pixels of each class.
    """
    distance = np.zeros((1, *regions.shape[1:]), dtype=np.float32)
    valid = _valid(regions)
    for region in regions:
        others = valid & ~region
        if region.any() and others.any():
            distance[0][region] = distance_to(others)[region]
    return distance


def signed_distance(regions: NDArray[np.bool_]) -> Real:
    """Return, per class, the distance to its region outside of it and minus that to the rest inside, (C, H, W).

    Neither is ever below 1 in size. 0 for a class that is absent or has all valid pixels, and on ignored pixels.
    """
    distance = np.zeros(regions.shape, dtype=np.float32)
    valid = _valid(regions)
    for region, signed in zip(regions, distance, strict=True):
        others = valid & ~region
        if region.any() and others.any():
            signed[others] = distance_to(region)[others]
            signed[region] = -distance_to(others)[region]
    return distance


def relative_depth(regions: NDArray[np.bool_]) -> Real:
    """Return, per class, the distance to the rest as a share of the class's largest, (C, H, W); 0 outside the class.

    1 on every pixel of a class that has all valid pixels.
    """
    depth = np.maximum(-signed_distance(regions), 0)
    for region, inside in zip(regions, depth, strict=True):
        if inside.any():
            inside /= inside.max()
        else:
            inside[region] = 1.0
    return depth


def contour_distance(regions: NDArray[np.bool_]) -> Real:
    """Return, per class, the distance to its contour, (C, H, W); NONE everywhere for a class without one."""
    distance = np.full(regions.shape, NONE, dtype=np.float32)
    valid = _valid(regions)
    for region, out in zip(regions, distance, strict=True):
        contour = inner_contour(region, valid)
        if contour.any():
            out[:] = distance_to(contour)
    return distance


def boundary_band(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the chessboard distance to the nearest contour pixel of any class, (1, H, W), 255 where there is none."""
    valid = _valid(regions)
    edge = np.zeros(valid.shape, dtype=bool)
    for region in regions:
        edge |= inner_contour(region, valid)
    return chessboard(edge)[np.newaxis]


def edge_band(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return, per class, the chessboard distance to its thick contour, (C, H, W), 255 where there is none.

    The thick contour has the pixels of the class with any of their eight neighbours in the image outside of it; ignored
    neighbours are outside.
    """
    return np.stack([chessboard(region & ~_eroded(region, 2)) for region in regions])


def boundary_distance(regions: NDArray[np.bool_]) -> Real:
    """Return the distance to where the label changes, in four orientations, (4, H, W); NONE where it never does.

    Orientation 2 r + c marks the pixels whose label differs from that of the next row (r = 0) or the previous one
    (r = 1), or of the next column (c = 0) or the previous one (c = 1). Ignored pixels are a label of their own and
    always boundary. A flip or rotation of the picture exchanges orientations, see `kinds.MapKind.oriented`.
    """
    labels = np.where(_valid(regions), regions.argmax(axis=0), -1)
    distance = np.full((4, *labels.shape), NONE, dtype=np.float32)
    down, right = np.zeros((2, *labels.shape), dtype=bool)
    down[:-1] = labels[:-1] != labels[1:]
    right[:, :-1] = labels[:, :-1] != labels[:, 1:]
    up, left = np.roll(down, 1, axis=0), np.roll(right, 1, axis=1)
    for r, rows in enumerate((down, up)):
        for c, cols in enumerate((right, left)):
            edge = rows | cols | (labels < 0)
            if edge.any():
                distance[2 * r + c] = distance_to(edge)
    return distance


def inner_contour(region: Mask, valid: Mask) -> Mask:
    """Return the pixels of `region` with a 4-neighbour that is in the image, valid, and not of the region."""
    outside = np.pad(valid & ~region, 1)
    touches = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    contour: Mask = region & touches
    return contour


def chessboard(goal: Mask) -> NDArray[np.uint8]:
    """Return the chessboard distance to `goal`, at most 254; 255 everywhere when it is empty."""
    return _capped(goal, "chessboard")


def cityblock(goal: Mask) -> NDArray[np.uint8]:
    """Return the city-block distance to `goal`, at most 254; 255 everywhere when it is empty."""
    return _capped(goal, "taxicab")


def _valid(regions: NDArray[np.bool_]) -> Mask:
    valid: Mask = np.logical_or.reduce(regions, axis=0)
    return valid


def _capped(goal: Mask, metric: str) -> NDArray[np.uint8]:
    if not goal.any():
        return np.full(goal.shape, 255, dtype=np.uint8)
    distance = ndimage.distance_transform_cdt(~goal, metric=metric)
    capped: NDArray[np.uint8] = np.minimum(distance, 254).astype(np.uint8)
    return capped


def _eroded(region: Mask, connectivity: int) -> Mask:
    """Return the region less its rim; the image's border is no rim."""
    structure = ndimage.generate_binary_structure(2, connectivity)
    eroded: Mask = ndimage.binary_erosion(region, structure, border_value=1)
    return eroded
