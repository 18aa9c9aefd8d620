"""Dice loss and its generalized form: overlap against the sum of sizes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, DENOMINATOR, LOG_LOSS, SCOPE, SMOOTH
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Pixels,
    Scope,
    check_option,
    check_smooth,
    class_mean,
    dial,
    image_mean,
    kept_classes,
    pooled_dims,
    prepare,
    soft_counts,
    tversky_index,
)


def dice(
    logits: Tensor,
    target: Tensor,
    *,
    smooth: Dial = 0.0,
    denominator: Literal["linear", "squared"] = "linear",
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    log_loss: bool = False,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean soft Dice coefficient of the classes: a scalar in [0, 1], 0 for a perfect mask.

        L = 1 − mean over classes of (2 TP + 2 s) / (2 TP + FP + FN + 2 s)

    It has no dial: a false alarm and a miss cost the same, which is the harmonic mean of precision and recall.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few pixels. The classic "+1" is s = ½.
        denominator: `linear`, or `squared` for (2 TP + 2 s) / (Σ p² + Σ t + 2 s) as in V-Net.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0.
        absent: `skip` leaves out classes without a pixel in the scope: with nothing left the loss and its gradient are
            0. `smooth` keeps them, at 1 − s / (FP / 2 + s), so that false alarms cost there too; it needs s > 0.
        log_loss: −log of the coefficient in place of one minus it; then the loss has no upper bound of 1.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, arXiv:1606.04797 (with squared denominator).
    Fails: unstable where a class has a handful of pixels in the batch; through a saturated softmax a region that is
    missed altogether gives hardly any gradient.
    """
    check_option("denominator", denominator, ("linear", "squared"))
    return dice_of(
        prepare(logits, target, ignore_index),
        smooth=smooth,
        denominator=denominator,
        scope=scope,
        classes=classes,
        absent=absent,
        log_loss=log_loss,
    )


def dice_of(
    pixels: Pixels,
    *,
    smooth: Dial = 0.0,
    denominator: Literal["linear", "squared"] = "linear",
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    log_loss: bool = False,
) -> Tensor:
    """Return `dice` of a prepared batch."""
    check_smooth(absent, smooth)
    counts = soft_counts(pixels, scope)
    s = dial(smooth, counts.tp)
    if denominator == "linear":
        index = tversky_index(counts, 0.5, 0.5, s)
    else:
        squared = (pixels.valid * pixels.prob**2).sum(pooled_dims(scope))
        index = (2 * counts.tp + 2 * s) / (squared + counts.target + 2 * s).clamp_min(FLOOR)
    return class_mean(loss_of(index, log_loss), kept_classes(counts.target, classes, absent))


def generalized_dice(
    logits: Tensor,
    target: Tensor,
    *,
    power: Dial = 2.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus a single Dice ratio over all classes, each weighted by its rarity: a scalar in [0, 1].

        L = 1 − 2 Σ w(c) TP(c) / Σ w(c) (P(c) + G(c)),    w(c) = G(c)^−κ

    G is a class's pixels in the target, P its summed probability. One ratio of sums, not a mean of ratios.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        power: κ, searched in [0, 2]. 2 is Sudre et al., 1 weighs by inverse size, 0 makes it the mean of
            1 − p(true class), with no handling of imbalance. Raising it raises recall of rare classes and lowers their
            precision.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0. Classes without a pixel are skipped: their weight would be
            infinite.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Sudre, Li, Vercauteren, Ourselin, Cardoso, "Generalised Dice overlap as a deep learning loss function for
    highly unbalanced segmentations", DLMIA 2017, arXiv:1707.03237.
    Fails: at κ = 2 a class of one pixel outweighs everything, and the weights jump between batches.
    """
    return generalized_dice_of(prepare(logits, target, ignore_index), power=power, scope=scope, classes=classes)


def generalized_dice_of(
    pixels: Pixels, *, power: Dial = 2.0, scope: Scope = "batch", classes: Classes = "all"
) -> Tensor:
    """Return `generalized_dice` of a prepared batch."""
    counts = soft_counts(pixels, scope)
    kept = kept_classes(counts.target, classes, "skip")
    # Shares in place of pixel counts: the ratio is the same, and 1/G² of a large class does not sink below the clamp.
    share = counts.target / counts.target.sum(-1, keepdim=True).clamp_min(1)
    weights = kept * torch.where(kept > 0, share, 1.0) ** -dial(power, share)
    size = 2 * counts.tp + counts.fp + counts.fn
    ratio = 2 * (weights * counts.tp).sum(-1) / (weights * size).sum(-1).clamp_min(FLOOR)
    return image_mean(1 - ratio, kept)


def loss_of(index: Tensor, log_loss: bool) -> Tensor:
    """Return what an overlap in [0, 1] costs: one minus it, or −log of it."""
    return -index.clamp_min(FLOOR).log() if log_loss else 1 - index


DICE = Family(
    function=dice,
    title="Dice loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="1 − mean over classes of 2 TP / (2 TP + FP + FN)",
    source="Milletari et al. 2016, arXiv:1606.04797",
    hyperparameters={
        "smooth": SMOOTH,
        "denominator": DENOMINATOR,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
        "log_loss": LOG_LOSS,
    },
    aliases=("dsc", "dice_loss", "soft_dice", "sorensen", "f1_loss"),
    limits="Unstable where a class has a handful of pixels in the batch; a region missed altogether gives hardly any "
    "gradient through a saturated softmax.",
    errata=(
        "Azad et al. 2023 print the linear denominator under the name of V-Net, whose denominator is Σ p² + Σ t².",
        "Azad et al. 2023 say in one place that it emphasizes precision and punishes false positives hardest; it "
        "prices false positives and misses alike.",
        "Azad et al. 2023 say that its gradient vanishes where there is no overlap; in p the slope is −2 / (P + G) "
        "there, and what vanishes is the slope of a saturated softmax.",
        "Jadon 2020 calls it modified to be tractable; no smoothing makes it convex.",
        "smp's DiceLoss sets absent classes to 0 and still divides by all; MONAI's default scores each image by "
        "itself, so that an absent class costs nearly 1.",
        "kornia's dice_loss defaults to the micro average, which over a softmax is one minus the mean probability of "
        "the true class.",
    ),
)


GENERALIZED_DICE = Family(
    function=generalized_dice,
    title="Generalized Dice loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="class-weighted",
    formula="1 − 2 Σ w TP / Σ w (P + G) over classes, w = G^−κ, G = pixels of the class, P = its summed probability",
    source="Sudre et al. 2017, arXiv:1707.03237",
    hyperparameters={
        "power": Hyperparameter(
            symbol="κ",
            legal=Uniform(0.0, 3.0),
            search=Uniform(0.0, 2.0),
            effect="recall of rare classes rises, their precision falls; 0 handles no imbalance, 2 is the paper",
        ),
        "scope": SCOPE,
        "classes": CLASSES,
    },
    aliases=("gdl", "gdice", "generalised_dice", "generalized_dice_loss"),
    limits="At κ = 2 a class of one pixel outweighs everything, and the weights jump from batch to batch.",
    errata=(
        "The generalized_dice in the code of Jadon 2020 is the plain Dice loss.",
        "MONAI's GeneralizedDiceLoss gives an absent class the largest finite weight; here it is left out.",
        "GDiceLoss of SegLossOdyssey returns the negative ratio and smooths inside the sums.",
    ),
)
