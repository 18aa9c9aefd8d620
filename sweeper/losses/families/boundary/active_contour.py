"""Active contour loss: the length of the predicted contour, and its errors."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES, NON_NEGATIVE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    class_mean,
    dial,
    kept_classes,
    prepare,
)


def active_contour(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 1.0,
    epsilon: Dial = 1e-8,
    classes: Classes = "foreground",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the length of the predicted contour plus λ times the share of wrong probability: a scalar ≥ 0.

        L = mean over classes of Σ √((∂ₓp)² + (∂ᵧp)² + ε) / N + λ ⟨p (1 − t) + (1 − p) t⟩

    Differences are to the next row and column, where both are in the image and none of the three pixels is ignored; N
    counts the valid pixels.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it makes errors count more against length:
            recall of thin and jagged objects rises, specks of false alarms come back.
        epsilon: ε > 0, the rounding of the length near 0: a flat pixel has length √ε. Raising it smoothes small
            differences less and moves neither precision nor recall.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Chen, Williams, Vallabhaneni, Czanner, Williams, Zheng, "Learning active contour models for medical image
    segmentation", CVPR 2019, doi:10.1109/CVPR.2019.01190 (there sums, with other slices of the grid).
    Fails: the shortest contour is none: with small λ thin objects shrink away.
    """
    pixels = prepare(logits, target, ignore_index)
    return active_contour_of(pixels, lam=lam, epsilon=epsilon, classes=classes)


def active_contour_of(
    pixels: Pixels, *, lam: Dial = 1.0, epsilon: Dial = 1e-8, classes: Classes = "foreground"
) -> Tensor:
    """Return `active_contour` of a prepared batch."""
    p, valid = pixels.prob, pixels.valid
    down = p[..., 1:, :-1] - p[..., :-1, :-1]
    right = p[..., :-1, 1:] - p[..., :-1, :-1]
    counted = valid[..., :-1, :-1] * valid[..., 1:, :-1] * valid[..., :-1, 1:]
    length = (counted * (down**2 + right**2 + dial(epsilon, p)).sqrt()).sum((0, 2, 3))
    wrong = (valid * (p - pixels.onehot).abs()).sum((0, 2, 3))
    kept = kept_classes(pixels.onehot.sum((0, 2, 3)), classes, "skip")
    return class_mean(length + dial(lam, p) * wrong, kept) / valid.sum().clamp_min(1)


ACTIVE_CONTOUR = Family(
    function=active_contour,
    title="Active contour loss",
    level="boundary",
    overlap="mixed",
    tradeoff="symmetric",
    formula="mean over foreground classes of (Σ √((∂x p)² + (∂y p)² + ε) + λ (FP + FN)) / pixels",
    source="Chen et al. 2019, doi:10.1109/CVPR.2019.01190",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="errors count more against length: recall of thin and jagged objects rises, precision falls",
        ),
        "epsilon": Hyperparameter(
            symbol="ε",
            legal=Uniform(1e-12, 1.0),
            effect="small differences of probability weigh less; precision and recall are left to λ",
        ),
        "classes": CLASSES,
    },
    aliases=("ac_loss", "chan_vese"),
    exempt={
        "perfect": "a right mask still pays for the length of its contour",
        "pixel order": "length looks at neighbouring pixels",
        "mirror": "differences are to the next row and column only",
    },
    limits="The shortest contour is none: with small λ thin objects shrink away.",
)
