"""Dice + cross-entropy, the default of nnU-Net."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SMOOTH
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Pixels,
    Scope,
    dial,
    masked_mean,
    prepare,
)


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
    return dice_ce_of(
        prepare(logits, target, ignore_index),
        lambda_dice=lambda_dice,
        lambda_ce=lambda_ce,
        smooth=smooth,
        scope=scope,
        classes=classes,
        absent=absent,
    )


def dice_ce_of(
    pixels: Pixels,
    *,
    lambda_dice: Dial = 1.0,
    lambda_ce: Dial = 1.0,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
) -> Tensor:
    """Return `dice_ce` of a prepared batch."""
    pixel_part = masked_mean(pixels.cross_entropy, pixels.valid)
    region_part = dice_of(pixels, smooth=smooth, scope=scope, classes=classes, absent=absent)
    return dial(lambda_dice, region_part) * region_part + dial(lambda_ce, pixel_part) * pixel_part


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
    aliases=("dicece", "dice_cross_entropy", "nnunet", "nnunet_loss"),
    errata=(
        "nnU-Net minimizes minus the Dice coefficient in place of the Dice loss: lower by the constant λ_d, with the "
        "same gradient.",
        "Class weights given to MONAI's DiceCELoss weigh its Dice part too.",
    ),
    limits="Losses of different weights must not be ranked by their value.",
)
