"""Conditional boundary loss: each boundary pixel is drawn to its own class around it and parted from the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from sweeper.domains import Choice, Int, LogUniform, Value
from sweeper.errors import LossError
from sweeper.losses.embedding import SPACE, Space, embedding
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Dial,
    Pixels,
    check_static,
    dial,
    masked_mean,
    prepare,
)
from sweeper.losses.target_maps import target_map

NOWHERE = 1e-12
"""Added to squared lengths: a vector of length 0 has no direction, and the root of 0 no finite slope."""


def conditional_boundary(
    logits: Tensor,
    target: Tensor,
    *,
    lambda_a2c: Dial = 2.0,
    lambda_centre: Dial = 0.2,
    lambda_pn: Dial = 1.0,
    kernel: int = 5,
    width: int = 1,
    space: Space = "logits",
    boundary_band: Tensor | None = None,
    features: Tensor | None = None,
    classifier: Callable[[Tensor], Tensor] | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy plus three terms on pixels near the target's boundaries: a scalar ≥ 0.

        L = CE + λ₁ mean |f(n) − c(n)|² / D + λ₂ mean CE(class of c(n)) + λ₃ mean (s(n, m) − same(n, m))²

    f is the vector of a pixel, and c(n) the mean of the pixels around n that are of its class and rightly classified.
    The first two means are over boundary pixels that are right themselves and have such a centre, which the first holds
    still; the third is over all pairs of a boundary pixel and a valid neighbour, and s is the cosine of their features.

    In logit space f is the logits less their mean over classes, so that adding a constant to all changes nothing. Their
    cosine would be no likeness: for two classes it is 1 or −1 however unsure they are, and teaches nothing. There s is
    (p(n)·p(m) − 1/C) / (1 − 1/C), smooth and bounded: 1 for two pixels sure of one class, and −1 / (C − 1) for two sure
    of different ones, which is then the goal for neighbours of different classes, in place of 0.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lambda_a2c: λ₁ ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it makes what is right near a boundary
            alike, and confidence there even; precision and recall alike.
        lambda_centre: λ₂ ≥ 0, searched in [0.02, 2] on a logarithmic scale. Raising it makes right neighbourhoods more
            confident, misses and false alarms alike.
        lambda_pn: λ₃ ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it parts the two sides of a boundary
            more sharply: precision and recall along it rise.
        kernel: 3, 5 or 7, the side of the neighbourhood. Raising it averages further into the regions: precision and
            recall of structures thinner than it fall.
        width: From 0 to 20, how far (chessboard distance) from the target's contours a boundary pixel may be. Raising
            it makes precision and recall at the very edge weigh less.
        space: `logits`, or `features`, as in the paper.
        boundary_band: (B, 1, H, W), the target map of that name, computed if not given.
        features: (B, D, H, W), the decoder's map, for `features`.
        classifier: The model's last layer, (…, D) to (…, C), for `features`.

    Raises: LossError on shapes, dtypes or options other than these, and without what `features` needs.
    Source: Wu, Guo, Li, Yu, Gao, Sang, "Conditional boundary loss for semantic segmentation", IEEE TIP 32, 2023,
    doi:10.1109/TIP.2023.3290519. Weights and neighbourhood are those of the authors' code.
    Fails: logits are a weak stand-in for features, so its results in logit space are those of a variant; before there
    are right pixels near a boundary only cross-entropy and the pairs teach. Pairs part two pixels without saying which
    of them is of which class, and not at all while both are wholly unsure: that is left to cross-entropy.
    """
    check_static(CONDITIONAL_BOUNDARY, kernel=kernel, width=width)
    pixels = prepare(logits, target, ignore_index)
    vectors = embedding(pixels, space, features)
    edge = pixels.valid * (target_map("boundary_band", boundary_band, pixels) <= width)
    right = pixels.valid * (pixels.log_prob.argmax(dim=1, keepdim=True) == pixels.labels)
    apart = -1 / (pixels.log_prob.shape[1] - 1) if space == "logits" else 0.0
    directions = _directions(pixels, vectors, space)
    centre, found, pairs = _around(pixels, vectors, directions, edge, right, kernel, apart)
    anchored = edge * right * found
    to_centre = masked_mean(((vectors - centre.detach()) ** 2).mean(dim=1, keepdim=True), anchored)
    scores = centre if space == "logits" else _classified(centre, classifier, pixels)
    of_centre = masked_mean(-scores.log_softmax(dim=1).gather(1, pixels.labels), anchored)
    return (
        masked_mean(pixels.cross_entropy, pixels.valid)
        + dial(lambda_a2c, pairs) * to_centre
        + dial(lambda_centre, pairs) * of_centre
        + dial(lambda_pn, pairs) * pairs
    )


def _directions(pixels: Pixels, vectors: Tensor, space: Space) -> Tensor:
    """Return vectors of length 1 at most, (B, D, H, W), whose dot product is the likeness of two pixels."""
    if space == "features":
        return vectors / ((vectors**2).sum(dim=1, keepdim=True) + NOWHERE).sqrt()
    classes = vectors.shape[1]
    # Unlike a cosine, this needs no root, whose slope is steep at a tie.
    return (pixels.prob - 1 / classes) / math.sqrt(1 - 1 / classes)


def _around(
    pixels: Pixels, vectors: Tensor, directions: Tensor, edge: Tensor, right: Tensor, kernel: int, apart: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each pixel's local class centre, (B, D, H, W), where there is one, (B, 1, H, W), and the cost of pairs."""
    height, width = vectors.shape[-2:]
    reach = [kernel // 2] * 4
    far_vectors, far_directions, far_labels, far_right, far_valid = (
        pad(each, reach) for each in (vectors, directions, pixels.labels, right, pixels.valid)
    )
    total, count = torch.zeros_like(vectors), torch.zeros_like(edge)
    cost, pairs = torch.zeros_like(edge), torch.zeros_like(edge)
    # One neighbour after the other: all at once would hold the vectors kernel² times.
    for row, col in ((row, col) for row in range(kernel) for col in range(kernel)):
        if row == col == kernel // 2:
            continue
        window = (..., slice(row, row + height), slice(col, col + width))
        same = far_labels[window] == pixels.labels
        friend = far_right[window] * same
        total = total + friend * far_vectors[window]
        count = count + friend
        likeness = (directions * far_directions[window]).sum(dim=1, keepdim=True)
        pair = edge * far_valid[window]
        cost = cost + pair * (likeness - torch.where(same, 1.0, apart)) ** 2
        pairs = pairs + pair
    found = (count > 0).to(edge.dtype)
    return total / count.clamp_min(1), found, cost.sum() / pairs.sum().clamp_min(1)


def _classified(centre: Tensor, classifier: Callable[[Tensor], Tensor] | None, pixels: Pixels) -> Tensor:
    """Return the logits of the local class centres, (B, C, H, W)."""
    if classifier is None:
        raise LossError(
            "space='features' needs classifier=..., the model's last layer from (…, D) to (…, C); or take "
            "space='logits'"
        )
    return classifier(centre.movedim(1, -1)).movedim(-1, 1).to(pixels.log_prob)


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return ("boundary_band", "features", "classifier") if settings["space"] == "features" else ("boundary_band",)


CONDITIONAL_BOUNDARY = Family(
    function=conditional_boundary,
    title="Conditional boundary loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="CE + λ₁ mean |f − local class centre|² / D + λ₂ mean CE(centre) + λ₃ mean (s(neighbours) − same)², "
    "s = cosine of features, or (p·p′ − 1/C) / (1 − 1/C)",
    source="Wu et al. 2023, doi:10.1109/TIP.2023.3290519",
    hyperparameters={
        "lambda_a2c": Hyperparameter(
            symbol="λ₁",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="what is right near a boundary becomes alike, in confidence too; precision and recall alike",
        ),
        "lambda_centre": Hyperparameter(
            symbol="λ₂",
            legal=NON_NEGATIVE,
            search=LogUniform(0.02, 2.0),
            effect="right neighbourhoods become more confident, misses and false alarms alike",
        ),
        "lambda_pn": Hyperparameter(
            symbol="λ₃",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="the two sides of a boundary part more sharply: precision and recall along it rise",
        ),
        "kernel": Hyperparameter(
            symbol="k",
            legal=Choice((3, 5, 7)),
            static=True,
            effect="averages further into the regions: precision and recall of structures thinner than it fall",
        ),
        "width": Hyperparameter(
            symbol="w",
            legal=Int(0, 20),
            static=True,
            effect="pixels further from the contour count too: precision and recall at the very edge weigh less",
        ),
        "space": SPACE,
    },
    aliases=("cbl", "conditional_boundary_loss"),
    needs=("boundary_band", "features", "classifier"),
    narrow=_needs,
    exempt={
        "pixel order": "it looks at neighbouring pixels",
        "gradient": "the local class centre is held still while pixels are drawn to it, so that the gradient is not "
        "that of the value",
    },
    limits="Logits are a weak stand-in for features: results in logit space are those of a variant. Before there are "
    "right pixels near a boundary only cross-entropy and the pairs teach; between wholly unsure pixels not even these.",
)
