"""Recall loss: cross-entropy in which each class weighs by how much of it is missed at present."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SHARE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, dial, masked_mean, prepare


def recall_cross_entropy(
    logits: Tensor, target: Tensor, *, mix: Dial = 1.0, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Return cross-entropy weighted by the share of each class that the batch misses, meaned over pixels: a scalar ≥ 0.

        L = ⟨w(yₙ) (−log pₙ)⟩,    w(c) = (1 − m) + m (1 − R(c)),    R(c) = recall of c by the most likely class

    The weights carry no gradient. They are at most 1, and so the loss is at most cross-entropy.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        mix: m in [0, 1]. 0 is cross-entropy. Raising it turns to the classes missed at present: their recall rises, at
            less cost in precision than by fixed weights, because the weight goes as the class is found.

    Raises: LossError on shapes or dtypes other than these.
    Source: Tian, Mithun, Seymour, Chiu, Kira, "Striking the right balance: recall loss for semantic segmentation", ICRA
    2022, arXiv:2106.14917.
    Fails: at m = 1 a class whose every pixel is right, however barely, has no gradient, and a batch all right costs
    nothing; keep m at 0.9 or less. The weights jump from batch to batch.
    """
    pixels = prepare(logits, target, ignore_index)
    weights = 1 - dial(mix, pixels.log_prob) * _recall(pixels)
    return masked_mean(weights[pixels.labels] * pixels.cross_entropy, pixels.valid)


def _recall(pixels: Pixels) -> Tensor:
    """Return the share of each class's pixels where it is the most likely one, (C,), 0 for an absent class."""
    onehot = pixels.onehot
    found = pixels.log_prob.argmax(dim=1, keepdim=True) == pixels.labels
    return torch.where(found, onehot, 0.0).sum((0, 2, 3)) / onehot.sum((0, 2, 3)).clamp_min(1)


RECALL_CROSS_ENTROPY = Family(
    function=recall_cross_entropy,
    title="Recall loss",
    level="pixel",
    overlap="per-pixel",
    tradeoff="class-weighted",
    formula="mean over pixels of −w log p(true class), w = 1 − m · recall of the class in the batch",
    source="Tian et al. 2022, arXiv:2106.14917",
    hyperparameters={
        "mix": Hyperparameter(
            symbol="m",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="classes missed at present count more: their recall rises, precision falls less than by fixed "
            "weights; 0 is cross-entropy",
        ),
    },
    aliases=("recall_ce", "recall_loss"),
    limits="At m = 1 a class whose every pixel is right, however barely, has no gradient. Weights jump from batch to "
    "batch.",
)
