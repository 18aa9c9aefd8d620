"""Shape-aware loss: cross-entropy raised by how far the predicted contour is from the true one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, LogUniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.morphology import inner_boundary
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Dial,
    Pixels,
    check_option,
    dial,
    masked_mean,
    prepare,
)
from sweeper.losses.target_maps import target_map

Normalize = Literal["none", "diagonal"]
Raised = Literal["mismatched", "all"]


def shape_aware(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Dial = 1.0,
    normalize: Normalize = "none",
    scope_pixels: Raised = "mismatched",
    contour_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy, on wrong pixels raised by the distance of the contours: a scalar ≥ 0, ≥ cross-entropy.

        L = ⟨(1 + w E 1[ŷ ≠ y]) (−log p)⟩,    E = mean distance of the predicted contour's pixels to the true contour

    E is one number per image, the mean over its foreground classes, of which one without a contour in either mask
    counts 0. It has no gradient: contours are those of the most probable class ŷ.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        weight: w ≥ 0, searched in [0.05, 10] on a logarithmic scale. 0 is cross-entropy. Raising it makes images whose
            contours are far off count more; it moves neither precision nor recall by itself.
        normalize: `none` for distances in pixels, or `diagonal` for shares of the image's diagonal.
        scope_pixels: `mismatched` raises wrong pixels alone, which is our reading of the original; `all` raises every
            pixel, as Jadon does.
        contour_distance: (B, C, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Al Arif, Knapp, Slabaugh, "Shape-aware deep convolutional neural network for vertebrae segmentation", MSKI
    2017, doi:10.1007/978-3-319-74113-0_2.
    Fails: an image with its object missed altogether has no predicted contour, and counts as plain cross-entropy; E
    jumps where a stray region appears.
    """
    pixels = prepare(logits, target, ignore_index)
    return shape_aware_of(
        pixels, weight=weight, normalize=normalize, scope_pixels=scope_pixels, contour_distance=contour_distance
    )


def shape_aware_of(
    pixels: Pixels,
    *,
    weight: Dial = 1.0,
    normalize: Normalize = "none",
    scope_pixels: Raised = "mismatched",
    contour_distance: Tensor | None = None,
) -> Tensor:
    """Return `shape_aware` of a prepared batch."""
    check_option("normalize", normalize, ("none", "diagonal"))
    check_option("scope_pixels", scope_pixels, ("mismatched", "all"))
    # A class without a true contour stands at a distance of −1.
    distance = target_map("contour_distance", contour_distance, pixels).clamp_min(0)
    guess = pixels.log_prob.detach().argmax(1, keepdim=True)
    labels = torch.arange(distance.shape[1], device=guess.device).reshape(-1, 1, 1)
    predicted = (guess == labels) * pixels.valid
    contour = inner_boundary(predicted, pixels.valid)
    off = (contour * distance).sum((2, 3)) / contour.sum((2, 3)).clamp_min(1)
    raised = off[:, 1:].mean(1)[:, None, None, None]
    if normalize == "diagonal":
        height, width = distance.shape[-2:]
        raised = raised / (height**2 + width**2) ** 0.5
    if scope_pixels == "mismatched":
        raised = raised * (guess != pixels.labels)
    return masked_mean((1 + dial(weight, distance) * raised) * pixels.cross_entropy, pixels.valid)


SHAPE_AWARE = Family(
    function=shape_aware,
    title="Shape-aware loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over pixels of (1 + w E) (−log p), E = mean distance of the predicted to the true contour where the "
    "pixel is wrong, else 0",
    source="Al Arif et al. 2017, doi:10.1007/978-3-319-74113-0_2",
    hyperparameters={
        "weight": Hyperparameter(
            symbol="w",
            legal=NON_NEGATIVE,
            search=LogUniform(0.05, 10.0),
            effect="images with contours far off count more; precision and recall are left to the mask",
        ),
        "normalize": Hyperparameter(
            symbol="normalize",
            legal=Choice(("none", "diagonal")),
            static=True,
            effect="diagonal measures E in diagonals of the image: only the scale of w changes",
        ),
        "scope_pixels": Hyperparameter(
            symbol="scope",
            legal=Choice(("mismatched", "all")),
            static=True,
            effect="all raises right pixels too: images weigh differently, wrong pixels less; neither precision nor "
            "recall is favoured",
        ),
    },
    aliases=("shape_aware_loss",),
    needs=("contour_distance",),
    exempt={
        "padding": "rows appended change the diagonal that distances may be divided by",
        "pixel order": "contours look at neighbouring pixels",
    },
    errata=(
        "Jadon 2020 prints −Σ CE − Σ E CE with CE already positive; it is Σ (1 + E) CE.",
        "Jadon 2020 raises every pixel; here that is scope_pixels='all', the default raises wrong pixels alone.",
    ),
    limits="Where an object is missed altogether there is no predicted contour, and it is plain cross-entropy.",
)
