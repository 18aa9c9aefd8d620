"""Counts, patch by patch, at which decision margins minority pixels are found and false alarms are raised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.results.margins import BINS
from sweeper.training.operating import margin_bin

_FOUND, _ALARM, _NEITHER = range(3)


class MarginCounter:
    """Margin histograms of the patches of a split, on the device until they are fetched.

    Whether a pixel is found, or a false alarm, at a background offset: see `results.schema.MARGINS`. Pixels are counted
    as they are; the level weights come later, since one weight goes for all of a patch.
    """

    def __init__(self, patches: int, classes: int, minority: Sequence[int], device: torch.device) -> None:
        """Start with nothing counted; `minority` are the classes whose pixels are to be found."""
        self._classes = classes
        self._rare = rare_classes(classes, minority, device)
        self._counts = torch.zeros((patches, _NEITHER, BINS), dtype=torch.int32, device=device)

    def add(self, start: int, truth: Tensor, margin: Tensor, klass: Tensor) -> None:
        """Count the patches from `start` on.

        Args:
            truth: (B, P, P) int64, true classes; ignored pixels are the class after the last.
            margin: (B, P, P), see `operating.margins`.
            klass: (B, P, P) int64, the best class besides the background.
        """
        found = self._rare[truth] & (klass == truth)
        alarm = self._rare[klass] & (klass != truth) & (truth < self._classes)
        kind = torch.where(found, _FOUND, torch.where(alarm, _ALARM, _NEITHER))
        patch = torch.arange(len(truth), device=truth.device)[:, None, None]
        cell = ((patch * (_NEITHER + 1) + kind) * BINS + margin_bin(margin)).flatten()
        counts = torch.zeros(len(truth) * (_NEITHER + 1) * BINS, dtype=torch.int32, device=truth.device)
        counts.scatter_add_(0, cell, torch.ones_like(cell, dtype=torch.int32))
        self._counts[start : start + len(truth)] = counts.view(len(truth), _NEITHER + 1, BINS)[:, :_NEITHER]

    def fetch(self) -> NDArray[np.int32]:
        """Return (N, 2, BINS): of each patch the pixels found and the false alarms by margin bin."""
        return np.asarray(self._counts.cpu().numpy())


def rare_classes(classes: int, minority: Sequence[int], device: torch.device) -> Tensor:
    """Return (C + 1,) bool: whether a class is of the minority; the class after the last, of ignored pixels, is not."""
    rare = torch.zeros(classes + 1, dtype=torch.bool, device=device)
    rare[list(minority)] = True
    return rare
