"""Scores a model on the splits of a data set, under a trial's level weights and at both operating points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sweeper.data.levels import LevelWeights
from sweeper.data.patches import Prepared, SplitName
from sweeper.errors import TrialFailure
from sweeper.results.record import MarginCounts
from sweeper.training.evaluate import Counted, Evaluation, evaluate
from sweeper.training.feed import Feed
from sweeper.training.metrics import headlines, pool
from sweeper.training.operating import best_offset, margins, predict
from sweeper.training.scores import (
    TrialScores,
    curve_rows,
    image_rows,
    margin_rows,
    pooled_margins,
    pooled_rows,
    reliability_rows,
    surface_rows,
)
from sweeper.training.surfaces import surface_scores


class Scorer:
    """A model, a data set, and the level weights to score it under."""

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[Tensor], Tensor],
        data: Prepared,
        levels: Mapping[SplitName, LevelWeights],
        device: torch.device,
        batch_size: int,
    ) -> None:
        """Keep all of these; a split is brought to the device when it is first scored.

        Args:
            forward: From uint8 images (B, P, P, K) to the model's logits (B, C, P, P).
        """
        self._model = model
        self._forward = forward
        self._data = data
        self._levels = levels
        self._device = device
        self._batch_size = batch_size
        self._feeds: dict[SplitName, Feed] = {}

    def validate(self) -> dict[str, float | None]:
        """Return the headline scores on val at argmax.

        Raises: TrialFailure when a logit is not finite.
        """
        found = self._evaluate("val")
        return headlines(
            self._pooled("val", found.points[0.0]), background=self._data.background, minority=self._data.minority
        )

    def final(self, metric: str, *, test: bool) -> TrialScores:
        """Return the scores on val, and on test where asked for, with the background offset chosen on val by `metric`.

        Where test is asked for, margins of both splits and the reliability on test come with them.

        Raises: TrialFailure when a logit is not finite.
        """
        classes, minority = self._data.classes, self._data.minority
        split, weights = self._data.splits["val"], self._levels["val"].weights
        found = self._evaluate("val", weights=weights)
        assert found.histogram is not None  # it was asked for with the weights
        chosen = best_offset(found.histogram, metric, background=self._data.background, minority=minority)
        scores = TrialScores(
            rows=(
                *pooled_rows("val", "argmax", self._pooled("val", found.points[0.0]), classes, minority),
                *pooled_rows("val", "shifted", chosen.confusion, classes, minority),
            ),
            offset=chosen.offset,
            offset_at_limit=chosen.at_limit,
            clipped=chosen.clipped,
        )
        return self._with_test(scores, pooled_margins(split, found.histogram, weights, minority)) if test else scores

    def predict(self, split: SplitName, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the predicted classes at argmax of the split's patches at `indices`, (len(indices), P, P)."""
        with torch.inference_mode(), _evaluating(self._model):
            margin, klass = margins(self._forward(self._feed(split).take(indices).images), self._data.background)
            predicted = predict(margin, klass, self._data.background, 0.0)
        return np.asarray(predicted.to(torch.uint8).cpu().numpy())

    def _with_test(self, val: TrialScores, margins_on_val: MarginCounts) -> TrialScores:
        """Add to the scores on val those on test, at argmax and at the offset chosen on val."""
        split, weights = self._data.splits["test"], self._levels["test"].weights
        classes, minority = self._data.classes, self._data.minority
        found = self._evaluate("test", offsets=(0.0, val.offset), minority=minority, keep=True)
        assert found.margins is not None  # both were asked for with the minority
        assert found.reliability is not None
        foreground = [info for info in classes if info.index != self._data.background]
        surfaces = surface_scores(
            split,
            {offset: counted.predictions for offset, counted in found.points.items()},
            [info.index for info in foreground],
        )
        rows = list(val.rows)
        for point, offset in (("argmax", 0.0), ("shifted", val.offset)):
            counted = found.points[offset]
            rows += pooled_rows("test", point, self._pooled("test", counted), classes, minority)
            rows += image_rows(split, point, counted.confusion, weights, classes)
            rows += curve_rows(split, point, counted.predictions, classes)
            rows += surface_rows(split, point, surfaces[offset], foreground)
        return dataclasses.replace(
            val,
            rows=tuple(rows),
            margins=(margins_on_val, *margin_rows(split, found.margins, weights, minority)),
            reliability=tuple(reliability_rows(split, found.reliability, weights)),
        )

    def _evaluate(
        self,
        split: SplitName,
        *,
        offsets: tuple[float, ...] = (0.0,),
        weights: NDArray[np.float64] | None = None,
        minority: Sequence[int] | None = None,
        keep: bool = False,
    ) -> Evaluation:
        with _evaluating(self._model):
            found = evaluate(
                self._forward,
                self._feed(split),
                classes=len(self._data.classes),
                background=self._data.background,
                batch_size=self._batch_size,
                offsets=offsets,
                weights=weights,
                minority=minority,
                keep=keep,
            )
        if not found.finite:
            raise TrialFailure(f"the model's logits on {split} are not finite")
        return found

    def _feed(self, split: SplitName) -> Feed:
        if split not in self._feeds:
            self._feeds[split] = Feed(self._data.splits[split], self._device)
        return self._feeds[split]

    def _pooled(self, split: SplitName, counted: Counted) -> NDArray[np.float64]:
        return pool(counted.confusion, self._levels[split].weights)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and back into the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
