"""The two operating points: argmax, and the background offset chosen on validation.

A pixel's *decision margin* is its best non-background logit minus its background logit. Its prediction at offset o
is the best non-background class where the margin exceeds o, else background; o = 0 is argmax with ties to the
background. Every non-background class is a candidate, minority or not: the offset moves the background against
all of them, and never one foreground class against another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.results.margins import BINS as BINS
from sweeper.results.margins import OFFSETS as OFFSETS
from sweeper.results.margins import above as above
from sweeper.training.metrics import headlines

_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """The background offset chosen on validation."""

    offset: float
    confusion: NDArray[np.float64]
    """(C, C), pooled over validation under the level weights, at this offset."""
    clipped: float
    """Share of the weighted validation pixels whose margin lies beyond every offset tried."""

    @property
    def at_limit(self) -> bool:
        """Whether the best offset is the last one tried, so that a better one may lie beyond."""
        return abs(self.offset) >= float(OFFSETS[-1])


def margins(logits: Tensor, background: int) -> tuple[Tensor, Tensor]:
    """Return the decision margin and the best non-background class of every pixel.

    Args:
        logits: (B, C, H, W).

    Returns: margin (B, H, W) float32; class (B, H, W) int64.
    """
    logits = logits.float()
    candidates = logits.clone()
    candidates[:, background] = -torch.inf
    best, klass = candidates.max(dim=1)
    return best - logits[:, background], klass


def predict(margin: Tensor, klass: Tensor, background: int, offset: float) -> Tensor:
    """Return the predicted class of every pixel at that background offset; the shape of `klass`."""
    return torch.where(margin > offset, klass, background)


def margin_bin(margin: Tensor) -> Tensor:
    """Return the histogram bin of every margin, int64; bin j holds (offset j−1, offset j], NaN counts as 0."""
    return torch.bucketize(torch.nan_to_num(margin.float()), _edges(margin.device))


@cache
def _edges(device: torch.device) -> Tensor:
    """Return the offsets on a device; copied there once, since a copy makes the host wait for the device."""
    return torch.tensor(OFFSETS, dtype=torch.float32, device=device)


def confusion_at(histogram: NDArray[np.float64], background: int) -> NDArray[np.float64]:
    """Return the confusion counts at every offset of `OFFSETS`, (BINS − 1, C, C), rows the truth.

    Args:
        histogram: (C, C, BINS): true class × best non-background class × margin bin, in weighted pixels.
    """
    below = np.cumsum(histogram, axis=2)[:, :, :-1]
    confusion = np.moveaxis(above(histogram), 2, 0).copy()
    confusion[:, :, background] += below.sum(axis=1).T
    return confusion


def best_offset(
    histogram: NDArray[np.float64], metric: str, *, background: int, minority: Sequence[int]
) -> OperatingPoint:
    """Return the offset that maximizes `metric`, a name of `metrics.HEADLINES`; ties go to the one nearest 0.

    Where the metric is undefined at every offset, for instance because no minority class is present, it is 0.
    """
    confusion = confusion_at(histogram, background)
    values = [headlines(each, background=background, minority=minority)[metric] for each in confusion]
    scores = np.array([-np.inf if value is None else value for value in values])
    tied = np.flatnonzero(scores >= scores.max() - _TIE)
    chosen = int(tied[np.argmin(np.abs(OFFSETS[tied]))])
    total = histogram.sum()
    ends = histogram[:, :, 0].sum() + histogram[:, :, -1].sum()
    return OperatingPoint(
        offset=float(OFFSETS[chosen]),
        confusion=confusion[chosen],
        clipped=float(ends / total) if total > 0 else 0.0,
    )
