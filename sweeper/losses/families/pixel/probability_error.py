"""Squared and absolute error of the probabilities: bounded references to measure cross-entropy against."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.losses.family import Family
from sweeper.losses.primitives import IGNORE_INDEX, masked_mean, prepare


def mse(logits: Tensor, target: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Return the squared error summed over classes, meaned over valid pixels: a scalar in [0, 2].

        L = ⟨Σ over classes of (p(c) − onehot(c))²⟩

    It is the Brier score, a proper scoring rule: smallest where p is the true frequency. It has no dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.

    Raises: LossError on shapes or dtypes other than these.
    Source: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    Fails: where the model is sure and wrong the softmax is flat and the gradient vanishes. A reference, no contender.
    """
    pixels = prepare(logits, target, ignore_index)
    return masked_mean((pixels.prob - pixels.onehot).square().sum(1, keepdim=True), pixels.valid)


def mae(logits: Tensor, target: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Return the absolute error summed over classes, meaned over valid pixels: a scalar in [0, 2].

        L = ⟨Σ over classes of |p(c) − onehot(c)|⟩ = 2 ⟨1 − pₙ⟩

    It has no dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.

    Raises: LossError on shapes or dtypes other than these.
    Source: Ghosh, Kumar, Sastry, "Robust loss functions under label noise for deep neural networks", AAAI 2017,
    arXiv:1712.09482.
    Fails: collapses to all background under imbalance, since rare pixels, badly wrong at first, hardly pull; useful as
    the documented failure.
    """
    pixels = prepare(logits, target, ignore_index)
    return masked_mean(-2 * torch.expm1(pixels.true_log_prob), pixels.valid)


MSE = Family(
    function=mse,
    title="Mean squared error (Brier score)",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of Σ (p − onehot)² over classes",
    source="Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    aliases=("brier", "l2", "mean_squared_error"),
    limits="Where the model is sure and wrong the gradient vanishes with the softmax's. A reference, no contender.",
)


MAE = Family(
    function=mae,
    title="Mean absolute error",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of Σ |p − onehot| over classes = 2 (1 − p(true class))",
    source="Ghosh et al. 2017, arXiv:1712.09482",
    aliases=("l1", "mean_absolute_error"),
    limits="Collapses to all background under imbalance: rare pixels, badly wrong at first, hardly pull.",
)
