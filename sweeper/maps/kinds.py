"""The table of target maps: what a loss may ask for by name, and how it is computed from a mask.

A map is computed on a patch as the loss sees it. It moves with the patch under flips and quarter turns, so that it is
computed once per data set; under rescaling, other rotations or elastic deformation it would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.maps import distances, shapes


@dataclass(frozen=True)
class MapKind:
    """One kind of target map."""

    compute: Callable[[NDArray[np.bool_]], NDArray[Any]]
    """From the valid pixels of each class, (C, H, W) bool, to the map, (K, H, W) or (C, R, H, W)."""
    per_class: bool
    """Whether the first axis of the map is the classes, to be reordered where the classes are."""
    oriented: bool = False
    """Whether its four channels are the orientations of `distances.boundary_distance`, exchanged by flips and turns."""
    inner: tuple[int, ...] = ()
    """Sizes of the axes between the classes and the pixels: the radii of `disk_response`."""
    version: int = 1
    """Raised when `compute` changes its result or dtype, so that maps on disk are computed anew."""


KINDS: Mapping[str, MapKind] = MappingProxyType(
    {
        "own_distance": MapKind(distances.own_distance, per_class=False),
        "signed_distance": MapKind(distances.signed_distance, per_class=True),
        "relative_depth": MapKind(distances.relative_depth, per_class=True),
        "contour_distance": MapKind(distances.contour_distance, per_class=True),
        "boundary_distance": MapKind(distances.boundary_distance, per_class=False, oriented=True),
        "boundary_band": MapKind(distances.boundary_band, per_class=False),
        "edge_band": MapKind(distances.edge_band, per_class=True),
        "erosion_depth": MapKind(shapes.erosion_depth, per_class=True),
        "skeleton_level": MapKind(shapes.skeleton_level, per_class=True),
        "skeleton_distance": MapKind(shapes.skeleton_distance, per_class=True),
        "outline": MapKind(shapes.outline, per_class=True),
        "components": MapKind(shapes.components, per_class=True, version=2),
        "holes": MapKind(shapes.holes, per_class=True, version=2),
        "disk_response": MapKind(shapes.disk_response, per_class=True, inner=(len(shapes.RADII),)),
    }
)


def compute_map(name: str, labels: NDArray[np.integer[Any]], classes: int) -> NDArray[Any]:
    """Return one map of a mask, (K, H, W) or (C, R, H, W).

    Args:
        name: A key of `KINDS`.
        labels: (H, W), class indices; whatever is not 0 to `classes` − 1 is ignored.
        classes: C.
    """
    return KINDS[name].compute(labels == np.arange(classes).reshape(-1, 1, 1))


def compute_maps(name: str, labels: NDArray[np.integer[Any]], classes: int) -> NDArray[Any]:
    """Return the map of each of many masks, (B, H, W), as `compute_map` does of one; B may be 0."""
    if not len(labels):
        return compute_map(name, np.zeros(labels.shape[1:], dtype=np.int64), classes)[np.newaxis][:0]
    return np.stack([compute_map(name, each, classes) for each in labels])
