"""Boundary-aware loss: cross-entropy of what successive erosions leave of prediction and target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sweeper.domains import Int, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.morphology import soft_erode
from sweeper.losses.options import CLASSES, SHARE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    check_static,
    class_mean,
    kept_classes,
    prepare,
    scored_classes,
)
from sweeper.losses.target_maps import target_map

_NEVER = -1e6
"""Log-odds of what cannot be: finite, so that 0 times it is 0."""


def boundary_aware(
    logits: Tensor,
    target: Tensor,
    *,
    decay: Dial = 1.0,
    levels: int = 3,
    classes: Classes = "foreground",
    erosion_depth: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean cross-entropy of mask and prediction, each eroded 0, 1, 2, ... times: a scalar ≥ 0.

        L = mean over classes of Σ ρ^k ⟨BCE(Eᵏ(p), Eᵏ(t))⟩ / Σ ρ^k,    E = erosion by a cross, k = 0 ... K − 1

    How many erosions a pixel survives is its distance to the edge, cut off at K: the target of the paper's extra output
    channels, here read off the mask itself. One level on two classes is cross-entropy.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`. Ignored pixels erode their neighbours in both.
        decay: ρ in [0, 1], searched in [0.3, 1], the weight of each level against the one before. Raising it makes the
            deep inside of objects count more: precision of thin objects rises, and recall of thick ones.
        levels: K, static; one is no erosion. Raising it does the same: a thin object has no inside that a prediction
            could survive in, a thick one has its inside asked for again at every level.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped.
        erosion_depth: (B, C, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: after Hayder, He, Salzmann, "Boundary-aware instance segmentation", CVPR 2017, arXiv:1612.03129, who predict
    the levels by output channels of their own.
    Fails: a structure of one pixel's width is gone after one erosion; all levels but the first then only ask for thin
    predictions.
    """
    pixels = prepare(logits, target, ignore_index)
    return boundary_aware_of(pixels, decay=decay, levels=levels, classes=classes, erosion_depth=erosion_depth)


def boundary_aware_of(
    pixels: Pixels,
    *,
    decay: Dial = 1.0,
    levels: int = 3,
    classes: Classes = "foreground",
    erosion_depth: Tensor | None = None,
) -> Tensor:
    """Return `boundary_aware` of a prepared batch."""
    check_static(BOUNDARY_AWARE, levels=levels)
    scored = scored_classes(classes)
    depth = target_map("erosion_depth", erosion_depth, pixels)[:, scored]
    ratio = torch.as_tensor(decay, dtype=depth.dtype, device=depth.device)
    odds = torch.where(pixels.valid > 0, pixels.log_prob - pixels.log_one_minus, _NEVER)[:, scored]
    total, weights = torch.zeros_like(odds), torch.zeros_like(ratio)
    for level in range(levels):
        # The least probability has the least log-odds: eroding these keeps the precision that 1 − p would lose.
        odds = soft_erode(odds) if level else odds
        weight = ratio**level
        total = total + weight * (softplus(odds) - (depth > level) * odds)
        weights = weights + weight
    kept = kept_classes(pixels.onehot.sum((0, 2, 3)), classes, "skip")[scored]
    per_class = (pixels.valid * total).sum((0, 2, 3)) / weights
    return class_mean(per_class, kept) / pixels.valid.sum().clamp_min(1)


BOUNDARY_AWARE = Family(
    function=boundary_aware,
    title="Boundary-aware loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over foreground classes of Σ ρ^k BCE(k times eroded p, k times eroded t) / Σ ρ^k",
    source="after Hayder et al. 2017, arXiv:1612.03129",
    hyperparameters={
        "decay": Hyperparameter(
            symbol="ρ",
            legal=SHARE,
            search=Uniform(0.3, 1.0),
            acts_with={"levels": tuple(range(2, 9))},
            effect="the deep inside of objects counts more against their rim: precision of thin objects rises, recall "
            "of thick ones",
        ),
        "levels": Hyperparameter(
            symbol="K",
            legal=Int(1, 8),
            static=True,
            effect="the inside counts again at every level: precision of thin objects rises, recall of thick ones; 1 "
            "is one-against-the-rest cross-entropy",
        ),
        "classes": CLASSES,
    },
    aliases=("hayder", "truncated_dt_loss"),
    needs=("erosion_depth",),
    exempt={
        "padding": "ignored pixels erode their neighbours, the image's border does not",
        "pixel order": "erosion looks at neighbouring pixels",
    },
    limits="On structures of one pixel's width every level but the first only punishes thick predictions.",
)
