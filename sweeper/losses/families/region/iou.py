"""IoU (Jaccard) loss: overlap against the union."""

from __future__ import annotations

from torch import Tensor

from sweeper.losses.families.region.dice import loss_of
from sweeper.losses.family import Family
from sweeper.losses.options import ABSENT, CLASSES, LOG_LOSS, SCOPE, SMOOTH
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
    soft_counts,
    tversky_index,
)


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
    return iou_of(
        prepare(logits, target, ignore_index),
        smooth=smooth,
        scope=scope,
        classes=classes,
        absent=absent,
        log_loss=log_loss,
    )


def iou_of(
    pixels: Pixels,
    *,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    log_loss: bool = False,
) -> Tensor:
    """Return `iou` of a prepared batch."""
    check_smooth(absent, smooth)
    counts = soft_counts(pixels, scope)
    index = tversky_index(counts, 1.0, 1.0, dial(smooth, counts.tp))
    return class_mean(loss_of(index, log_loss), kept_classes(counts.target, classes, absent))


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
    errata=(
        "Under one name papers mean the overlap of masks or of bounding boxes; this one is of masks.",
        "smp's JaccardLoss sets absent classes to 0 and still divides by all.",
    ),
)
