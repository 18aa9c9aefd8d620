"""clDice: overlap of each mask's centreline with the other mask, for thin connected structures."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Int, Uniform
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.morphology import soft_skeleton
from sweeper.losses.options import CLASSES, NON_NEGATIVE, SCOPE, SHARE, check_static
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    Scope,
    class_mean,
    dial,
    kept_classes,
    pooled_dims,
    prepare,
)
from sweeper.losses.target_maps import target_map


def cldice(
    logits: Tensor,
    target: Tensor,
    *,
    a: Dial = 0.5,
    iterations: int = 3,
    smooth: Dial = 1.0,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    skeleton_level: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a mix of Dice and centreline Dice, both of the foreground: a scalar in [0, 1], 0 for a perfect mask.

        L = (1 − a) Dice loss + a (1 − mean over classes of 2 P S / (P + S))

    P is the share of the predicted centreline, a soft skeleton, that lies in the target: its precision. S is the share
    of the target's centreline that is predicted: its sensitivity. Both are (Σ … + s) / (Σ … + s).

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        a: From 0 to 1. 0 is Dice over the same classes. Raising it makes breaks and spurs of a curve cost more than
            its width: precision and recall of the centreline rise, those of the outline fall.
        iterations: From 1 to 20, erosions of the skeleton: at least half the widest structure in pixels. Raising it
            gives thick structures a centreline too, and thereby recall; time and memory grow with it.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few centreline pixels. At 0 a class too
            thick to have a centreline costs 1 whatever is predicted.
        scope: `batch` pools the sums of all images; `image` takes the loss of each, then the mean.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel in the scope are skipped.
        skeleton_level: (B, C, H, W), the target map of that name, computed if not given.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Shit, Paetzold, Sekuboyina, Ezhov, Unger, Zhylka, Pluim, Bauer, Menze, "clDice: a novel topology-preserving
    loss function for tubular structure segmentation", CVPR 2021, arXiv:2003.07311.
    Fails: a skeleton of soft probabilities is ragged, and all but empty where they are flat, so that it teaches little
    before Dice has formed the curves; structures wider than 2 iterations + 1 pixels lose their middle.
    """
    return cldice_of(
        prepare(logits, target, ignore_index),
        a=a,
        iterations=iterations,
        smooth=smooth,
        scope=scope,
        classes=classes,
        skeleton_level=skeleton_level,
    )


def cldice_of(
    pixels: Pixels,
    *,
    a: Dial = 0.5,
    iterations: int = 3,
    smooth: Dial = 1.0,
    scope: Scope = "batch",
    classes: Classes = "foreground",
    skeleton_level: Tensor | None = None,
) -> Tensor:
    """Return `cldice` of a prepared batch; with `a` = 1 the centreline part alone."""
    check_static(CLDICE, iterations=iterations)
    dims = pooled_dims(scope)
    s, share = dial(smooth, pixels.log_prob), dial(a, pixels.log_prob)
    prob = pixels.valid * pixels.prob
    predicted = soft_skeleton(prob, iterations)
    level = target_map("skeleton_level", skeleton_level, pixels)
    wanted = (level <= iterations).to(prob.dtype)
    precision = ((predicted * pixels.onehot).sum(dims) + s) / (predicted.sum(dims) + s).clamp_min(FLOOR)
    sensitivity = ((wanted * prob).sum(dims) + s) / (wanted.sum(dims) + s).clamp_min(FLOOR)
    index = 2 * precision * sensitivity / (precision + sensitivity).clamp_min(FLOOR)
    centreline = class_mean(1 - index, kept_classes(pixels.onehot.sum(dims), classes, "skip"))
    return (1 - share) * dice_of(pixels, scope=scope, classes=classes) + share * centreline


CLDICE = Family(
    function=cldice,
    title="clDice (centreline Dice) loss",
    level="structural",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="(1 − a) Dice loss + a (1 − 2 P S / (P + S)), P, S = precision and sensitivity of the centrelines",
    source="Shit et al. 2021, arXiv:2003.07311",
    hyperparameters={
        "a": Hyperparameter(
            symbol="a",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="breaks and spurs cost more than width: precision and recall of the centreline rise, those of the "
            "outline fall",
        ),
        "iterations": Hyperparameter(
            symbol="k",
            legal=Int(1, 20),
            static=True,
            effect="thicker structures have a centreline too: their recall rises; at least half the widest structure",
        ),
        "smooth": Hyperparameter(
            symbol="s",
            legal=NON_NEGATIVE,
            effect="pixels added above and below: damps classes of few centreline pixels, whose recall drops",
        ),
        "scope": SCOPE,
        "classes": CLASSES,
    },
    aliases=("cl_dice", "soft_cldice", "soft_dice_cldice", "centreline_dice", "centerline_dice"),
    needs=("skeleton_level",),
    exempt={
        "pixel order": "a skeleton looks at neighbouring pixels",
        "padding": "ignored pixels erode what they touch, the image's border does not",
    },
    errata=(
        "The authors' published code never uses its number of iterations and always takes 10.",
        "MONAI's SoftclDiceLoss pools all classes of an image into one ratio; it is this loss for one class only.",
    ),
    limits="The skeleton of soft probabilities is ragged, so it teaches little before Dice has formed the curves; "
    "structures wider than 2 k + 1 pixels lose their middle. At many classes it takes memory: 1.8 GB per image at 21 "
    "classes of 512 × 512 pixels.",
)
