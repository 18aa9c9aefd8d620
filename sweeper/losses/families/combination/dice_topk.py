"""Dice + TopK: small classes by the one, the hardest pixels by the other."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.families.pixel.topk import topk_of
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SMOOTH
from sweeper.losses.primitives import IGNORE_INDEX, Absent, Classes, Dial, Scope, dial, prepare


def dice_topk(
    logits: Tensor,
    target: Tensor,
    *,
    lambda_dice: Dial = 1.0,
    lambda_topk: Dial = 1.0,
    k: Dial = 0.1,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the weighted sum of Dice loss and the cross-entropy of the hardest pixels: a scalar ≥ 0.

        L = λ_d Dice loss + λ_t TopK loss

    A study searches λ_d alone and holds λ_t at 1: under AdamW only their ratio is a dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lambda_dice: λ_d ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it makes small classes count as
            much as large ones: their recall rises and probabilities become less calibrated.
        lambda_topk: λ_t ≥ 0. Raising it does the reverse.
        k: k in (0, 1], the share of pixels that the TopK part takes, searched in [0.01, 1] on a logarithmic scale. 1 is
            Dice + cross-entropy. Raising it brings back easy, mostly background pixels: recall of the minority falls,
            precision rises.
        smooth: s ≥ 0 of the Dice part, pixels added above and below. Raising it damps classes of few pixels.
        scope: of both parts: `batch` pools the counts, and sorts the pixels, of all images; `image` takes each image's
            loss, then the mean.
        classes: of the Dice part: `all`, or `foreground` for all but class 0.
        absent: of the Dice part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Ma, Chen, Ng, Huang, Li, Li, Yang, Martel, "Loss odyssey in medical image segmentation", Medical Image
    Analysis 71, 2021, doi:10.1016/j.media.2021.102035.
    Fails: the hardest pixels include wrongly labelled ones, and the fewer are taken the more these weigh. k also
    changes the scale of the loss, so losses of different k must not be ranked by their value.
    """
    pixels = prepare(logits, target, ignore_index)
    region_part = dice_of(pixels, smooth=smooth, scope=scope, classes=classes, absent=absent)
    pixel_part = topk_of(pixels, k, scope)
    return dial(lambda_dice, region_part) * region_part + dial(lambda_topk, pixel_part) * pixel_part


DICE_TOPK = Family(
    function=dice_topk,
    title="Dice + TopK",
    level="combination",
    overlap="mixed",
    tradeoff="symmetric",
    formula="λ_d · Dice loss + λ_t · mean of −log p(true class) over the share k of pixels where it is largest",
    source="Ma et al. 2021, doi:10.1016/j.media.2021.102035",
    hyperparameters={
        "lambda_dice": Hyperparameter(
            symbol="λ_d",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="small classes count more: their recall rises, probabilities become less calibrated",
        ),
        "lambda_topk": Hyperparameter(
            symbol="λ_t",
            legal=NON_NEGATIVE,
            effect="the reverse of λ_d; held at 1, since under AdamW only their ratio matters",
        ),
        "k": Hyperparameter(
            symbol="k",
            legal=Uniform(1e-6, 1.0),
            search=LogUniform(0.01, 1.0),
            effect="easy, mostly background pixels count again: recall of the minority falls, precision rises; 1 is "
            "Dice + cross-entropy",
        ),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("dicetopk", "dice_topk_loss", "dice_ohem"),
    errata=("SegLossOdyssey's DC_and_topk_loss takes k in percent, minimizes −Dice and so goes down to −1.",),
    limits="Wrongly labelled pixels are among the hardest, and weigh more the fewer are taken; losses of different k "
    "must not be ranked by their value.",
)
