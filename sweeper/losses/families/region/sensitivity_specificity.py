"""Sensitivity-specificity loss: the squared error on a class's own pixels against that on all others."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES, SCOPE, SHARE
from sweeper.losses.primitives import (
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


def sensitivity_specificity(
    logits: Tensor,
    target: Tensor,
    *,
    r: Dial = 0.1,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a weighted mean of squared miss and false-alarm rates: a scalar in [0, 1], 0 for a perfect mask.

        L = mean over classes of r Σ t (1 − p)² / Σ t + (1 − r) Σ (1 − t) p² / Σ (1 − t)

    Each part is divided by its own pixels, so that r does not compare with β of Tversky: with 30 times more background
    than foreground, r = 0.1 already gives a missed pixel 3 times the weight of a false alarm.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        r: r in [0, 1], searched in [0.01, 0.99] on a logarithmic scale. Raising it raises recall (sensitivity) and
            lowers precision and specificity.
        scope: `batch` pools the pixels of all images; `image` takes the loss of each, then the mean.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped. On two classes a miss
            of one is a false alarm of the other, so that over all classes r has no effect at all.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Brosch, Yoo, Tang, Li, Traboulsee, Tam, "Deep convolutional encoder networks for multiple sclerosis lesion
    segmentation", MICCAI 2015, doi:10.1007/978-3-319-24574-4_1 (r of a few percent).
    Fails: a batch without foreground teaches nothing; as a squared error it gives a confidently wrong pixel hardly any
    gradient through the softmax.
    """
    pixels = prepare(logits, target, ignore_index)
    dims = pooled_dims(scope)
    onehot, others = pixels.onehot, pixels.valid - pixels.onehot
    own_size, other_size = onehot.sum(dims), others.sum(dims)
    missed = (onehot * (1 - pixels.prob) ** 2).sum(dims) / own_size.clamp_min(1)
    alarmed = (others * pixels.prob**2).sum(dims) / other_size.clamp_min(1)
    weight = dial(r, missed)
    return class_mean(weight * missed + (1 - weight) * alarmed, kept_classes(own_size, classes, "skip"))


SENSITIVITY_SPECIFICITY = Family(
    function=sensitivity_specificity,
    title="Sensitivity-specificity loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="tunable",
    formula="mean over foreground classes of r Σ t (1 − p)² / Σ t + (1 − r) Σ (1 − t) p² / Σ (1 − t)",
    source="Brosch et al. 2015, doi:10.1007/978-3-319-24574-4_1",
    hyperparameters={
        "r": Hyperparameter(
            symbol="r",
            legal=SHARE,
            search=LogUniform(0.01, 0.99),
            effect="share of the miss rate against the false-alarm rate: recall rises, precision falls",
        ),
        "scope": SCOPE,
        "classes": CLASSES,
    },
    aliases=("ss_loss", "sensitivity_specificity_loss"),
    limits="A batch without foreground teaches nothing; a confidently wrong pixel gives hardly any gradient.",
    errata=(
        "Jadon 2020 prints w · sensitivity + (1 − w) · specificity as the loss, whose minimum is the worst mask; the "
        "loss sums error terms.",
        "Azad et al. 2023 print 1 − α sens + (1 − α) spec and call the squared errors sensitivity and specificity; "
        'there is no "1 −", and both parts are errors.',
        "Averaged over both classes of a binary task, as Azad et al. 2023 do, the loss does not depend on r.",
        "SSLoss of SegLossOdyssey names its two parts the wrong way round and averages over all classes.",
    ),
)
