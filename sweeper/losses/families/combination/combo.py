"""Combo loss: foreground-weighted cross-entropy and Dice."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, SCOPE, SHARE, SMOOTH
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Scope,
    dial,
    foreground_weights,
    masked_mean,
    prepare,
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
    return share * pixel_part + (1 - share) * dice_of(
        pixels, smooth=smooth, scope=scope, classes=classes, absent=absent
    )


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
    errata=(
        "Jadon 2020 subtracts the Dice loss, which would raise it; it is the Dice coefficient that is subtracted.",
        "Jadon 2020 prints β (y − log p) for β y log p.",
        "Azad et al. 2023 say that α is the weight of the Dice loss; in their own equation, as here, it is that of "
        "cross-entropy.",
        "The combo loss of Yeung's published code puts β on the background, against its own documentation.",
        "The code published beside Azad et al. 2023 has no cross-entropy in its combo loss.",
    ),
    limits="β acts through the cross-entropy part alone and fades with α; losses of different α must not be ranked by "
    "their value.",
)
