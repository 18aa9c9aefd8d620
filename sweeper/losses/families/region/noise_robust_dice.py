"""Noise-robust Dice: the Dice loss with errors to a power below 2, so that wrong labels pull less."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES, SCOPE
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Classes,
    Dial,
    Scope,
    class_mean,
    dial,
    kept_classes,
    pooled_dims,
    prepare,
)


def noise_robust_dice(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: Dial = 1.5,
    scope: Scope = "batch",
    classes: Classes = "all",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean over classes of Σ |p − t|^γ against the sum of squared sizes: a scalar ≥ 0, 0 for a perfect mask.

        L = mean over classes of Σ |p − t|^γ / (Σ p² + Σ t)

    γ = 2 is the Dice loss with squared denominator, in [0, 1]; γ = 1 has the robustness of the mean absolute error and
    reaches beyond 1. It has no dial between precision and recall.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        gamma: γ in [1, 2]. Raising it lets pixels that are badly wrong pull harder, wrongly labelled ones among them.
            Near 1 pixels that are unsure are decided wholesale, so that either recall or precision of a small class is
            lost; near 2 they keep a probability between, as with Dice.
        scope: `batch` pools the sums of all images; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0. Classes without a pixel are skipped.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Wang, Liu, Li, Xu, Ruan, Zhu, Meng, Li, Huang, Zhang, "A noise-robust framework for automatic segmentation
    of COVID-19 pneumonia lesions from CT images", IEEE Transactions on Medical Imaging 39, 2020,
    doi:10.1109/TMI.2020.3000314.
    Fails: near γ = 1 the best probability of unsure pixels is 0 or 1, whatever share of them is foreground: small
    classes vanish or flood.
    """
    pixels = prepare(logits, target, ignore_index)
    dims = pooled_dims(scope)
    prob = pixels.valid * pixels.prob
    target_size = pixels.onehot.sum(dims)
    # For γ ≥ 1 the power has a finite slope at 0, so that its base needs no floor.
    error = ((prob - pixels.onehot).abs() ** dial(gamma, prob)).sum(dims)
    ratio = error / ((prob**2).sum(dims) + target_size).clamp_min(FLOOR)
    return class_mean(ratio, kept_classes(target_size, classes, "skip"))


NOISE_ROBUST_DICE = Family(
    function=noise_robust_dice,
    title="Noise-robust Dice loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="mean over classes of Σ |p − t|^γ / (Σ p² + Σ t)",
    source="Wang et al. 2020, doi:10.1109/TMI.2020.3000314",
    hyperparameters={
        "gamma": Hyperparameter(
            symbol="γ",
            legal=Uniform(1.0, 2.0),
            search=Uniform(1.0, 2.0),
            effect="badly wrong pixels pull harder, wrongly labelled ones too; near 1 unsure pixels are decided "
            "wholesale and recall or precision of small classes is lost, near 2 it behaves as Dice",
        ),
        "scope": SCOPE,
        "classes": CLASSES,
    },
    aliases=("nr_dice", "noise_robust_dice_loss"),
    limits="Near γ = 1 the best probability of unsure pixels is 0 or 1, whatever share of them is foreground: small "
    "classes vanish or flood.",
)
