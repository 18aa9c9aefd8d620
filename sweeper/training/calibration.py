"""Counts, patch by patch, how often a minority class is there when the model gives it a certain probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.results.margins import PROBABILITY_BINS
from sweeper.training.margin_counts import rare_classes


class ReliabilityCounter:
    """Reliability of the patches of a split, on the device until it is fetched.

    The probability of a pixel is the sum of the softmax over the minority classes, at argmax: no offset is added. Bin j
    of the n = PROBABILITY_BINS holds those from j/n up to, but not with, (j + 1)/n; the last holds 1 too.
    """

    def __init__(self, patches: int, classes: int, minority: Sequence[int], device: torch.device) -> None:
        """Start with nothing counted; `minority` are the classes whose probability is judged."""
        self._classes = classes
        self._minority = torch.tensor(list(minority), device=device)
        self._rare = rare_classes(classes, minority, device)
        self._sums = torch.zeros((patches, 3, PROBABILITY_BINS), dtype=torch.float64, device=device)

    def add(self, start: int, truth: Tensor, logits: Tensor) -> None:
        """Count the patches from `start` on.

        Args:
            truth: (B, P, P) int64, true classes; ignored pixels are the class after the last.
            logits: (B, C, P, P).
        """
        probability = minority_probability(logits, self._minority)
        place = (probability * PROBABILITY_BINS).long().clamp(max=PROBABILITY_BINS - 1)
        # One bin more than there are: ignored pixels are counted there and dropped.
        place = torch.where(truth < self._classes, place, PROBABILITY_BINS)
        patch = torch.arange(len(truth), device=truth.device)[:, None, None]
        cell = (patch * (PROBABILITY_BINS + 1) + place).flatten()
        for row, values in enumerate((torch.ones_like(probability), probability, self._rare[truth])):
            sums = torch.zeros(len(truth) * (PROBABILITY_BINS + 1), dtype=torch.float64, device=truth.device)
            sums.scatter_add_(0, cell, values.double().flatten())
            self._sums[start : start + len(truth), row] = sums.view(len(truth), -1)[:, :PROBABILITY_BINS]

    def fetch(self) -> NDArray[np.float64]:
        """Return (N, 3, PROBABILITY_BINS): of each patch and bin the pixels, their summed probability, and how many
        of them are of a minority class."""
        return np.asarray(self._sums.cpu().numpy())


def minority_probability(logits: Tensor, minority: Tensor) -> Tensor:
    """Return the probability that a pixel is of a minority class, (B, C, P, P) → (B, P, P) float32, in [0, 1].

    0 where it is no number; logits that are not finite fail the trial.
    """
    probability = logits.float().softmax(dim=1).index_select(1, minority).sum(dim=1)
    return torch.nan_to_num(probability).clamp(max=1.0)
