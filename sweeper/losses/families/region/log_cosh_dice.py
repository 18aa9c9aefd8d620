"""Log-cosh Dice: the Dice loss, flattened towards its minimum."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from sweeper.domains import LogUniform
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, DENOMINATOR, LOG_LOSS, SCOPE, SMOOTH
from sweeper.losses.primitives import IGNORE_INDEX, Absent, Classes, Dial, Scope, check_option, dial, prepare


def log_cosh_dice(
    logits: Tensor,
    target: Tensor,
    *,
    scale: Dial = 1.0,
    smooth: Dial = 0.0,
    denominator: Literal["linear", "squared"] = "linear",
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    log_loss: bool = False,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the log-cosh of the Dice loss: a scalar in [0, 0.434] at the default scale, 0 for a perfect mask.

        L = log cosh(k D) / k,    D = Dice loss

    It rises strictly with D, so that it has the minima of Dice and ranks predictions alike; its slope in D is
    tanh(k D), which fades to 0 as the mask is solved. It has no dial between precision and recall.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        scale: k > 0, searched in [0.3, 10] on a logarithmic scale. 1 is the paper. Raising it brings the loss back to
            plain Dice, lowering it fades the gradient earlier; precision and recall are left alone.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few pixels.
        denominator: `linear`, or `squared` for (2 TP + 2 s) / (Σ p² + Σ t + 2 s) as in V-Net.
        scope: `batch` pools the counts of all images; `image` takes the Dice loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0.
        absent: `skip` leaves out classes without a pixel in the scope; `smooth` keeps them and needs s > 0.
        log_loss: D is the mean −log of the coefficient in place of one minus it; then the loss has no upper bound.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Jadon, "A survey of loss functions for semantic segmentation", CIBCB 2020, arXiv:2006.14822.
    Fails: the last pixels give hardly any gradient; with an optimizer that is not scale-free it is Dice with a smaller
    learning rate.
    """
    check_option("denominator", denominator, ("linear", "squared"))
    loss = dice_of(
        prepare(logits, target, ignore_index),
        smooth=smooth,
        denominator=denominator,
        scope=scope,
        classes=classes,
        absent=absent,
        log_loss=log_loss,
    )
    k = dial(scale, loss)
    return _log_cosh(k * loss) / k


def _log_cosh(x: Tensor) -> Tensor:
    """Return log cosh x for x ≥ 0, exact to rounding at both ends.

    x + softplus(−2x) − log 2 cannot overflow but loses all digits of x²/2 near 0; log(1 + 2 sinh²(x/2)) keeps them.
    """
    near = torch.log1p(2 * torch.sinh(x.clamp_max(1) / 2) ** 2)
    far = x + functional.softplus(-2 * x) - math.log(2)
    return torch.where(x < 1, near, far)


LOG_COSH_DICE = Family(
    function=log_cosh_dice,
    title="Log-cosh Dice loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="log cosh(k D) / k, D = 1 − mean over classes of 2 TP / (2 TP + FP + FN)",
    source="Jadon 2020, arXiv:2006.14822",
    hyperparameters={
        "scale": Hyperparameter(
            symbol="k",
            legal=LogUniform(0.01, 100.0),
            search=LogUniform(0.3, 10.0),
            effect="towards plain Dice; lower, the gradient fades earlier. Precision and recall are left alone",
        ),
        "smooth": SMOOTH,
        "denominator": DENOMINATOR,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
        "log_loss": LOG_LOSS,
    },
    aliases=("lc_dice", "log_cosh_dice_loss"),
    limits="The gradient is that of Dice times tanh(k D): at most 0.76 of it at k = 1, and fading to 0 as the mask is "
    "solved.",
    errata=(
        "Jadon 2020 and Azad et al. 2023 credit it with robustness, a tractable shape and a balance of precision and "
        "recall; it is an increasing function of Dice, has the same minimizers and is no more convex.",
        "Table III of Jadon 2020 gives it Dice 0.989 and sensitivity 0.975, the text Dice 0.975: the two columns are "
        "probably exchanged.",
    ),
)
