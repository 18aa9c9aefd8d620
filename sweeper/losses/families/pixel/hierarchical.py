"""Cross-entropy on two levels: which group a pixel is of, and which class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SHARE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, dial, masked_mean, prepare

Groups = Sequence[Sequence[int]]


def hierarchical_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Dial = 0.5,
    groups: Groups | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy over classes and over groups of classes, mixed, meaned over valid pixels: a scalar ≥ 0.

        L = ⟨(1 − w) (−log pₙ) + w (−log Σ over the group of yₙ of p(c))⟩

    On two classes, a group each, it is cross-entropy for every w.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        weight: w in [0, 1]. 0 is cross-entropy. Raising it asks for foreground before it asks which: recall of the
            foreground as a whole rises, precision of its single classes falls.
        groups: class indices of each group, every class in one of them; without it class 0 and all others.

    Raises: LossError on shapes or dtypes other than these, and on groups that leave a class out or have it twice.
    Source: the smallest two-level loss; the nearest published one is Li, Zhou, Wang, Li, Yang, "Deep hierarchical
    semantic segmentation", CVPR 2022, arXiv:2203.14335.
    Fails: at w = 1 nothing tells the classes of a group apart.
    """
    pixels = prepare(logits, target, ignore_index)
    strength = dial(weight, pixels.log_prob)
    same_group = _same_group(groups, pixels.log_prob)[pixels.labels.squeeze(1)].movedim(-1, 1)
    coarse = -pixels.log_prob.masked_fill(~same_group, -torch.inf).logsumexp(dim=1, keepdim=True)
    return masked_mean((1 - strength) * pixels.cross_entropy + strength * coarse, pixels.valid)


def _same_group(groups: Groups | None, like: Tensor) -> Tensor:
    """Return which classes share a group, (C, C) bool."""
    classes = like.shape[1]
    if groups is None:
        groups = [[0], range(1, classes)]
    if sorted(label for group in groups for label in group) != list(range(classes)):
        raise LossError(f"groups are {groups!r}; with {classes} classes they must hold each of 0 to {classes - 1} once")
    group_of = {label: index for index, group in enumerate(groups) for label in group}
    index = torch.tensor([group_of[label] for label in range(classes)], device=like.device)
    return index.unsqueeze(0) == index.unsqueeze(1)


HIERARCHICAL_CROSS_ENTROPY = Family(
    function=hierarchical_cross_entropy,
    title="Two-level cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="class-weighted",
    formula="mean over pixels of −(1 − w) log p(true class) − w log p(group of the true class)",
    source="after Li et al. 2022, arXiv:2203.14335",
    hyperparameters={
        "weight": Hyperparameter(
            symbol="w",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="foreground or not comes before which: recall of the foreground rises, precision of its single "
            "classes falls; 0 is cross-entropy",
        ),
    },
    aliases=("tree_ce", "coarse_fine_ce"),
    errata=("Azad et al. 2023 name a hierarchical loss without its formula; this is the smallest that fits the name.",),
    limits="At w = 1 nothing tells the classes of a group apart.",
)
