"""Flips and quarter turns of patches, drawn on the CPU and applied where the patches are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.maps.kinds import KINDS
from sweeper.training.randomness import generator
from sweeper.training.trial import Augmentation

# The eight symmetries of a square, each as (transpose, flip rows, flip columns), applied in this order.
IDENTITY = (False, False, False)
_HFLIP = (False, False, True)
_VFLIP = (False, True, False)
_HALF_TURN = (False, True, True)
_TRANSPOSE = (True, False, False)
_QUARTER_TURN = (True, True, False)
_THREE_QUARTER_TURN = (True, False, True)
_ANTITRANSPOSE = (True, True, True)

Symmetry = tuple[bool, bool, bool]


def symmetries(augment: Iterable[Augmentation]) -> tuple[Symmetry, ...]:
    """Return the group that the named augmentations generate: 1, 2, 4 or 8 symmetries, the identity first."""
    match sorted(set(augment)):
        case []:
            return (IDENTITY,)
        case ["hflip"]:
            return (IDENTITY, _HFLIP)
        case ["vflip"]:
            return (IDENTITY, _VFLIP)
        case ["hflip", "vflip"]:
            return (IDENTITY, _HFLIP, _VFLIP, _HALF_TURN)
        case ["rot90"]:
            return (IDENTITY, _QUARTER_TURN, _HALF_TURN, _THREE_QUARTER_TURN)
    # A quarter turn and either flip generate all eight.
    return (
        IDENTITY,
        _HFLIP,
        _VFLIP,
        _HALF_TURN,
        _TRANSPOSE,
        _QUARTER_TURN,
        _THREE_QUARTER_TURN,
        _ANTITRANSPOSE,
    )


def epoch_symmetries(
    augment: Iterable[Augmentation], steps: int, batch_size: int, *, seed: int, epoch: int
) -> NDArray[np.bool_]:
    """Return a symmetry for every patch of an epoch, (steps, batch_size, 3), each of the group equally likely."""
    group = np.array(symmetries(augment))
    chosen = generator("augmentation", seed, epoch).integers(len(group), size=(steps, batch_size))
    return np.asarray(group[chosen], dtype=np.bool_)


def transform(patches: Tensor, chosen: Tensor, *, rows: int, cols: int) -> Tensor:
    """Return the patches, each under its own symmetry.

    Whole-batch selections instead of a loop over patches: nothing waits for the device.

    Args:
        patches: (B, ...) with square rows × columns; images, masks and maps differ only in where these axes are.
        chosen: (B, 3) bool, (transpose, flip rows, flip columns), on the patches' device.
        rows: Axis of the rows in `patches`.
        cols: Axis of the columns.
    """
    shape = (-1,) + (1,) * (patches.ndim - 1)
    transpose, flip_rows, flip_cols = (column.reshape(shape) for column in chosen.unbind(1))
    patches = torch.where(transpose, patches.transpose(rows, cols), patches)
    patches = torch.where(flip_rows, patches.flip(rows), patches)
    return torch.where(flip_cols, patches.flip(cols), patches)


def transform_map(name: str, maps: Tensor, chosen: Tensor) -> Tensor:
    """Return a target map, each patch's under its own symmetry: what `compute_map` gives of the transformed mask.

    Of what a map derives from the order of pixels (which number a component has, which of two equal skeletons it is)
    it is that of the mask as it was.

    Args:
        name: A key of `maps.kinds.KINDS`.
        maps: (B, ..., P, P).
        chosen: (B, 3) bool, as `transform` takes them.
    """
    moved = transform(maps, chosen, rows=-2, cols=-1)
    return _reoriented(moved, chosen) if KINDS[name].oriented else moved


def _reoriented(maps: Tensor, chosen: Tensor) -> Tensor:
    """Put the channels of a map that has been moved, (B, 4, P, P), where its symmetry takes their orientations.

    Orientation 2 r + c looks along the rows by r and along the columns by c: a flip turns one of the two around, and
    transposing exchanges them.
    """
    transpose, flip_rows, flip_cols = chosen.long().unsqueeze(2).unbind(1)
    before = torch.arange(4, device=maps.device) ^ (2 * flip_rows + flip_cols)
    before = torch.where(transpose > 0, before // 2 + 2 * (before % 2), before)
    return maps.gather(1, before[:, :, None, None].expand_as(maps))
