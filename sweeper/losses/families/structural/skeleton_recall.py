"""Skeleton recall: Dice, cross-entropy and the recall of a tube around each class's skeleton."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Int, LogUniform
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, SCOPE, check_static
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Scope,
    class_mean,
    dial,
    kept_classes,
    masked_mean,
    pooled_dims,
    prepare,
)
from sweeper.losses.target_maps import target_map


def skeleton_recall(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 1.0,
    tube: int = 2,
    scope: Scope = "batch",
    skeleton_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return Dice loss, cross-entropy and the missed share of the foreground's tubed skeleton, summed: a scalar ≥ 0.

        L = Dice loss + cross-entropy + λ (1 − mean over foreground classes of Σ T p / Σ T)

    The tube T is what of a class lies within `tube` steps of its one-pixel-wide skeleton. Misses cost there, false
    alarms do not: λ is a dial to recall. It costs a tenth of clDice, for no prediction is thinned.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [0.1, 10] on a logarithmic scale. 0 is Dice + cross-entropy. Raising it raises recall of
            thin structures and lowers precision.
        tube: From 0 to 4, city-block steps; 0 is the bare skeleton. Raising it counts more of thick structures: their
            recall rises.
        scope: `batch` pools the sums of all images; `image` takes the loss of each, then the mean. Of Dice and skeleton
            alike.
        skeleton_distance: (B, C, H, W), the target map of that name, computed if not given.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Kirchhoff, Rokuss, Roy, Kovacs, Ulrich, Wald, Zenk, Vollmuth, Kleesiek, Isensee, Maier-Hein, "Skeleton
    recall loss for connectivity conserving and resource efficient segmentation of thin tubular structures", ECCV 2024,
    arXiv:2404.03010.
    Fails: with a large λ curves grow thick and bridges appear, for the added term forgives false alarms.
    """
    check_static(SKELETON_RECALL, tube=tube)
    pixels = prepare(logits, target, ignore_index)
    distance = target_map("skeleton_distance", skeleton_distance, pixels)
    dims = pooled_dims(scope)
    near = pixels.onehot * (distance <= tube).to(pixels.onehot.dtype)
    size = near.sum(dims)
    # From the missed share itself: one minus a recall near 1 would drown in rounding.
    missed = (near * (1 - pixels.prob)).sum(dims) / size.clamp_min(FLOOR)
    term = class_mean(missed, kept_classes(size, "foreground", "skip"))
    pixel_part = masked_mean(pixels.cross_entropy, pixels.valid)
    return dice_of(pixels, scope=scope) + pixel_part + dial(lam, term) * term


SKELETON_RECALL = Family(
    function=skeleton_recall,
    title="Skeleton recall loss",
    level="structural",
    overlap="overlap-aware",
    tradeoff="tunable",
    formula="Dice loss + cross-entropy + λ (1 − mean over foreground classes of Σ T p / Σ T), T = tubed skeleton",
    source="Kirchhoff et al. 2024, arXiv:2404.03010",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="misses along the skeleton cost more, false alarms the same: recall of thin structures rises, "
            "precision falls; 0 is Dice + cross-entropy",
        ),
        "tube": Hyperparameter(
            symbol="r",
            legal=Int(0, 4),
            static=True,
            effect="more of thick structures counts: their recall rises; 0 is the bare skeleton",
        ),
        "scope": SCOPE,
    },
    aliases=("srec", "skeleton_recall_loss"),
    needs=("skeleton_distance",),
    exempt={
        "pixel order": "a skeleton looks at neighbouring pixels",
        "mirror": "thinning takes pixels off in a fixed order of directions, so that the skeleton of a mirrored region "
        "may lie a pixel aside",
    },
    errata=(
        "The authors' code thins the union of all classes and returns minus the recall; here each class has a skeleton "
        "of its own, so that a class is not cut where another crosses it, and the term is at least 0.",
    ),
    limits="With a large λ curves grow thick and bridges appear, for the added term forgives false alarms.",
)
