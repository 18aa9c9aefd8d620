"""Asymmetric similarity loss: one minus the soft F-score, with β between precision and recall."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES, NON_NEGATIVE, SCOPE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Classes,
    Dial,
    Scope,
    class_mean,
    dial,
    kept_classes,
    prepare,
    soft_counts,
    tversky_index,
)


def asymmetric_similarity(
    logits: Tensor,
    target: Tensor,
    *,
    beta_f: Dial = 1.5,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean soft F-score of the foreground classes: a scalar in [0, 1], 0 for a perfect mask.

        L = 1 − mean over classes of (1 + β²) TP / ((1 + β²) TP + β² FN + FP)

    It is Tversky at α = 1 / (1 + β²) and 1 − α: the same dial on a logarithmic scale. β = 1 is Dice, 0 one minus
    precision, and large β one minus recall.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        beta_f: β ≥ 0, searched in [0.25, 4] on a logarithmic scale. Raising it raises recall and lowers precision.
        scope: `batch` pools the counts of all images; `image` takes the loss of each, then the mean.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Hashemi, Salehi, Erdogmus, Prabhu, Warfield, Gholipour, "Asymmetric loss functions and deep
    densely-connected networks for highly-imbalanced medical image segmentation", IEEE Access 7, 2019,
    arXiv:1803.11078.
    Fails: a batch without foreground teaches nothing; a large β floods the frame with foreground.
    """
    counts = soft_counts(prepare(logits, target, ignore_index), scope)
    # With the two prices as shares, β² of a large β cannot overflow against a count.
    alpha = 1 / (1 + dial(beta_f, counts.tp) ** 2)
    index = tversky_index(counts, alpha, 1 - alpha, 0.0)
    return class_mean(1 - index, kept_classes(counts.target, classes, "skip"))


ASYMMETRIC_SIMILARITY = Family(
    function=asymmetric_similarity,
    title="Asymmetric similarity (F-beta) loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="tunable",
    formula="1 − mean over foreground classes of (1 + β²) TP / ((1 + β²) TP + β² FN + FP)",
    source="Hashemi et al. 2019, arXiv:1803.11078",
    hyperparameters={
        "beta_f": Hyperparameter(
            symbol="β",
            legal=NON_NEGATIVE,
            search=LogUniform(0.25, 4.0),
            effect="price of a miss over that of a false alarm, as β²: recall rises, precision falls",
        ),
        "scope": SCOPE,
        "classes": CLASSES,
    },
    aliases=("f_beta", "asym", "asymmetric_similarity_loss"),
    limits="A batch without foreground teaches nothing; a large β floods the frame with foreground. It is Tversky by "
    "another scale: sweep one of the two.",
)
