"""Prepared patches as the trainer and the level weights see them: read-only arrays, nothing else.

Only numpy here, so that training runs where neither Arrow nor an image library is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One class of the masks."""

    index: int
    name: str
    color: str
    """`#rrggbb`, for previews and panels."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture that was left out because one of its files is damaged."""

    split: SplitName
    stem: str
    reason: str
    """Which file, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The patches of one split. N patches, K channels, C classes, P pixels a side."""

    name: SplitName
    images: NDArray[np.uint8]
    """(N, P, P, K), 0 to 255; memory-mapped and read-only."""
    masks: NDArray[np.uint8]
    """(N, P, P), class index or IGNORE; padding beyond a picture's edge is IGNORE."""
    counts: NDArray[np.int64]
    """(N, C), pixels of each class; ignored pixels are in no class."""
    picture: NDArray[np.int32]
    """(N,), index into `stems` of the picture the patch was cut from."""
    row: NDArray[np.int32]
    """(N,), the patch's first row in its picture, in pixels."""
    col: NDArray[np.int32]
    """(N,), the patch's first column in its picture, in pixels."""
    stems: tuple[str, ...]
    """Names of the pictures of this split."""
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Target maps by name, (N, K, P, P) or (N, C, R, P, P) in the dtype `maps.kinds` computes them in, memory-mapped:
    of the patch's own mask, not pieces of the whole picture's. Only those that `target_maps.with_maps` was asked for.
    """
    curves: NDArray[np.float32] | None = None
    """(pictures, C, rows), true position of each curve class per depth row as a fraction of the track width in
    [0, 1), NaN where the curve is not drawn and for classes that are no curve; None where pictures are no logs."""
    track_width: int | None = None
    """Width of the whole track in pixels; None where pictures are no logs."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A data set cut, checked and counted: what every trial of a study trains on."""

    fingerprint: str
    """Hash of the pixels, classes, splits and cutting: equal fingerprints are the same data."""
    name: str
    """What to call the data in a report."""
    classes: tuple[ClassInfo, ...]
    background: int
    """Index of the class whose share of pixels is the imbalance level."""
    minority: tuple[int, ...]
    """Indices of the classes the task is about."""
    patch: int
    mean: tuple[float, ...]
    """Per channel, over the training images, in 0 to 255."""
    std: tuple[float, ...]
    splits: Mapping[SplitName, Split]
    background_because: str = ""
    """Why that class is the background, for people."""
    minority_because: str = ""
    repeated: tuple[tuple[str, str], ...] = ()
    """Pictures of validation and test that an earlier split holds too, pixel for pixel, whatever their masks: (where it
    is first, where it is again), each as `split/stem`."""
    skipped: tuple[Skipped, ...] = ()
    """Damaged pictures that were left out, as `data.corrupt: skip` asks for."""
    artefacts: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    """By name, the arrays of each network trained once on the training masks: see `losses.needs.ARTEFACTS`."""

    @property
    def channels(self) -> int:
        return len(self.mean)
