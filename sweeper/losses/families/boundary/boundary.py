"""Boundary loss: probabilities weighed by their signed distance to the true edge."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Classes,
    Pixels,
    check_option,
    class_mean,
    kept_classes,
    prepare,
)
from sweeper.losses.target_maps import target_map

Inner = Literal["author", "full"]
Normalize = Literal["none", "diagonal", "max"]


def boundary(
    logits: Tensor,
    target: Tensor,
    *,
    inner: Inner = "author",
    normalize: Normalize = "none",
    classes: Classes = "foreground",
    signed_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean of p times the signed distance to the true edge: a scalar of either sign, lowest at the truth.

        L = mean over classes of ⟨φ p⟩,    φ = distance to the class outside of it, −(distance to the rest − 1) inside

    It has no dial. The gradient by p is φ itself: the same at every p, and larger the farther off a pixel is.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        inner: `author` is 0 on the inner edge of a class; `full` is minus the distance inside, −1 on that edge, so that
            recall of structures one or two pixels wide is rewarded at all.
        normalize: `none`; `diagonal` divides φ by the image's diagonal, so that a weight against a region loss carries
            over between resolutions; `max` divides it by the largest |φ| of the class in the image, which
            also reweights images and classes: those whose distances are short gain.
        classes: `foreground` for all but class 0, or `all`. Classes that are absent or fill their images are skipped.
        signed_distance: (B, C, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Kervadec, Bouchtiba, Desrosiers, Granger, Dolz, Ben Ayed, "Boundary loss for highly unbalanced
    segmentation", MIDL 2019, arXiv:1812.07032.
    Fails: alone it settles on predicting nothing where objects are small; it is trained beside a region loss, its
    weight rising. In the author's form an object of one or two pixels' width is not rewarded for being found.
    """
    pixels = prepare(logits, target, ignore_index)
    return boundary_of(pixels, inner=inner, normalize=normalize, classes=classes, signed_distance=signed_distance)


def boundary_of(
    pixels: Pixels,
    *,
    inner: Inner = "author",
    normalize: Normalize = "none",
    classes: Classes = "foreground",
    signed_distance: Tensor | None = None,
) -> Tensor:
    """Return `boundary` of a prepared batch."""
    check_option("inner", inner, ("author", "full"))
    check_option("normalize", normalize, ("none", "diagonal", "max"))
    signed = pixels.valid * target_map("signed_distance", signed_distance, pixels)
    # No distance is 0 but that of a class without an edge, and there it is so everywhere.
    kept = kept_classes(signed.abs().sum((0, 2, 3)), classes, "skip")
    phi = author_distance(signed) if inner == "author" else signed
    if normalize == "diagonal":
        height, width = phi.shape[-2:]
        phi = phi / (height**2 + width**2) ** 0.5
    elif normalize == "max":
        largest = phi.abs().amax((2, 3), keepdim=True)
        phi = phi / torch.where(largest > 0, largest, 1)
    return class_mean((phi * pixels.prob).sum((0, 2, 3)), kept) / pixels.valid.sum().clamp_min(1)


def author_distance(signed: Tensor) -> Tensor:
    """Return a signed distance that is 0 on the inner edge of a class, in place of −1."""
    return torch.where(signed < 0, signed + 1, signed)


BOUNDARY = Family(
    function=boundary,
    title="Boundary loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over foreground classes and pixels of φ p, φ = signed distance to the true edge, negative inside",
    source="Kervadec et al. 2019, arXiv:1812.07032",
    hyperparameters={
        "inner": Hyperparameter(
            symbol="φ",
            legal=Choice(("author", "full")),
            static=True,
            effect="full also rewards the inner edge of a class, and with it structures of one or two pixels' width: "
            "their recall rises",
        ),
        "normalize": Hyperparameter(
            symbol="normalize",
            legal=Choice(("none", "diagonal", "max")),
            static=True,
            effect="diagonal: only the scale, which no longer depends on resolution; max reweights images and classes, "
            "those with short distances gaining precision and recall",
        ),
        "classes": CLASSES,
    },
    aliases=("boundary_loss", "surface_loss", "kervadec"),
    needs=("signed_distance",),
    exempt={
        "non-negative": "pixels inside their class weigh less than nothing",
        "padding": "distances are geometry: rows appended change the diagonal it may be divided by",
        "pixel order": "distances look at where pixels lie",
    },
    errata=(
        "Azad et al. 2023 call it the L2 distance of contours; it is the integral of the signed distance against the "
        "softmax that approximates it.",
        "Azad et al. 2023 limit it to binary tasks; it is applied per class, as the authors themselves do.",
        "The BoundaryLoss of mmsegmentation is another loss, a balanced cross-entropy on an edge head.",
        "MONAI counts the background class by default and keeps absent classes in the mean.",
    ),
    limits="Alone it settles on predicting nothing where objects are small: train it beside a region loss. With inner "
    "at author, objects one or two pixels wide are never rewarded, only far false alarms punished.",
)
