"""Lovász-Softmax: the Jaccard loss, extended from masks to probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.losses.family import Family
from sweeper.losses.options import CLASSES, SCOPE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Classes,
    Scope,
    class_mean,
    kept_classes,
    prepare,
    sorted_errors,
)


def lovasz_softmax(
    logits: Tensor,
    target: Tensor,
    *,
    scope: Scope = "batch",
    classes: Classes = "all",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the Lovász extension of the Jaccard loss, meaned over present classes: a scalar in [0, 1].

        L = mean over classes of Σᵢ m₍ᵢ₎ (Δᵢ − Δᵢ₋₁),    Δᵢ = Jaccard loss once the i worst pixels are wrong

    with m = |onehot − p| sorted in decreasing order. On hard predictions it is exactly one minus the mean Jaccard index
    of the classes present. It has no dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        scope: `batch` sorts the pixels of all images together; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0. Classes without a pixel are skipped.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Berman, Rannen Triki, Blaschko, "The Lovász-Softmax loss", CVPR 2018, arXiv:1705.08790.
    Fails: slow from random weights, where nearly all errors are alike; sorts every pixel once per class.
    """
    pixels = prepare(logits, target, ignore_index)
    errors, wrong_target = sorted_errors(pixels, scope)
    kept = kept_classes(wrong_target.sum(-1), classes, "skip")
    return class_mean((errors * _jaccard_steps(wrong_target)).sum(-1), kept)


def _jaccard_steps(target: Tensor) -> Tensor:
    """Return Δᵢ − Δᵢ₋₁ of the Jaccard loss as the pixels, worst first, turn wrong one by one.

    In closed form: a missed pixel of the class shrinks the intersection by 1, a step of 1/U; a false alarm grows the
    union by 1, a step of I/(U (U − 1)). Differences of neighbouring Δ would lose most digits in float32 on a million
    pixels. Counting is done in whole numbers, exact beyond float32's 2²⁴.

    Args:
        target: (..., N), 0 or 1, sorted by decreasing error.
    """
    own = target.long()
    total = own.sum(-1, keepdim=True)
    intersection = (total - own.cumsum(-1)).to(target.dtype)
    union = (total + (1 - own).cumsum(-1)).to(target.dtype)
    false_alarm = intersection / union.clamp_min(1) / (union - 1).clamp_min(1)
    return torch.where(own > 0, 1 / union.clamp_min(1), false_alarm)


LOVASZ_SOFTMAX = Family(
    function=lovasz_softmax,
    title="Lovász-Softmax",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="mean over classes of Σ m(i) (Δ(i) − Δ(i−1)), m = |onehot − p| sorted, Δ = Jaccard loss of the i worst",
    source="Berman et al. 2018, arXiv:1705.08790",
    hyperparameters={"scope": SCOPE, "classes": CLASSES},
    aliases=("lovasz", "lovasz_loss"),
    limits="Slow from random weights, where nearly all errors are alike; sorts every pixel once per class.",
    errata=(
        "Azad et al. 2023 describe it by hinge losses and an order of predictions; with a softmax the errors are "
        "|onehot − p|, and hinges belong to its form for binary logits.",
        "Azad et al. 2023 call it not fully differentiable, others differentiable; it is piecewise linear in the "
        "errors, with subgradients where two are equal.",
        "kornia's lovasz_softmax_loss sorts label indices in place of the class's indicator: wrong beyond two classes "
        "and for class 0.",
        "smp's LovaszLoss takes float32 only and returns an empty tensor where every pixel is ignored.",
    ),
)
