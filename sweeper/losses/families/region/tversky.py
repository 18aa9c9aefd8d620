"""Tversky loss and its focal form: overlap with a price each for false alarms and misses."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Complement, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SMOOTH
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Pixels,
    Scope,
    check_smooth,
    class_mean,
    dial,
    kept_classes,
    prepare,
    safe_power,
    soft_counts,
    tversky_index,
)


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
    return tversky_of(
        prepare(logits, target, ignore_index),
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        scope=scope,
        classes=classes,
        absent=absent,
    )


def tversky_of(
    pixels: Pixels,
    *,
    alpha: Dial = 0.3,
    beta: Dial = 0.7,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    absent: Absent = "skip",
) -> Tensor:
    """Return `tversky` of a prepared batch."""
    index, kept = _tversky_indices(pixels, alpha, beta, smooth, scope, classes, absent)
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
    Fails: for γ > 1 the gradient grows as a class is solved, by up to 1e-7^(1/γ − 1): under a Tversky loss of 1e-7 the
    power goes to 0 in a straight line.
    """
    return focal_tversky_of(
        prepare(logits, target, ignore_index),
        gamma=gamma,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        scope=scope,
        classes=classes,
        absent=absent,
    )


def focal_tversky_of(
    pixels: Pixels,
    *,
    gamma: Dial = 4 / 3,
    alpha: Dial = 0.3,
    beta: Dial = 0.7,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    absent: Absent = "skip",
) -> Tensor:
    """Return `focal_tversky` of a prepared batch."""
    index, kept = _tversky_indices(pixels, alpha, beta, smooth, scope, classes, absent)
    return class_mean(safe_power(1 - index, 1 / dial(gamma, index)), kept)


def _tversky_indices(
    pixels: Pixels, alpha: Dial, beta: Dial, smooth: Dial, scope: Scope, classes: Classes, absent: Absent
) -> tuple[Tensor, Tensor]:
    """Return the Tversky index of each class and which classes are kept, both (C,) or (B, C)."""
    check_smooth(absent, smooth)
    counts = soft_counts(pixels, scope)
    like = counts.tp
    index = tversky_index(counts, dial(alpha, like), dial(beta, like), dial(smooth, like))
    return index, kept_classes(counts.target, classes, absent)


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
    errata=(
        "Azad et al. 2023 print the false positives twice in the denominator; it is α FP + β FN.",
        "Azad et al. 2023 put α on misses and β on false positives, and Jadon 2020 prints β on false positives; in the "
        "paper α prices false positives and β misses.",
        "kornia's tversky_loss averages over pixels and softmax classes at once, where FP and FN are the same sum: it "
        "depends on α + β alone, and the dial does nothing.",
    ),
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
    errata=(
        "Abraham and Khan 2019 and Azad et al. 2023 put α on misses and β on false positives; here α prices false "
        "positives, so that their α = 0.7, β = 0.3 is alpha=0.3, beta=0.7.",
        "The exponent is 1/γ in the paper and in Azad et al. 2023, γ in Jadon 2020, each with γ from 1 to 3; the "
        "authors' code writes the exponent 0.75 itself.",
        "Azad et al. 2023 say that it is suppressed close to convergence; that holds for exponents above 1, while with "
        "1/γ below 1 the gradient factor grows without bound.",
        "Table III of Jadon 2020 gives it Dice 0.977, below the 0.989 of log-cosh Dice, while the text names it best "
        "at 0.98: the columns of log-cosh Dice are probably exchanged.",
        "smp's TverskyLoss takes gamma as the exponent and applies it to the mean over classes, not to each.",
    ),
)
