"""Cross-entropy in which each class weighs by the share of pixels that are not its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from sweeper.domains import Choice, Uniform, Value
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SHARE
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Pixels,
    Vector,
    check_option,
    dial,
    image_mean,
    prepare,
    vector,
)

_SCOPES = ("batch", "image", "dataset")


def balanced_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    balance: Dial = 1.0,
    scope: Literal["batch", "image", "dataset"] = "batch",
    class_frequencies: Vector | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean of −log p(true class), each class weighted by the share of all others: a scalar ≥ 0.

        L = Σ vₙ w(yₙ) (−log pₙ) / Σ vₙ w(yₙ),    w(c) = (1 − b) + b C (1 − f(c)) / (C − 1)

    On two classes b = 1 gives foreground and background half of the loss each, whatever their sizes.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        balance: b in [0, 1]. 0 is cross-entropy. Raising it raises recall of rare classes and lowers their precision.
        scope: where f is counted: over the pixels of the `batch`, or of each `image`, whose losses are then meaned;
            `dataset` takes `class_frequencies`.
        class_frequencies: (C,) share of each class among the training pixels, for scope `dataset`; without it that
            counts the batch.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Xie, Tu, "Holistically-nested edge detection", ICCV 2015, arXiv:1504.06375 (there a sum per image, two
    classes).
    Fails: where all pixels are of one class its weight is 1 − b: at b = 1 such a batch, or image, teaches nothing.
    Keep b at 0.99 or less, or count the data set, where crops are that small.
    """
    check_option("scope", scope, _SCOPES)
    pixels = prepare(logits, target, ignore_index)
    classes = pixels.log_prob.shape[1]
    if scope == "dataset" and class_frequencies is not None:
        others = 1 - vector(class_frequencies, pixels, "class_frequencies").unsqueeze(0)
    else:
        others = _share_of_others(pixels, per_image=scope == "image")
    strength = dial(balance, others)
    weights = (1 - strength) + strength * classes / (classes - 1) * others
    pixel_weights = (weights[..., None, None] * pixels.onehot).sum(1)
    terms = pixel_weights * pixels.cross_entropy.squeeze(1)
    if scope != "image":
        return terms.sum() / pixel_weights.sum().clamp_min(FLOOR)
    return image_mean(terms.sum((1, 2)) / pixel_weights.sum((1, 2)).clamp_min(FLOOR), pixels.valid.flatten(1))


def _share_of_others(pixels: Pixels, per_image: bool) -> Tensor:
    """Return the share of valid pixels not of each class, (1, C) or (B, C).

    Counted, not taken from 1: beside a background of all but a few pixels that would leave their rounding errors.
    """
    counts = pixels.onehot.sum((2, 3)) if per_image else pixels.onehot.sum((0, 2, 3)).unsqueeze(0)
    total = counts.sum(-1, keepdim=True)
    return (total - counts) / total.clamp_min(1)


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return ("class_frequencies",) if settings["scope"] == "dataset" else ()


BALANCED_CROSS_ENTROPY = Family(
    function=balanced_cross_entropy,
    title="Balanced cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="class-weighted",
    formula="weighted mean over pixels of −log p(true class), weight = (1 − b) + b · C/(C − 1) · (1 − class frequency)",
    source="Xie and Tu 2015, arXiv:1504.06375",
    hyperparameters={
        "balance": Hyperparameter(
            symbol="b",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="recall of rare classes rises, their precision falls; 0 is cross-entropy, 1 gives two classes half "
            "of the loss each",
        ),
        "scope": Hyperparameter(
            symbol="scope",
            legal=Choice(_SCOPES),
            static=True,
            effect="where class frequencies are counted: per image, small objects weigh most and their recall rises; "
            "over the data set, least noise",
        ),
    },
    aliases=(
        "bbce",
        "balanced_ce",
        "balanced_bce",
        "class_balanced_ce",
        "class_balanced_cross_entropy",
        "hed_loss",
    ),
    needs=("class_frequencies",),
    narrow=_needs,
    errata=(
        "The code published beside Jadon 2020 weighs positives by β/(1 − β) with β = 0.25, a third of the background: "
        "the reverse of balancing.",
    ),
    limits="Where all pixels are of one class the loss is scaled by 1 − b before it is divided by its weights, so that "
    "at b = 1 such a batch or image teaches nothing.",
)
