"""One pass over a split: confusion counts per patch, and what is counted beside them where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.training.calibration import ReliabilityCounter
from sweeper.training.feed import Feed
from sweeper.training.margin_counts import MarginCounter
from sweeper.training.operating import BINS, margin_bin, margins, predict

Forward = Callable[[Tensor], Tensor]
"""From uint8 images (B, P, P, K) to logits (B, C, P, P): normalization and the model in evaluation mode."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found at one background offset."""

    confusion: NDArray[np.int64]
    """(N, C, C), pixels of each patch; rows are the truth."""
    predictions: NDArray[np.uint8]
    """(N, P, P), predicted classes; (0, P, P) where they were not to be kept."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one pass over N patches found."""

    points: Mapping[float, Counted]
    """By offset, of those asked for."""
    histogram: NDArray[np.float64] | None
    """(C, C, BINS), weighted pixels by true class, best non-background class and margin bin; see `operating`."""
    margins: NDArray[np.int32] | None
    """(N, 2, BINS), pixels found and false alarms of each patch by margin bin; see `MarginCounter`."""
    reliability: NDArray[np.float64] | None
    """(N, 3, PROBABILITY_BINS), pixels of each patch, their probability and those of the minority; see
    `ReliabilityCounter`."""
    finite: bool
    """Whether every logit was."""


def evaluate(
    forward: Forward,
    feed: Feed,
    *,
    classes: int,
    background: int,
    batch_size: int,
    offsets: Sequence[float] = (0.0,),
    weights: NDArray[np.float64] | None = None,
    minority: Sequence[int] | None = None,
    keep: bool = False,
) -> Evaluation:
    """Run the model over every patch of a split once.

    Everything is counted on the device and fetched once at the end, so that a GPU never waits between batches.

    Args:
        offsets: Background offsets to count at; 0 is argmax.
        weights: (N,), weights of the patches in the margin histogram; None keeps no histogram.
        minority: Classes whose margins and reliability are counted patch by patch; None counts neither.
        keep: Also return the predicted classes.
    """
    device, patches = feed.device, len(feed)
    kept = (patches if keep else 0, *feed.split.masks.shape[1:])
    counters = {offset: _Counter(patches, classes, device, kept) for offset in offsets}
    # One class more than there are: ignored pixels are counted there and dropped at the end, which spares a selection.
    histogram = torch.zeros((classes + 1) * classes * BINS, dtype=torch.float64, device=device)
    on_device = None if weights is None else torch.from_numpy(np.array(weights, dtype=np.float64)).to(device)
    ranked = None if minority is None else MarginCounter(patches, classes, minority, device)
    trusted = None if minority is None else ReliabilityCounter(patches, classes, minority, device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    with torch.inference_mode():
        for start in range(0, patches, batch_size):
            stop = min(start + batch_size, patches)
            batch = feed.take(np.arange(start, stop))
            logits = forward(batch.images)
            finite = finite & torch.isfinite(logits).all()
            truth = batch.masks.long().clamp(max=classes)
            margin, klass = margins(logits, background)
            for offset, counter in counters.items():
                counter.add(start, truth, predict(margin, klass, background, offset))
            if on_device is not None:
                cell = (truth * classes + klass) * BINS + margin_bin(margin)
                pixel_weights = on_device[start:stop, None, None].expand_as(cell)
                histogram.scatter_add_(0, cell.flatten(), pixel_weights.flatten())
            if ranked is not None and trusted is not None:
                ranked.add(start, truth, margin, klass)
                trusted.add(start, truth, logits)
    return Evaluation(
        points={offset: counter.fetch() for offset, counter in counters.items()},
        histogram=None if weights is None else histogram.reshape(classes + 1, classes, BINS)[:classes].cpu().numpy(),
        margins=None if ranked is None else ranked.fetch(),
        reliability=None if trusted is None else trusted.fetch(),
        finite=bool(finite),
    )


class _Counter:
    """Per-patch confusion counts on the device, and the predictions where they are kept."""

    def __init__(self, patches: int, classes: int, device: torch.device, kept: tuple[int, ...]) -> None:
        """Start with nothing counted; `kept` is the shape of the predictions to keep, none of them or all."""
        self._classes = classes
        self._device = device
        self._counts = torch.zeros((patches, classes + 1, classes), dtype=torch.int64, device=device)
        # On the host, since a large split would crowd the models of other trials out of a GPU; page-locked, so that
        # copying does not hold up the next batch.
        self._kept = torch.empty(kept, dtype=torch.uint8, pin_memory=device.type == "cuda" and kept[0] > 0)

    def add(self, start: int, truth: Tensor, prediction: Tensor) -> None:
        """Count the patches from `start` on; truth and prediction are (B, P, P) int64, ignored truth is `classes`."""
        size = (self._classes + 1) * self._classes
        patch = torch.arange(len(truth), device=truth.device)[:, None, None]
        cell = (patch * size + truth * self._classes + prediction).flatten()
        part = self._counts[start : start + len(truth)].view(-1)
        part.scatter_add_(0, cell, torch.ones_like(cell))
        if len(self._kept):
            self._kept[start : start + len(truth)].copy_(prediction.to(torch.uint8), non_blocking=True)

    def fetch(self) -> Counted:
        confusion = self._counts[:, : self._classes].cpu().numpy()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # until then predictions may be on their way
        return Counted(confusion, self._kept.numpy())
