"""Blob loss: every connected object counts alike, however small it is."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, Int, LogUniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, check_static
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Counts,
    Dial,
    Pixels,
    check_option,
    class_mean,
    dial,
    kept_classes,
    masked_mean,
    prepare,
    soft_counts,
    tversky_index,
)
from sweeper.losses.target_maps import target_map

Base = Literal["dice", "iou", "tversky", "cross_entropy"]

PRICES = {"dice": (0.5, 0.5), "iou": (1.0, 1.0), "tversky": (0.3, 0.7)}
"""What a false alarm and a miss cost in each base that is a Tversky index."""


def blob(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Dial = 2.0,
    beta: Dial = 1.0,
    base: Base = "dice",
    max_blobs: int = 32,
    components: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a loss of the whole plus its mean over connected objects, each taken by itself: a scalar ≥ 0.

        L = α base(p, t) + β mean over images, classes and objects k of base(p on all but other objects, object k)

    Objects are the 8-connected parts of each foreground class. While one is judged, the pixels of the class's other
    objects are left out; what is predicted on the rest of the image is a false alarm for every object alike.
    A study searches β alone and holds α: AdamW divides each step by the gradient's own size, so that only their ratio
    is a dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha: α ≥ 0. Raising it makes pixels count alike: precision and recall of large objects rise.
        beta: β ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it makes objects count alike: recall of small
            ones rises against that of large ones. Precision does not fall, for each object is charged the whole image's
            false alarms again.
        base: `dice`, `iou` or `tversky` (0.3 on false alarms, 0.7 on misses) over the foreground classes, or
            `cross_entropy`, with which the background dominates each object's part as it does the whole. The whole is
            pooled over the batch, objects are scored one by one.
        max_blobs: From 1 to 64. Of each class in each image, the objects at least as large as the max_blobs-th largest
            are scored by themselves; the rest count in the whole alone. Raising it raises recall of specks.
        components: (B, C, H, W), the target map of that name, computed if not given.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Kofler, Shit, Ezhov et al., "blob loss: instance imbalance aware loss functions for semantic segmentation",
    IPMI 2023, arXiv:2205.08209.
    Fails: specks of label noise weigh as much as true objects; objects that touch are one; images without an object
    add nothing to the second part.
    """
    check_option("base", base, (*PRICES, "cross_entropy"))
    check_static(BLOB, max_blobs=max_blobs)
    pixels = prepare(logits, target, ignore_index)
    numbers = target_map("components", components, pixels)[:, 1:].flatten(2).long()
    whole = _whole(pixels, base)
    return dial(alpha, whole) * whole + dial(beta, whole) * _mean_of_blobs(pixels, numbers, base, max_blobs)


def _whole(pixels: Pixels, base: Base) -> Tensor:
    """Return the base loss of the batch: a scalar."""
    if base == "cross_entropy":
        return masked_mean(pixels.cross_entropy, pixels.valid)
    counts = soft_counts(pixels, "batch")
    return class_mean(1 - tversky_index(counts, *PRICES[base], 0.0), kept_classes(counts.target, "foreground", "skip"))


def _mean_of_blobs(pixels: Pixels, numbers: Tensor, base: Base, max_blobs: int) -> Tensor:
    """Return the mean base loss over objects, then over classes, then over images that have any: a scalar.

    `numbers` is (B, C − 1, H W) int64, the number of each pixel's object from 1, and 0 outside of the class.
    """
    own = pixels.onehot[:, 1:].flatten(2)
    # Objects do not touch even diagonally, so that four pixels in a square belong to one of a class at most.
    slots = ((pixels.log_prob.shape[2] + 1) // 2) * ((pixels.log_prob.shape[3] + 1) // 2)

    def per_blob(values: Tensor) -> Tensor:
        sums = torch.zeros_like(own[..., :1]).expand(*own.shape[:2], slots + 1)
        return sums.scatter_add(2, numbers, values)[..., 1:]

    size = per_blob(own)
    least = size.topk(min(max_blobs, slots)).values[..., -1:]
    scored = ((size > 0) & (size >= least)).to(size.dtype)
    outside = pixels.valid.flatten(2) - own
    if base == "cross_entropy":
        cost = pixels.cross_entropy.flatten(2)
        total = per_blob(own * cost) + (outside * cost).sum(-1, keepdim=True)
        values = total / (size + outside.sum(-1, keepdim=True)).clamp_min(1)
    else:
        prob = pixels.prob[:, 1:].flatten(2)
        alarms = (outside * prob).sum(-1, keepdim=True)
        counts = Counts(tp=per_blob(own * prob), fp=alarms, fn=per_blob(own * (1 - prob)), target=size)
        values = 1 - tversky_index(counts, *PRICES[base], 0.0)
    blobs = scored.sum(-1)
    return class_mean((scored * values).sum(-1) / blobs.clamp_min(1), (blobs > 0).to(size.dtype))


BLOB = Family(
    function=blob,
    title="Blob loss",
    level="structural",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="α base(p, t) + β · mean over connected objects of base(p without the other objects, the object)",
    source="Kofler et al. 2023, arXiv:2205.08209",
    hyperparameters={
        "alpha": Hyperparameter(
            symbol="α",
            legal=NON_NEGATIVE,
            effect="pixels count alike: precision, and recall of large objects, rise",
        ),
        "beta": Hyperparameter(
            symbol="β",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="objects count alike: recall of small objects rises against that of large ones; precision does not "
            "fall, and with cross_entropy the background dominates",
        ),
        "base": Hyperparameter(
            symbol="base",
            legal=Choice(("dice", "iou", "tversky", "cross_entropy")),
            static=True,
            effect="what the whole and each object are judged by: dice and iou weigh precision and recall alike, "
            "tversky favours recall, cross_entropy every pixel alike",
        ),
        "max_blobs": Hyperparameter(
            symbol="k",
            legal=Int(1, 64),
            static=True,
            effect="how many of the largest objects per class and image count by themselves: recall of specks rises",
        ),
    },
    aliases=("blob_loss", "instance_balanced", "instance_balanced_loss"),
    needs=("components",),
    exempt={"pixel order": "objects are connected parts of the target: it looks at neighbouring pixels"},
    limits="Specks of label noise weigh as much as true objects; objects that touch are one. Images without an object "
    "add nothing to the second part.",
)
