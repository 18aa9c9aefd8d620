"""Boundary difference over union: overlap in which the inside of large objects counts less than their rim."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    class_mean,
    dial,
    kept_classes,
    prepare,
)
from sweeper.losses.target_maps import target_map


def boundary_dou(
    logits: Tensor,
    target: Tensor,
    *,
    alpha_max: Dial = 0.8,
    alpha_min: Dial = -1.0,
    classes: Classes = "all",
    outline: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the difference of prediction and target over a union that leaves out part of the overlap, in [0, 1].

        L = mean over classes of (U − 2 I) / (U − (1 + α) I),    U = Σ p² + G,  I = Σ p t

    α = 1 − 2 (outline pixels) / G, kept within [α_min, α_max]: near 1 for a large compact object, of which only the rim
    then matters, −1 for a curve of one pixel's width. α = 0 is IoU and −1 Dice, both in their squared form: a scalar in
    [0, 1] for every α ≤ 1. Counts are pooled over the batch.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha_max: Largest α, at most 1, searched in [0, 0.95]. Raising it makes errors on large objects dearer; it
            moves neither precision nor recall by itself.
        alpha_min: Least α, searched in [−1, 0]; with `alpha_max` below it, that one counts. Raising it makes errors on
            thin or tiny objects dearer, false alarms and misses alike.
        classes: `all`, or `foreground` for all but class 0. Classes without a pixel are skipped.
        outline: (B, C, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Sun, Luo, Li, "Boundary difference over union loss for medical image segmentation", MICCAI 2023,
    arXiv:2308.00220. The paper has α in [0, 1); its code clips it above alone, at 0.8.
    Fails: on curves of one pixel's width α is −1, and it is Dice. For α near 1 it is flat until the overlap is large.
    """
    pixels = prepare(logits, target, ignore_index)
    return boundary_dou_of(pixels, alpha_max=alpha_max, alpha_min=alpha_min, classes=classes, outline=outline)


def boundary_dou_of(
    pixels: Pixels,
    *,
    alpha_max: Dial = 0.8,
    alpha_min: Dial = -1.0,
    classes: Classes = "all",
    outline: Tensor | None = None,
) -> Tensor:
    """Return `boundary_dou` of a prepared batch."""
    area = pixels.onehot.sum((0, 2, 3))
    rim = (pixels.onehot * target_map("outline", outline, pixels)).sum((0, 2, 3))
    alpha = 1 - 2 * rim / area.clamp_min(1)
    alpha = alpha.clamp_min(dial(alpha_min, area)).clamp_max(dial(alpha_max, area))
    # U − 2 I as a sum of squares: as a difference of sums, a few wrong pixels would drown in float32 rounding.
    difference = (pixels.valid * (pixels.prob - pixels.onehot) ** 2).sum((0, 2, 3))
    overlap = (pixels.onehot * pixels.prob).sum((0, 2, 3))
    ratio = difference / (difference + (1 - alpha) * overlap).clamp_min(FLOOR)
    return class_mean(ratio, kept_classes(area, classes, "skip"))


BOUNDARY_DOU = Family(
    function=boundary_dou,
    title="Boundary difference over union",
    level="boundary",
    overlap="mixed",
    tradeoff="symmetric",
    formula="mean over classes of (U − 2 I) / (U − (1 + α) I), U = Σ p² + G, I = Σ p t, α = 1 − 2 outline / G, clipped",
    source="Sun et al. 2023, arXiv:2308.00220",
    hyperparameters={
        "alpha_max": Hyperparameter(
            symbol="α_max",
            legal=Uniform(-1.0, 1.0),
            search=Uniform(0.0, 0.95),
            effect="the inside of large objects counts less, any error on them more; precision and recall alike",
        ),
        "alpha_min": Hyperparameter(
            symbol="α_min",
            legal=Uniform(-1.0, 1.0),
            search=Uniform(-1.0, 0.0),
            effect="any error on thin or tiny objects costs more, −1 being Dice and 0 IoU; precision and recall alike",
        ),
        "classes": CLASSES,
    },
    aliases=("bdou", "boundary_dou_loss"),
    needs=("outline",),
    exempt={"pixel order": "an outline looks at neighbouring pixels"},
    errata=(
        "Azad et al. 2023 garble α; it is 1 − 2 C / S, C the outline's pixels and S the area.",
        "The paper and Azad et al. 2023 put α in [0, 1); thin or tiny objects have α below 0, down to −1, and the "
        "authors' code clips above alone, at 0.8.",
    ),
    limits="On curves of one pixel's width it is Dice and knows nothing of boundaries.",
)
