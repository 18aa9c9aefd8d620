"""Exponential logarithmic loss: −log of Dice and of probability, each to a power."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.families.region.dice import loss_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, SCOPE, SHARE, SMOOTH
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Scope,
    Vector,
    batch_frequencies,
    check_smooth,
    class_mean,
    dial,
    kept_classes,
    masked_mean,
    prepare,
    safe_power,
    soft_counts,
    tversky_index,
    vector,
)

_GAMMA = Uniform(0.05, 5.0)
"""The fifth power of a −log p of 1e4 is still far from what float32 holds."""


def exp_log(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: Dial = 0.3,
    gamma_ce: Dial | None = None,
    w_dice: Dial = 0.8,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    class_frequencies: Vector | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a blend of −log Dice and class-weighted cross-entropy, each term to the power γ: a scalar ≥ 0.

        L = w mean over classes of (−ln D(c))^γ + (1 − w) ⟨f(yₙ)^−½ (−ln pₙ)^γ⟩

    with the Dice coefficients D and the class frequencies f. Every γ gives the same at D = p = 1/e: above 1 it raises
    what lies below that and lowers the rest; below 1 nearly solved classes and pixels keep pulling.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        gamma: γ > 0, searched in [0.1, 2]. Raising it turns from easy to hard classes and pixels: recall of rare
            classes rises, precision falls. 1 is −log Dice and plain-mean weighted cross-entropy.
        gamma_ce: γ > 0 of the cross-entropy part, with the same effect there; None takes `gamma`.
        w_dice: w in [0, 1], the share of the Dice part. Raising it raises recall of small classes and makes
            probabilities less calibrated.
        smooth: s ≥ 0 of the Dice part, pixels added above and below. Raising it damps classes of few pixels.
        scope: of the Dice part: `batch` pools the counts of all images; `image` takes each image's loss, then the mean.
        classes: of the Dice part: `all`, or `foreground` for all but class 0.
        absent: of the Dice part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.
        class_frequencies: (C,) share of each class among the training pixels, clamped to 1e-7; without it the shares of
            this batch, clamped to one pixel.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Wong, Moradi, Tang, Syeda-Mahmood, "3D segmentation with exponential logarithmic loss for highly unbalanced
    object sizes", MICCAI 2018, arXiv:1809.00076.
    Fails: below γ = 1 gradients grow without bound as a class or pixel is solved; under a base of 1e-7 the power goes
    to 0 in a straight line. With batch frequencies the weights jump from batch to batch.
    """
    check_smooth(absent, smooth)
    pixels = prepare(logits, target, ignore_index)
    like = pixels.log_prob
    power, share = dial(gamma, like), dial(w_dice, like)
    power_ce = power if gamma_ce is None else dial(gamma_ce, like)
    counts = soft_counts(pixels, scope)
    dice_loss = loss_of(tversky_index(counts, 0.5, 0.5, dial(smooth, like)), log_loss=True)
    region_part = class_mean(safe_power(dice_loss, power), kept_classes(counts.target, classes, absent))
    if class_frequencies is not None:
        frequencies = vector(class_frequencies, pixels, "class_frequencies").clamp_min(FLOOR)
    else:
        frequencies = batch_frequencies(pixels)
    weights = frequencies**-0.5
    pixel_part = masked_mean(weights[pixels.labels] * safe_power(pixels.cross_entropy, power_ce), pixels.valid)
    return share * region_part + (1 - share) * pixel_part


EXP_LOG = Family(
    function=exp_log,
    title="Exponential logarithmic loss",
    level="combination",
    overlap="mixed",
    tradeoff="class-weighted",
    formula="w · mean over classes of (−ln Dice)^γ + (1 − w) · mean over pixels of f^−½ (−ln p)^γ, f = class frequency",
    source="Wong et al. 2018, arXiv:1809.00076",
    hyperparameters={
        "gamma": Hyperparameter(
            symbol="γ",
            legal=_GAMMA,
            search=Uniform(0.1, 2.0),
            effect="hard classes and pixels pull more against easy ones: recall of rare classes rises, precision falls",
        ),
        "gamma_ce": Hyperparameter(
            symbol="γₓ",
            legal=_GAMMA,
            effect="γ of the cross-entropy part alone: recall of rare classes rises; unset, it is γ",
        ),
        "w_dice": Hyperparameter(
            symbol="w",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="more Dice: recall of small classes rises, probabilities become less calibrated",
        ),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("explog", "ell", "exp_log_loss", "exponential_logarithmic"),
    needs=("class_frequencies",),
    errata=(
        "Azad et al. 2023 print the logarithm of the Dice loss and of the cross-entropy, so that a perfect model would "
        "cost infinitely much; it is that of the Dice coefficient and of the probability.",
        "Jadon 2020 prints the power inside the logarithm with unbalanced brackets; it is (−ln D)^γ, then the mean.",
        "SegLossOdyssey's ExpLog_loss transforms the Dice part alone, and takes the logarithm of the mean Dice.",
    ),
    limits="Below γ = 1 gradients grow without bound as a class or pixel is solved; γ and w change the scale of the "
    "loss, so that different settings must not be ranked by their value.",
)
