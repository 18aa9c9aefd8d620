"""Hausdorff losses: squared errors weighed by how far they lie from an edge, by distances or by erosion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from sweeper.domains import Choice, Int, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.morphology import distance_to
from sweeper.losses.options import CLASSES
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    check_static,
    class_mean,
    dial,
    kept_classes,
    prepare,
    scored_classes,
)
from sweeper.losses.target_maps import target_map

POWERS = Uniform(0.0, 6.0)
"""Distances to the power 6 stay within float32 on images of a thousand pixels a side."""

ALPHA = Hyperparameter(
    symbol="α",
    legal=POWERS,
    search=Uniform(0.5, 3.0),
    effect="errors far from an edge dominate: stray false alarms vanish first, so that precision rises; 0 is twice the "
    "squared error, or once if one-sided",
)
"""Of the form by distance transforms."""

_READINGS = (
    "Jadon 2020 says that the aim is to maximize it; it is minimized.",
    "Jadon 2020 prints one direction of the distance and describes the variants as maxima and minima; the distance is "
    "the larger of both directions, and the variants replace it by distance transforms, erosions or convolutions.",
)


def hausdorff_dt(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Dial = 2.0,
    one_sided: bool = False,
    classes: Classes = "foreground",
    signed_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the squared error weighed by the distances to the true and to the predicted edge: a scalar ≥ 0.

        L = mean over classes of ⟨(p − t)² (D_P^α + D_T^α)⟩

    D_T is the distance to the edge of the class in the target, at least 1, and 0 where it has no edge; D_P that to the
    edge of {p > ½}, taken anew at every step and without a gradient.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha: α ≥ 0, searched in [0.5, 3]. Raising it makes far errors dominate: stray false alarms vanish first and
            precision rises. At 0 it is the squared error where there are edges, twice, or once if one-sided.
        one_sided: leaves D_P out, as the one-sided variant of the paper: no distance transform at each step, but a miss
            far from any prediction weighs no more than one beside it, so that recall falls.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped.
        signed_distance: (B, C, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Karimi, Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks", IEEE Transactions on Medical Imaging 39, 2020, arXiv:1904.10030.
    Fails: gradients are huge while far errors abound, early in training; it is trained beside a region loss, its weight
    rising.
    """
    pixels = prepare(logits, target, ignore_index)
    return hausdorff_dt_of(pixels, alpha=alpha, one_sided=one_sided, classes=classes, signed_distance=signed_distance)


def hausdorff_dt_of(
    pixels: Pixels,
    *,
    alpha: Dial = 2.0,
    one_sided: bool = False,
    classes: Classes = "foreground",
    signed_distance: Tensor | None = None,
) -> Tensor:
    """Return `hausdorff_dt` of a prepared batch."""
    check_static(HAUSDORFF_DT, one_sided=one_sided)
    alpha, scored = dial(alpha, pixels.prob), scored_classes(classes)
    weight = _power(target_map("signed_distance", signed_distance, pixels)[:, scored].abs(), alpha)
    if not one_sided:
        predicted = pixels.valid * (pixels.prob[:, scored] > 0.5)
        # Either distance is 0 on its own side and wherever the other side is empty.
        weight = weight + _power(distance_to(predicted) + distance_to(pixels.valid - predicted), alpha)
    return pixel_class_mean(pixels, squared_error(pixels, classes) * weight, classes)


def _power(distance: Tensor, alpha: Dial) -> Tensor:
    """Return distance^α, but 0 for every α where there is no distance; any other distance is at least 1."""
    return torch.where(distance > 0, distance.clamp_min(1) ** alpha, 0)


def hausdorff_er(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Dial = 2.0,
    erosions: int = 10,
    classes: Classes = "foreground",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return what successive erosions leave of the squared error, later ones weighing more: a scalar ≥ 0.

        L = mean over classes of ⟨Σ k^α eₖ⟩,    eₖ = relu(κ eₖ₋₁ − ½) stretched to [0, 1],  e₀ = (p − t)²

    k runs from 1 to the number of erosions and κ is the mean over a pixel and its four neighbours, 0 beyond the image.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha: α ≥ 0, searched in [0.5, 3]. Raising it makes what survives many erosions, the middle of thick
            errors, dominate, whether missed or false: it favours neither precision nor recall.
        erosions: How many, static. Errors wider than twice that many pixels all weigh alike. It moves neither precision
            nor recall by itself.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Karimi, Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks", IEEE Transactions on Medical Imaging 39, 2020, arXiv:1904.10030.
    Fails: isolated wrong pixels never count, and lines one pixel wide only above a squared error of 5/6. What is left
    is stretched back to [0, 1] at each step, and thin errors to the top of it all along: a line two pixels wide costs
    more than a block of 12×12.
    """
    pixels = prepare(logits, target, ignore_index)
    return hausdorff_er_of(pixels, alpha=alpha, erosions=erosions, classes=classes)


def hausdorff_er_of(
    pixels: Pixels, *, alpha: Dial = 2.0, erosions: int = 10, classes: Classes = "foreground"
) -> Tensor:
    """Return `hausdorff_er` of a prepared batch."""
    check_static(HAUSDORFF_ER, erosions=erosions)
    alpha = dial(alpha, pixels.prob)
    error = squared_error(pixels, classes)
    total = torch.zeros_like(error)
    for step in range(1, erosions + 1):
        error = _stretched(pixels.valid * (_cross_mean(error) - 0.5).relu(), pixels.valid)
        total = total + float(step) ** alpha * error
    return pixel_class_mean(pixels, total, classes)


def _cross_mean(x: Tensor) -> Tensor:
    """Return the mean over each pixel and its four neighbours, those beyond the image being 0."""
    rows, cols = avg_pool2d(x, (3, 1), 1, (1, 0)), avg_pool2d(x, (1, 3), 1, (0, 1))
    return (3 * rows + 3 * cols - x) / 5


def _stretched(x: Tensor, valid: Tensor) -> Tensor:
    """Return each image and class stretched to [0, 1] over its valid pixels; left as it is where it is constant.

    `x` is at least 0, and 0 on ignored pixels.
    """
    low = x.masked_fill(valid == 0, torch.inf).amin((2, 3), keepdim=True)
    span = x.amax((2, 3), keepdim=True) - low
    uneven = span > FLOOR
    # Both are made harmless before the division: a gradient through the branch not taken would be NaN.
    return valid * (x - torch.where(uneven, low, 0)) / torch.where(uneven, span, 1)


def squared_error(pixels: Pixels, classes: Classes) -> Tensor:
    """Return (p − t)² of the scored classes: (B, K, H, W), 0 on ignored pixels."""
    scored = scored_classes(classes)
    return pixels.valid * (pixels.prob[:, scored] - pixels.onehot[:, scored]) ** 2


def pixel_class_mean(pixels: Pixels, values: Tensor, classes: Classes) -> Tensor:
    """Return the mean over valid pixels and the scored classes present; `values` is (B, K, H, W), 0 where ignored."""
    kept = kept_classes(pixels.onehot.sum((0, 2, 3)), classes, "skip")[scored_classes(classes)]
    return class_mean(values.sum((0, 2, 3)), kept) / pixels.valid.sum().clamp_min(1)


HAUSDORFF_DT = Family(
    function=hausdorff_dt,
    title="Hausdorff loss by distance transforms",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over foreground classes and pixels of (p − t)² (D_P^α + D_T^α), D = distance to the edge of {p > ½}, "
    "of the target",
    source="Karimi and Salcudean 2020, arXiv:1904.10030",
    hyperparameters={
        "alpha": ALPHA,
        "one_sided": Hyperparameter(
            symbol="one-sided",
            legal=Choice((False, True)),
            static=True,
            effect="true leaves out the distance to the predicted edge: cheaper, but misses far from any prediction "
            "weigh less, so that recall falls",
        ),
        "classes": CLASSES,
    },
    aliases=("hd_dt", "hausdorff", "hausdorff_loss"),
    needs=("signed_distance",),
    exempt={"pixel order": "distances look at where pixels lie"},
    errata=(
        *_READINGS,
        "The HausdorffLoss in the repository of the boundary loss knows distances from the inside only: another loss.",
    ),
    limits="Gradients are huge while far errors abound: train it beside a region loss, its weight rising. Unless "
    "one-sided, two distance transforms of the prediction per class and step: 7 s on a CPU for 21 classes of 512².",
)


HAUSDORFF_ER = Family(
    function=hausdorff_er,
    title="Hausdorff loss by erosion",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over foreground classes and pixels of Σ k^α eₖ, eₖ = (p − t)² after k soft erosions",
    source="Karimi and Salcudean 2020, arXiv:1904.10030",
    hyperparameters={
        "alpha": Hyperparameter(
            symbol="α",
            legal=POWERS,
            search=Uniform(0.5, 3.0),
            acts_with={"erosions": tuple(range(2, 16))},
            effect="the middle of thick errors dominates, missed or false alike: neither precision nor recall is "
            "favoured",
        ),
        "erosions": Hyperparameter(
            symbol="K",
            legal=Int(1, 15),
            static=True,
            effect="tells errors up to 2 K pixels wide apart; precision and recall are left to the mask",
        ),
        "classes": CLASSES,
    },
    aliases=("hd_er",),
    exempt={"pixel order": "erosion looks at neighbouring pixels"},
    errata=(
        *_READINGS,
        "The version of SegLossOdyssey runs in NumPy and so has no gradient.",
    ),
    limits="Isolated wrong pixels never count, one-pixel lines only above a squared error of 5/6, yet what survives "
    "is stretched to [0, 1], so that a line two pixels wide costs more than a block of 12×12. Every erosion of every "
    "class is kept for the gradient: 4.6 s on a CPU for 21 classes of 512², and memory to match.",
)
