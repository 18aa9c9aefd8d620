"""Focal loss: cross-entropy with easy pixels faded out."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, SHARE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Dial,
    Pixels,
    dial,
    foreground_weights,
    masked_mean,
    prepare,
)


def focal(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: Dial = 2.0,
    alpha: Dial | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy with easy pixels faded out, the softmax form, meaned over valid pixels: a scalar ≥ 0.

        L = ⟨a(yₙ) (1 − pₙ)^γ (−log pₙ)⟩,    a = 1 − α on class 0 and α on all others, or 1 everywhere

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        gamma: γ ≥ 0, searched in [0, 5]. 0 is cross-entropy. Raising it fades pixels that are nearly right, most of
            them background, and so moves the gradient to hard pixels: recall of the minority rises, confidence falls.
        alpha: α in [0, 1], or None for no class weights. Raising it raises foreground recall and lowers precision.
            None and ½ differ only in scale, by a factor of 2.

    Raises: LossError on shapes or dtypes other than these.
    Source: Lin, Goyal, Girshick, He, Dollár, "Focal loss for dense object detection", ICCV 2017, arXiv:1708.02002
    (there a sigmoid, divided by the number of positive anchors).
    Fails: the loss and its gradient shrink as γ grows; with an optimizer that is not scale-free that is a smaller
    learning rate in disguise. Hard pixels include wrongly labelled ones.
    """
    pixels = prepare(logits, target, ignore_index)
    return focal_of(pixels, gamma, alpha)


def focal_of(pixels: Pixels, gamma: Dial, alpha: Dial | None = None) -> Tensor:
    """Return `focal` of a prepared batch."""
    fade = torch.exp(dial(gamma, pixels.log_prob) * pixels.log_one_minus_true)
    terms = fade * pixels.cross_entropy
    if alpha is not None:
        terms = foreground_weights(pixels, dial(alpha, pixels.log_prob)) * terms
    return masked_mean(terms, pixels.valid)


FOCAL = Family(
    function=focal,
    title="Focal loss",
    level="pixel",
    overlap="per-pixel",
    tradeoff="class-weighted",
    formula="mean over pixels of −a(true class) (1 − p)^γ log p, p = p(true class)",
    source="Lin et al. 2017, arXiv:1708.02002",
    hyperparameters={
        "gamma": Hyperparameter(
            symbol="γ",
            legal=NON_NEGATIVE,
            search=Uniform(0.0, 5.0),
            effect="easy pixels fade and the gradient moves to hard, mostly minority ones: recall rises, confidence "
            "falls; 0 is cross-entropy",
        ),
        "alpha": Hyperparameter(
            symbol="α",
            legal=SHARE,
            effect="foreground recall rises, precision falls; unset, classes weigh alike",
        ),
    },
    aliases=("fl", "focal_loss", "alpha_balanced_focal"),
    errata=(
        "Jadon 2020 says that γ = 1 is cross-entropy, and prints the factor as ((1 − p)t)^γ: it is γ = 0, and "
        "(1 − p)^γ of the true class.",
        "kornia's focal loss, and MONAI's of a softmax without ignore_index, divide by pixels times classes: ours is "
        "theirs times C.",
        "segmentation_models_pytorch's multiclass FocalLoss is a sigmoid for each class, no softmax.",
        "The code published beside Azad et al. 2023 multiplies a column by a row: every pixel's factor with every "
        "other pixel's logarithm.",
    ),
    limits="Loss and gradient shrink as γ grows, so that γ and the learning rate are confounded unless both are tuned "
    "or the optimizer is scale-free. Wrongly labelled pixels are hard pixels.",
)
