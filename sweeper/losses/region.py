"""Losses that compare whole regions: a ratio of set sizes per class, with probabilities in place of decisions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Complement, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, DENOMINATOR, LOG_LOSS, NON_NEGATIVE, SCOPE, SMOOTH
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Scope,
    check_option,
    check_smooth,
    class_mean,
    dial,
    image_mean,
    kept_classes,
    pooled_dims,
    prepare,
    safe_power,
    soft_counts,
    sorted_errors,
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
    check_smooth(absent, smooth)
    pixels = prepare(logits, target, ignore_index)
    counts = soft_counts(pixels, scope)
    s = dial(smooth, counts.tp)
    if denominator == "linear":
        index = tversky_index(counts, 0.5, 0.5, s)
    else:
        squared = (pixels.valid * pixels.prob**2).sum(pooled_dims(scope))
        index = (2 * counts.tp + 2 * s) / (squared + counts.target + 2 * s).clamp_min(FLOOR)
    return class_mean(_loss_of(index, log_loss), kept_classes(counts.target, classes, absent))


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
    pixels = prepare(logits, target, ignore_index)
    counts = soft_counts(pixels, scope)
    kept = kept_classes(counts.target, classes, "skip")
    # Shares in place of pixel counts: the ratio is the same, and 1/G² of a large class does not sink below the clamp.
    share = counts.target / counts.target.sum(-1, keepdim=True).clamp_min(1)
    weights = kept * torch.where(kept > 0, share, 1.0) ** -dial(power, share)
    size = 2 * counts.tp + counts.fp + counts.fn
    ratio = 2 * (weights * counts.tp).sum(-1) / (weights * size).sum(-1).clamp_min(FLOOR)
    return image_mean(1 - ratio, kept)


def iou(
    logits: Tensor,
    target: Tensor,
    *,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    log_loss: bool = False,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean soft Jaccard index of the classes: a scalar in [0, 1], 0 for a perfect mask.

        L = 1 − mean over classes of (TP + s) / (TP + FP + FN + s)

    It has no dial. Per class it is 2 D / (1 + D) of the Dice loss D: steeper near the end, flatter at the start.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few pixels.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0.
        absent: `skip` leaves out classes without a pixel in the scope; `smooth` keeps them and needs s > 0.
        log_loss: −log of the index in place of one minus it; then the loss has no upper bound of 1.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Rahman, Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation",
    ISVC 2016, doi:10.1007/978-3-319-50835-1_22.
    Fails: as Dice, and slower from a poor start.
    """
    check_smooth(absent, smooth)
    pixels = prepare(logits, target, ignore_index)
    counts = soft_counts(pixels, scope)
    index = tversky_index(counts, 1.0, 1.0, dial(smooth, counts.tp))
    return class_mean(_loss_of(index, log_loss), kept_classes(counts.target, classes, absent))


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


def tversky(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Dial = 0.3,
    beta: Dial = 0.7,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean Tversky index of the foreground classes: a scalar in [0, 1], 0 for a perfect mask.

        L = 1 − mean over classes of (TP + s) / (TP + α FP + β FN + s)

    α prices false positives and β false negatives, as in the paper; some surveys swap them. (½, ½) is Dice, (1, 1) IoU.
    With α = 1 − β it is one dial from precision to recall, and that is how a study searches it.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha: α ≥ 0. Raising it raises precision and lowers recall.
        beta: β ≥ 0, searched in [0.1, 0.9]. Raising it raises recall and lowers precision.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few pixels.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `foreground` for all but class 0, or `all`. On two classes a miss of one is a false alarm of the
            other, so that over all classes the background's own term turns the dial partly back.
        absent: `skip` leaves out classes without a pixel in the scope: with nothing left the loss and its gradient are
            0. `smooth` keeps them, at 1 − s / (α FP + s), and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Salehi, Erdogmus, Gholipour, "Tversky loss function for image segmentation using 3D fully convolutional
    deep networks", MLMI 2017, arXiv:1706.05721.
    Fails: a batch without foreground teaches nothing; β near 1 floods the frame with foreground.
    """
    index, kept = _tversky_indices(logits, target, alpha, beta, smooth, scope, classes, absent, ignore_index)
    return class_mean(1 - index, kept)


def focal_tversky(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: Dial = 4 / 3,
    alpha: Dial = 0.3,
    beta: Dial = 0.7,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean over foreground classes of the Tversky loss to the power 1/γ: a scalar in [0, 1].

        L = mean over classes of (1 − (TP + s) / (TP + α FP + β FN + s))^(1/γ)

    `gamma` is the paper's γ: the exponent is its inverse. Other code passes the exponent itself, 0.75 for γ = 4/3.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        gamma: γ > 0, searched in [1, 3]. 1 is Tversky. Above 1 classes that are nearly solved pull harder than their
            Tversky loss would, below 1 they fade; it moves neither precision nor recall by itself.
        alpha: α ≥ 0, on false positives. Raising it raises precision and lowers recall.
        beta: β ≥ 0, on false negatives, searched in [0.1, 0.9] with α = 1 − β. Raising it raises recall and lowers
            precision.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few pixels.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `foreground` for all but class 0, or `all`.
        absent: `skip` leaves out classes without a pixel in the scope; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Abraham, Khan, "A novel focal Tversky loss function with improved attention U-Net for lesion segmentation",
    ISBI 2019, arXiv:1810.07842 (there α is on false negatives).
    Fails: for γ > 1 the gradient grows without bound as a class is solved; the base is clamped at 1e-7, below which
    the gradient is 0.
    """
    index, kept = _tversky_indices(logits, target, alpha, beta, smooth, scope, classes, absent, ignore_index)
    return class_mean(safe_power(1 - index, 1 / dial(gamma, index)), kept)


def _tversky_indices(
    logits: Tensor,
    target: Tensor,
    alpha: Dial,
    beta: Dial,
    smooth: Dial,
    scope: Scope,
    classes: Classes,
    absent: Absent,
    ignore_index: int,
) -> tuple[Tensor, Tensor]:
    """Return the Tversky index of each class and which classes are kept, both (C,) or (B, C)."""
    check_smooth(absent, smooth)
    counts = soft_counts(prepare(logits, target, ignore_index), scope)
    like = counts.tp
    index = tversky_index(counts, dial(alpha, like), dial(beta, like), dial(smooth, like))
    return index, kept_classes(counts.target, classes, absent)


def _loss_of(index: Tensor, log_loss: bool) -> Tensor:
    return -index.clamp_min(FLOOR).log() if log_loss else 1 - index


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


_ALPHA = Hyperparameter(
    symbol="α",
    legal=NON_NEGATIVE,
    search=Complement("beta"),
    effect="price of a false alarm: precision rises, recall falls",
)
_BETA = Hyperparameter(
    symbol="β",
    legal=NON_NEGATIVE,
    search=Uniform(0.1, 0.9),
    effect="price of a miss: recall rises, precision falls",
)

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
)

IOU = Family(
    function=iou,
    title="IoU (Jaccard) loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="1 − mean over classes of TP / (TP + FP + FN)",
    source="Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22",
    hyperparameters={"smooth": SMOOTH, "scope": SCOPE, "classes": CLASSES, "absent": ABSENT, "log_loss": LOG_LOSS},
    aliases=("jaccard", "iou_loss", "jaccard_loss", "soft_iou", "miou_loss"),
    limits="As Dice, and slower from a poor start, where it is flatter.",
)

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
)

TVERSKY = Family(
    function=tversky,
    title="Tversky loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="tunable",
    formula="1 − mean over foreground classes of TP / (TP + α FP + β FN)",
    source="Salehi et al. 2017, arXiv:1706.05721",
    hyperparameters={
        "alpha": _ALPHA,
        "beta": _BETA,
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("ti", "tversky_loss"),
    limits="A batch without foreground teaches nothing; β near 1 floods the frame with foreground.",
)

FOCAL_TVERSKY = Family(
    function=focal_tversky,
    title="Focal Tversky loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="tunable",
    formula="mean over foreground classes of (1 − TP / (TP + α FP + β FN))^(1/γ)",
    source="Abraham and Khan 2019, arXiv:1810.07842",
    hyperparameters={
        "gamma": Hyperparameter(
            symbol="γ",
            legal=Uniform(0.1, 10.0),
            search=Uniform(1.0, 3.0),
            effect="above 1 nearly solved classes pull harder, below 1 they fade; precision and recall are left to β",
        ),
        "alpha": _ALPHA,
        "beta": _BETA,
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("ftl", "focal_tversky_loss"),
    limits="For γ above 1 the gradient grows without bound as a class is solved; a batch without foreground teaches "
    "nothing.",
)
