"""Cross-entropy, plain and weighted by the rarity of a class."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NORMALIZE
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Vector,
    batch_frequencies,
    check_option,
    dial,
    masked_mean,
    prepare,
    vector,
)


def cross_entropy(logits: Tensor, target: Tensor, *, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Return the mean of −log p(true class) over valid pixels: a scalar ≥ 0, ln C for equal logits.

        L = Σ vₙ (−log pₙ) / max(Σ vₙ, 1)

    On two classes it is binary cross-entropy with the logit z₁ − z₀. It has no dial: on a frame of 97 % background,
    97 % of the terms ask for background.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`. With every pixel ignored the loss is 0, not NaN.

    Raises: LossError on shapes or dtypes other than these.
    Source: maximum likelihood; per pixel in Long, Shelhamer, Darrell, "Fully convolutional networks", CVPR 2015,
    arXiv:1411.4038.
    Fails: a constant background guess already scores low, and early training often stays there.
    """
    pixels = prepare(logits, target, ignore_index)
    return masked_mean(pixels.cross_entropy, pixels.valid)


def weighted_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    power: Dial = 0.5,
    normalize: Literal["weights", "pixels"] = "weights",
    class_weights: Vector | None = None,
    class_frequencies: Vector | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean of −log p(true class), each pixel weighted by the rarity of its class: a scalar ≥ 0.

        L = Σ vₙ w(yₙ) (−log pₙ) / Σ vₙ w(yₙ),    w(c) = f(c)^−κ

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        power: κ, searched in [0, 1]. 0 is cross-entropy, ½ inverse square root of the frequency, 1 inverse frequency.
            Raising it raises recall of rare classes and lowers their precision.
        normalize: `weights` divides by the summed weights, as torch does, so that only their ratios matter; `pixels`
            divides by the number of valid pixels, as the surveys do.
        class_weights: (C,) weights ≥ 0 to use as they are, in place of `power`.
        class_frequencies: (C,) share of each class among the training pixels, clamped to 1e-7; without it the shares of
            this batch, clamped to one pixel.

    Raises: LossError on shapes or dtypes other than these.
    Source: folklore; Jadon, "A survey of loss functions for semantic segmentation", CIBCB 2020, arXiv:2006.14822.
    Fails: κ = 1 at a frequency of 1 % is a weight ratio of 100: noisy gradients, and false alarms all around the
    object. With batch frequencies the weights jump from batch to batch.
    """
    check_option("normalize", normalize, ("weights", "pixels"))
    pixels = prepare(logits, target, ignore_index)
    if class_weights is not None:
        weights = vector(class_weights, pixels, "class_weights")
    else:
        if class_frequencies is not None:
            frequencies = vector(class_frequencies, pixels, "class_frequencies").clamp_min(FLOOR)
        else:
            frequencies = batch_frequencies(pixels)
        weights = frequencies ** -dial(power, pixels.log_prob)
    pixel_weights = weights[pixels.labels]
    if normalize == "pixels":
        return masked_mean(pixel_weights * pixels.cross_entropy, pixels.valid)
    return masked_mean(pixels.cross_entropy, pixels.valid, pixel_weights)


CROSS_ENTROPY = Family(
    function=cross_entropy,
    title="Cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of −log p(true class)",
    source="Long et al. 2015, arXiv:1411.4038",
    aliases=(
        "ce",
        "bce",
        "binary_cross_entropy",
        "categorical_ce",
        "categorical_cross_entropy",
        "soft_cross_entropy",
        "softmax_loss",
        "log_loss",
    ),
    errata=(
        "Azad et al. 2023 praise the logarithm for numerical stability: only a log-softmax is stable, the logarithm of "
        "a softmax underflows.",
        "torch's cross_entropy is NaN where every pixel is ignored.",
        "segmentation_models_pytorch's SoftCrossEntropyLoss divides by all pixels, ignored ones included, and its "
        "defaults raise a TypeError.",
    ),
    limits="Dominated by the background under imbalance: a constant background guess already scores low, and early "
    "training often stays there.",
)


WEIGHTED_CROSS_ENTROPY = Family(
    function=weighted_cross_entropy,
    title="Weighted cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="class-weighted",
    formula="weighted mean over pixels of −log p(true class), weight = (class frequency)^−κ",
    source="Jadon 2020, arXiv:2006.14822",
    hyperparameters={
        "power": Hyperparameter(
            symbol="κ",
            legal=Uniform(0.0, 3.0),
            search=Uniform(0.0, 1.0),
            effect="recall of rare classes rises, their precision falls; 0 is cross-entropy, 1 inverse frequency",
        ),
        "normalize": NORMALIZE,
    },
    aliases=("wce", "weighted_ce", "w_bce", "weighted_bce", "class_weighted_ce", "class_weighted_cross_entropy"),
    needs=("class_frequencies",),
    errata=(
        "Jadon 2020 asks for β above 1 to miss less; the code published beside it weighs positives by β/(1 − β) with "
        "β = 0.25, a third of the background.",
        "SegLossOdyssey's WeightedCrossEntropyLossV2 leaves its weights unused.",
        "MONAI's DiceCELoss applies its class weights to the Dice part too.",
    ),
    limits="At κ = 1 a class of 1 % weighs a hundredfold: noisy gradients, and false alarms all around the object.",
)
