"""Shapes of a mask's regions: how deep they are, their skeletons, components and holes, how full disks around a pixel
are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sweeper.maps.distances import Mask, cityblock

NEVER = 255
"""Skeleton level of pixels that never join, and skeleton distance where there is no skeleton."""

RADII = (3, 6, 9, 12, 15, 18)
"""Of the disks in `disk_response`, in pixels."""

_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def erosion_depth(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return, per class, how many erosions with a cross remove a pixel, (C, H, W): 0 outside, 1 on the rim, ≤ 255.

    The image's border does not erode; ignored pixels do. A class without an outside survives every erosion: 255.
    """
    return np.stack([_depth(region) for region in regions])


def skeleton_level(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return, per class, after how many erosions a pixel joins the morphological skeleton, (C, H, W), else NEVER.

    The pixels of level ≤ k are what k iterations of the soft skeleton of Shit et al. leave of a hard mask: erosion by a
    cross, opening with a dilation by a square.
    """
    return np.stack([_skeleton_level(region) for region in regions])


def skeleton_distance(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return, per class, the city-block distance to its one-pixel-wide skeleton, (C, H, W), NEVER without one."""
    from skimage.morphology import skeletonize

    return np.stack([cityblock(skeletonize(region)) for region in regions])  # type: ignore[no-untyped-call]


def outline(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return, per class, 1 on its pixels with a 4-neighbour outside of it, the image's border included, (C, H, W)."""
    rims = [region & ~ndimage.binary_erosion(region, _CROSS, border_value=0) for region in regions]
    return np.stack(rims).astype(np.uint8)


def components(regions: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return, per class, the number of the 8-connected component of each pixel from 1, (C, H, W); 0 outside."""
    return np.stack([ndimage.label(region, _SQUARE)[0] for region in regions]).astype(np.int32)


def holes(regions: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return, per class, the number of each hole from 1, (C, H, W); 0 elsewhere.

    A hole is a 4-connected part of what is outside the class that does not reach the image's border.
    """
    return np.stack([_holes(region) for region in regions])


def disk_response(regions: NDArray[np.bool_]) -> NDArray[np.float16]:
    """Return, per class and radius of `RADII`, the share of the disk around a pixel that the class has, (C, R, H, W).

    Outside the image there is no class.
    """
    from scipy.signal import fftconvolve  # takes half a second, which nothing else here needs

    response = np.empty((len(regions), len(RADII), *regions.shape[1:]), dtype=np.float16)
    for region, out in zip(regions, response, strict=True):
        for radius, each in zip(RADII, out, strict=True):
            disk = disk_kernel(radius)
            each[:] = np.clip(fftconvolve(region.astype(np.float64), disk, mode="same"), 0.0, 1.0)
    return response


def disk_kernel(radius: int) -> NDArray[np.float64]:
    """Return the disk of pixel centres within `radius`, (2 r + 1, 2 r + 1), that sums to 1."""
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = (rows**2 + cols**2 <= radius**2).astype(np.float64)
    kernel: NDArray[np.float64] = disk / disk.sum()
    return kernel


def _depth(region: Mask) -> NDArray[np.uint8]:
    if not region.any():
        return np.zeros(region.shape, dtype=np.uint8)
    # With the border as no rim, the erosions a pixel survives count its city-block steps to the outside.
    return cityblock(~region)


def _skeleton_level(region: Mask) -> NDArray[np.uint8]:
    level = np.full(region.shape, NEVER, dtype=np.uint8)
    for step in range(NEVER):
        if not region.any():
            break
        eroded = ndimage.binary_erosion(region, _CROSS, border_value=1)
        opened = ndimage.binary_dilation(eroded, _SQUARE)
        joins = region & ~opened & (level == NEVER)
        level[joins] = step
        if (eroded == region).all():
            break
        region = eroded
    return level


def _holes(region: Mask) -> NDArray[np.int32]:
    labelled, _ = ndimage.label(~region, _CROSS)
    border = np.unique(np.concatenate([labelled[0], labelled[-1], labelled[:, 0], labelled[:, -1]]))
    inside = np.setdiff1d(np.unique(labelled), [0, *border])
    numbers = np.zeros(int(labelled.max()) + 1, dtype=np.int32)
    numbers[inside] = np.arange(1, len(inside) + 1)
    found: NDArray[np.int32] = numbers[labelled]
    return found
