"""Small frames with known objects, and predictions of them that are wrong in one way at a time.

Two classes; a prediction is a mask held with one confidence everywhere, so that only its shape can be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

SIDE = 96
"""Of every frame, in pixels."""

CONFIDENCE = 0.99999
"""Probability a prediction gives the class it names: near enough to a hard mask that what leaks into the background of
the whole frame is a tenth of a pixel, and far enough from one that logarithms stay finite."""

Mask = NDArray[np.bool_]


def _disk(radius: float) -> Mask:
    rows, cols = np.ogrid[:SIDE, :SIDE]
    centre = (SIDE - 1) / 2
    disk: Mask = (rows - centre) ** 2 + (cols - centre) ** 2 <= radius**2
    return disk


def _curve() -> Mask:
    """A curve of 3 px across the frame, as on a raster log."""
    rows = np.arange(SIDE)
    col = (SIDE - 1) / 2 + SIDE / 6 * np.sin(2 * np.pi * rows / SIDE)
    curve: Mask = np.abs(np.arange(SIDE)[np.newaxis, :] - col[:, np.newaxis]) <= 1.5
    return curve


OBJECTS: Mapping[str, Mask] = MappingProxyType(
    {"large disk": _disk(24.5), "small disk": _disk(3.5), "thin curve": _curve()}
)
"""A fifth of the frame, four pixels in a thousand, and a line of three pixels."""

GROWTH = tuple(range(-26, 13, 1))
"""How far an object's edge is moved outwards, in pixels; negative is inwards, and the large disk is gone at the end."""

SHIFTS = tuple(range(25))
"""How far an object is moved sideways, in pixels."""


def grown(mask: Mask, pixels: int) -> Mask:
    """Return the object with its edge moved outwards by `pixels`, inwards where negative; it may vanish."""
    if pixels >= 0:
        moved: Mask = ndimage.distance_transform_edt(~mask) <= pixels
        return moved
    # The frame's border is no edge: a curve that runs through it does not shorten.
    inside = ndimage.distance_transform_edt(np.pad(mask, SIDE, mode="edge"))[SIDE:-SIDE, SIDE:-SIDE]
    kept: Mask = inside > -pixels
    return kept


def shifted(mask: Mask, pixels: int) -> Mask:
    """Return the object moved to the right by `pixels`; what leaves the frame is lost."""
    moved = np.zeros_like(mask)
    moved[:, pixels:] = mask[:, : SIDE - pixels] if pixels else mask
    return moved


def target_of(mask: Mask) -> Tensor:
    """Return the mask as labels, (1, SIDE, SIDE) int64."""
    return torch.from_numpy(mask.astype(np.int64)).unsqueeze(0)


def logits_of(mask: Mask, confidence: float = CONFIDENCE) -> Tensor:
    """Return logits, (1, 2, SIDE, SIDE) float64, whose softmax gives each pixel's class of `mask` `confidence`."""
    half = 0.5 * math.log(confidence / (1 - confidence))
    foreground = torch.from_numpy(np.where(mask, half, -half))
    return torch.stack([-foreground, foreground]).unsqueeze(0)


def disk_of_share(share: float) -> Mask:
    """Return a disk, or for large shares the complement of one, that has a share of the frame to within a pixel."""
    rows, cols = np.indices((SIDE, SIDE))
    centre = (SIDE - 1) / 2
    # Sorted by distance, ties by position: the area is exact, which a radius would not make it.
    order = np.argsort(((rows - centre) ** 2 + (cols - centre) ** 2).ravel(), kind="stable")
    mask = np.zeros(SIDE * SIDE, dtype=bool)
    mask[order[: round(share * SIDE * SIDE)]] = True
    return mask.reshape(SIDE, SIDE)
