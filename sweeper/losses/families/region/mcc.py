"""Matthews correlation loss: the correlation of mask and prediction, true negatives included."""

from __future__ import annotations

from torch import Tensor

from sweeper.losses.family import Family
from sweeper.losses.options import CLASSES, SCOPE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Classes,
    Scope,
    class_mean,
    kept_classes,
    pooled_dims,
    prepare,
    soft_counts,
)

_LEAST_PRODUCT = 1e-24
"""Added under the root, where its slope is infinite at 0. Both shares of a class of one pixel in a million multiply to
1e-12, so that anything near that would halve its correlation."""


def mcc(
    logits: Tensor,
    target: Tensor,
    *,
    scope: Scope = "batch",
    classes: Classes = "all",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean Matthews correlation of the classes: a scalar in [0, 2], 0 for a perfect mask.

        L = 1 − mean over classes of (TP TN − FP FN) / √((TP + FP) (TP + FN) (TN + FP) (TN + FN))

    1 is a prediction independent of the target, 2 the target inverted. It has no dial, and unlike Dice it counts true
    negatives; on two classes both have the same correlation.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0. Classes without a pixel are skipped.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Abhishek, Hamarneh, "Matthews correlation coefficient loss for deep convolutional networks: application to
    skin lesion segmentation", ISBI 2021, arXiv:2010.13454.
    Fails: where one class fills the scope the correlation is not defined: the loss is 1 with hardly any gradient.
    """
    pixels = prepare(logits, target, ignore_index)
    counts = soft_counts(pixels, scope)
    dims = pooled_dims(scope)
    true_negative = ((pixels.valid - pixels.onehot) * (1 - pixels.prob)).sum(dims)
    # Shares in place of counts: products of four counts leave float32 at a few thousand million pixels.
    valid = pixels.valid.sum(dims).clamp_min(1)
    tp, fp, fn, tn = (each / valid for each in (counts.tp, counts.fp, counts.fn, true_negative))
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    correlation = (tp * tn - fp * fn) / (product + _LEAST_PRODUCT).sqrt()
    return class_mean(1 - correlation, kept_classes(counts.target, classes, "skip"))


MCC = Family(
    function=mcc,
    title="Matthews correlation loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="1 − mean over classes of (TP TN − FP FN) / √((TP + FP) (TP + FN) (TN + FP) (TN + FN))",
    source="Abhishek and Hamarneh 2021, arXiv:2010.13454",
    hyperparameters={"scope": SCOPE, "classes": CLASSES},
    aliases=("phi_loss", "mcc_loss", "matthews"),
    limits="Where one class fills the batch the correlation is not defined: the loss is 1 with hardly any gradient.",
    errata=(
        "smp's MCCLoss is binary, takes probabilities and adds its eps to each of the four counts.",
        "MONAI's MCCLoss returns 0 where FP and FN are exactly 0, also where the correlation is not defined.",
    ),
)
