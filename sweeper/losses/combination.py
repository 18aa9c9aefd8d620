"""Losses that add a pixel term to a region term, both from one softmax."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SHARE, SMOOTH
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Pixels,
    Scope,
    check_smooth,
    class_mean,
    dial,
    foreground_weights,
    kept_classes,
    masked_mean,
    prepare,
    soft_counts,
    tversky_index,
)


def combo(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Dial = 0.5,
    beta: Dial = 0.5,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a blend of foreground-weighted cross-entropy and Dice loss: a scalar ≥ 0.

        L = α ⟨a(yₙ) (−log pₙ)⟩ + (1 − α) Dice loss,    a = 1 − β on class 0 and β on all others

    The paper subtracts the Dice coefficient; adding the Dice loss differs by the constant 1 − α, has the same gradient
    and stays ≥ 0.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha: α in [0, 1], the share of cross-entropy. 0 is Dice; 1 with β = ½ is half of cross-entropy.
        beta: β in [0, 1], searched in [0.1, 0.9]. Raising it makes misses dearer: recall rises, precision falls.
        smooth: s ≥ 0 of the Dice part, pixels added above and below.
        scope: of the Dice part: `batch` pools the counts of all images; `image` takes each image's loss, then the mean.
        classes: of the Dice part: `all`, or `foreground` for all but class 0.
        absent: of the Dice part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Taghanaki, Zheng, Zhou, Georgescu, Sharma, Xu, Comaniciu, Hamarneh, "Combo loss: handling input and output
    imbalance in multi-organ segmentation", Computerized Medical Imaging and Graphics 75, 2019, arXiv:1805.02798.
    Fails: α also changes the scale of the loss, so losses of different α must not be ranked by their value.
    """
    pixels = prepare(logits, target, ignore_index)
    share = dial(alpha, pixels.log_prob)
    weights = foreground_weights(pixels, dial(beta, pixels.log_prob))
    pixel_part = masked_mean(weights * pixels.cross_entropy, pixels.valid)
    return share * pixel_part + (1 - share) * _dice_part(pixels, smooth, scope, classes, absent)


def dice_ce(
    logits: Tensor,
    target: Tensor,
    *,
    lambda_dice: Dial = 1.0,
    lambda_ce: Dial = 1.0,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the weighted sum of Dice loss and cross-entropy: a scalar ≥ 0.

        L = λ_d Dice loss + λ_c cross-entropy

    A study searches λ_d alone and holds λ_c at 1: AdamW divides each step by the gradient's own size, so that scaling
    both weights alike trains the same model, and only their ratio is a dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lambda_dice: λ_d ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it makes small classes count as
            much as large ones: their recall rises and probabilities become less calibrated.
        lambda_ce: λ_c ≥ 0. Raising it does the reverse.
        smooth: s ≥ 0 of the Dice part, pixels added above and below.
        scope: of the Dice part: `batch` pools the counts of all images; `image` takes each image's loss, then the mean.
        classes: of the Dice part: `all`, or `foreground` for all but class 0.
        absent: of the Dice part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Isensee, Jaeger, Kohl, Petersen, Maier-Hein, "nnU-Net", Nature Methods 18, 2021,
    doi:10.1038/s41592-020-01008-z.
    Fails: the weights also change the scale of the loss, so losses of different weights must not be ranked by their
    value.
    """
    pixels = prepare(logits, target, ignore_index)
    pixel_part = masked_mean(pixels.cross_entropy, pixels.valid)
    region_part = _dice_part(pixels, smooth, scope, classes, absent)
    return dial(lambda_dice, region_part) * region_part + dial(lambda_ce, pixel_part) * pixel_part


def _dice_part(pixels: Pixels, smooth: Dial, scope: Scope, classes: Classes, absent: Absent) -> Tensor:
    check_smooth(absent, smooth)
    counts = soft_counts(pixels, scope)
    index = tversky_index(counts, 0.5, 0.5, dial(smooth, counts.tp))
    return class_mean(1 - index, kept_classes(counts.target, classes, absent))


COMBO = Family(
    function=combo,
    title="Combo loss",
    level="combination",
    overlap="mixed",
    tradeoff="tunable",
    formula="α · mean of −a(true class) log p + (1 − α) · Dice loss, a = β on foreground and 1 − β on background",
    source="Taghanaki et al. 2019, arXiv:1805.02798",
    hyperparameters={
        "alpha": Hyperparameter(
            symbol="α",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="more cross-entropy and less Dice: calibration improves, recall of small classes falls",
        ),
        "beta": Hyperparameter(
            symbol="β",
            legal=SHARE,
            search=Uniform(0.1, 0.9),
            effect="price of a miss: recall rises, precision falls",
        ),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("combo_loss", "taghanaki"),
    limits="β acts through the cross-entropy part alone and fades with α; losses of different α must not be ranked by "
    "their value.",
)

DICE_CE = Family(
    function=dice_ce,
    title="Dice + cross-entropy",
    level="combination",
    overlap="mixed",
    tradeoff="symmetric",
    formula="λ_d · Dice loss + λ_c · cross-entropy",
    source="Isensee et al. 2021, doi:10.1038/s41592-020-01008-z",
    hyperparameters={
        "lambda_dice": Hyperparameter(
            symbol="λ_d",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="small classes count more: their recall rises, probabilities become less calibrated",
        ),
        "lambda_ce": Hyperparameter(
            symbol="λ_c",
            legal=NON_NEGATIVE,
            effect="the reverse of λ_d; held at 1, since under AdamW only their ratio matters",
        ),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("nnunet", "dice_cross_entropy"),
    limits="Losses of different weights must not be ranked by their value.",
)
