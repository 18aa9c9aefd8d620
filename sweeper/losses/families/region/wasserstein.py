"""Generalized Wasserstein Dice: Dice with a price for each confusion of two classes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, Uniform
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SCOPE, SHARE
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Pixels,
    Scope,
    check_option,
    dial,
    image_mean,
    pooled_dims,
    prepare,
)


def generalized_wasserstein_dice(
    logits: Tensor,
    target: Tensor,
    *,
    fg_distance: Dial = 1.0,
    weighting: Literal["paper", "gdl"] = "paper",
    scope: Scope = "batch",
    matrix: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus a Dice ratio in which confusing two classes costs their distance: a scalar in [0, 1].

        L = 1 − 2 Θ / (2 Θ + Σ δ),    Θ = Σ m (m − δ),    δ = Σ over classes c of M(y, c) p(c),    m = M(y, 0)

    M(a, b) in [0, 1] says how wrong class b is on a pixel of class a. On two classes it is the Dice loss of the
    foreground. A false alarm and a miss cost the same; a `matrix` that is not symmetric makes them differ.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        fg_distance: M between two different foreground classes, in [0, 1], searched from 0.05; background is at 1 from
            all. Raising it makes a mix-up of foreground classes as dear as a miss: precision between them rises.
        weighting: `paper`, or `gdl` for L = 1 − 2 Σ w (1 − δ) / Σ w (2 − δ) with w = 1 / pixels of the true class,
            background included.
        scope: `batch` pools the sums of all images; `image` takes the loss of each, then the mean.
        matrix: (C, C), M in place of `fg_distance`: ≥ 0, zeros on the diagonal, rows are true classes. It is divided
            by its largest number. On an accelerator or inside a torch.func transform it cannot be looked into: there
            numbers below 0 and the diagonal are taken as 0.

    Raises: LossError on shapes, dtypes or options other than these, and on a matrix that is no distance.
    Source: Fidon, Li, Garcia-Peraza-Herrera, Ekanayake, Kitchen, Ourselin, Vercauteren, "Generalised Wasserstein Dice
    score for imbalanced multi-class segmentation using holistic convolutional networks", BrainLes 2017,
    arXiv:1707.00478; `gdl` from Tilborghs et al., "Comparative study of deep learning methods for the automatic
    segmentation of lung, lesion and lesion type in CT scans of COVID-19 patients", 2020, arXiv:2007.15546.
    Fails: with `paper` a batch without foreground costs nothing and teaches nothing; one ratio over all classes lets
    large foreground classes drown small ones.
    """
    check_option("weighting", weighting, ("paper", "gdl"))
    pixels = prepare(logits, target, ignore_index)
    dims = pooled_dims(scope)
    # Rows of M on each pixel, (B, C, H, W): the distance of its true class to every class; 0 where ignored.
    rows = pixels.valid * _distances(pixels, fg_distance, matrix)[pixels.labels.squeeze(1)].movedim(-1, 1)
    error = (rows * pixels.prob).sum(1, keepdim=True)
    if weighting == "paper":
        to_background = rows[:, :1]
        hit = _total(to_background * (to_background - error), dims)
        size = 2 * hit + _total(error, dims)
        scored = _total((pixels.labels > 0) * pixels.valid, dims)
    else:
        pixels_of_class = pixels.onehot.sum(dims, keepdim=True)
        weights = (pixels.onehot / pixels_of_class.clamp_min(1)).sum(1, keepdim=True)
        hit = _total(weights * (1 - error), dims)
        size = _total(weights * (2 - error), dims)
        scored = _total(pixels.valid, dims)
    # As one minus the ratio the last digits of a small loss would be lost: the difference is taken above the line.
    return image_mean(((size - 2 * hit) / size.clamp_min(FLOOR)).squeeze(-1), scored)


def _distances(pixels: Pixels, fg_distance: Dial, matrix: Tensor | None) -> Tensor:
    """Return M, (C, C): as given, divided by its maximum, or 1 from the background and `fg_distance` elsewhere."""
    like = pixels.log_prob
    classes = like.shape[1]
    different = 1 - torch.eye(classes, dtype=like.dtype, device=like.device)
    if matrix is not None:
        given = torch.as_tensor(matrix)
        if given.shape != (classes, classes):
            raise LossError(
                f"matrix has shape {tuple(given.shape)}; with {classes} classes it must be ({classes}, {classes})"
            )
        _check_distances(given)
        distances = different * given.to(like).clamp_min(0)
        return distances / distances.amax().clamp_min(FLOOR)
    foreground = (torch.arange(classes, device=like.device) > 0).to(like.dtype)
    both = foreground.unsqueeze(1) * foreground
    return different * (1 - both + dial(fg_distance, like) * both)


def _check_distances(matrix: Tensor) -> None:
    """Raise LossError on a matrix that is no distance, if it can be looked into without stalling a device or vmap."""
    if matrix.device.type != "cpu" or torch._C._functorch.is_functorch_wrapped_tensor(matrix):
        return
    if not ((matrix >= 0) & matrix.isfinite()).all() or matrix.diagonal().any():
        raise LossError(
            f"matrix is {matrix.tolist()}; distances between classes must be finite, at least 0, and 0 on the diagonal"
        )


def _total(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the sum of (B, 1, H, W) values over the scope: (1,), or (B, 1) per image."""
    return values.sum(dims)


GENERALIZED_WASSERSTEIN_DICE = Family(
    function=generalized_wasserstein_dice,
    title="Generalized Wasserstein Dice loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="1 − 2 Θ / (2 Θ + Σ δ), δ = Σ over classes of M(y, c) p(c), Θ = Σ m (m − δ), m = M(y, background)",
    source="Fidon et al. 2017, arXiv:1707.00478",
    hyperparameters={
        "fg_distance": Hyperparameter(
            symbol="m",
            legal=SHARE,
            search=Uniform(0.05, 1.0),
            effect="a mix-up of two foreground classes costs more: precision between them rises; on two classes none",
        ),
        "weighting": Hyperparameter(
            symbol="w",
            legal=Choice(("paper", "gdl")),
            static=True,
            effect="gdl weighs every class, background too, by its rarity: recall of rare classes rises, their "
            "precision falls",
        ),
        "scope": SCOPE,
    },
    aliases=("gwdl", "wasserstein_dice", "generalised_wasserstein_dice"),
    limits="A batch without foreground teaches nothing (weighting=paper); one ratio over all classes lets large "
    "foreground classes drown small ones.",
    errata=(
        "Azad et al. 2023 print −Σ M(c, c) t y, which is identically 0, since a distance matrix has zeros on its "
        "diagonal; the loss is a ratio.",
        "MONAI's GeneralizedWassersteinDiceLoss has 1 in place of M(y, background), the same only where that is 1; it "
        "knows no ignored pixels.",
    ),
)
