"""Dice + focal: small classes by the one, hard pixels by the other."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.families.pixel.focal import focal_of
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SHARE, SMOOTH
from sweeper.losses.primitives import IGNORE_INDEX, Absent, Classes, Dial, Scope, dial, prepare


def dice_focal(
    logits: Tensor,
    target: Tensor,
    *,
    lambda_dice: Dial = 1.0,
    lambda_focal: Dial = 1.0,
    gamma: Dial = 2.0,
    alpha: Dial | None = None,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the weighted sum of Dice and focal loss: a scalar ≥ 0.

        L = λ_d Dice loss + λ_f focal loss

    A study searches λ_d alone and holds λ_f at 1: under AdamW only their ratio is a dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lambda_dice: λ_d ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it makes small classes count as
            much as large ones: their recall rises and probabilities become less calibrated.
        lambda_focal: λ_f ≥ 0. Raising it does the reverse. At γ = 2 the focal part is about a quarter of cross-entropy.
        gamma: γ ≥ 0 of the focal part, searched in [0, 5]. 0 is Dice + cross-entropy. Raising it moves the gradient to
            hard pixels: recall of the minority rises, confidence falls.
        alpha: α in [0, 1] of the focal part, or None for no class weights. Raising it raises foreground recall and
            lowers precision.
        smooth: s ≥ 0 of the Dice part, pixels added above and below. Raising it damps classes of few pixels.
        scope: of the Dice part: `batch` pools the counts of all images; `image` takes each image's loss, then the mean.
        classes: of the Dice part: `all`, or `foreground` for all but class 0.
        absent: of the Dice part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Zhu, Huang, Zeng, Chen, Liu, Qian, Du, Fan, Xie, "AnatomyNet", Medical Physics 46(2), 2019,
    arXiv:1808.05238.
    Fails: γ also shrinks the focal part against Dice, so that γ and λ_d are partly one dial. Losses of different
    settings must not be ranked by their value.
    """
    pixels = prepare(logits, target, ignore_index)
    region_part = dice_of(pixels, smooth=smooth, scope=scope, classes=classes, absent=absent)
    pixel_part = focal_of(pixels, gamma, alpha)
    return dial(lambda_dice, region_part) * region_part + dial(lambda_focal, pixel_part) * pixel_part


DICE_FOCAL = Family(
    function=dice_focal,
    title="Dice + focal",
    level="combination",
    overlap="mixed",
    tradeoff="symmetric",
    formula="λ_d · Dice loss + λ_f · focal loss",
    source="Zhu et al. 2019, arXiv:1808.05238",
    hyperparameters={
        "lambda_dice": Hyperparameter(
            symbol="λ_d",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="small classes count more: their recall rises, probabilities become less calibrated",
        ),
        "lambda_focal": Hyperparameter(
            symbol="λ_f",
            legal=NON_NEGATIVE,
            effect="the reverse of λ_d; held at 1, since under AdamW only their ratio matters",
        ),
        "gamma": Hyperparameter(
            symbol="γ",
            legal=NON_NEGATIVE,
            search=Uniform(0.0, 5.0),
            effect="the gradient moves to hard, mostly minority pixels: recall rises, confidence falls; 0 is Dice + "
            "cross-entropy",
        ),
        "alpha": Hyperparameter(
            symbol="α",
            legal=SHARE,
            effect="foreground recall rises, precision falls; unset, classes weigh alike",
        ),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("dicefocal", "dice_focal_loss", "anatomynet"),
    errata=("MONAI's DiceFocalLoss takes the focal part of a sigmoid per class, not of the softmax.",),
    limits="γ shrinks the focal part against Dice, so that γ and λ_d are partly one dial; losses of different settings "
    "must not be ranked by their value.",
)
