"""Poly-1: the first term of the logarithm's series, reweighted."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.families.pixel.focal import focal_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, dial, masked_mean, prepare


def poly1_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    epsilon1: Dial = 1.0,
    gamma: Dial = 0.0,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy, or focal loss, plus a multiple of 1 − p, meaned over valid pixels: a scalar ≥ 0.

        L = ⟨(1 − pₙ)^γ (−log pₙ) + ε₁ (1 − pₙ)^(γ + 1)⟩

    −log p = (1 − p) + (1 − p)²/2 + …, and ε₁ raises the first coefficient to 1 + ε₁.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        epsilon1: ε₁ ≥ −1, searched in [−1, 5]. 0 is focal loss, with γ = 0 cross-entropy. Raising it pulls unsure
            pixels to the likelier of their classes: recall of rare classes falls, precision rises; below 0 the
            reverse. For like pixels of which 30 % are foreground the best probability is 0.40 at −1, 0.30 at 0, 0.23
            at 1 and 0.11 at 5. Below −1 a pixel that is nearly right would be pushed to be wrong.
        gamma: γ ≥ 0 of the focal loss, searched in [0, 3]. Raising it fades easy pixels: recall of the minority rises,
            confidence falls.

    Raises: LossError on shapes or dtypes other than these.
    Source: Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov, "PolyLoss: a polynomial expansion perspective of
    classification loss functions", ICLR 2022, arXiv:2204.12511.
    Fails: as cross-entropy does under imbalance, and more so above ε₁ = 0. The added term is flat where p is near 0: it
    does not help pixels that are surely wrong.
    """
    pixels = prepare(logits, target, ignore_index)
    exponent = dial(gamma, pixels.log_prob) + 1
    first_term = masked_mean(torch.exp(exponent * pixels.log_one_minus_true), pixels.valid)
    return focal_of(pixels, gamma) + dial(epsilon1, first_term) * first_term


POLY1_CROSS_ENTROPY = Family(
    function=poly1_cross_entropy,
    title="Poly-1 loss",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of −(1 − p)^γ log p + ε₁ (1 − p)^(γ + 1), p = p(true class)",
    source="Leng et al. 2022, arXiv:2204.12511",
    hyperparameters={
        "epsilon1": Hyperparameter(
            symbol="ε₁",
            legal=Uniform(-1.0, 1e6),
            search=Uniform(-1.0, 5.0),
            effect="unsure pixels are pulled to the likelier class: recall of rare classes falls, precision rises; "
            "below 0 the reverse",
        ),
        "gamma": Hyperparameter(
            symbol="γ",
            legal=NON_NEGATIVE,
            search=Uniform(0.0, 3.0),
            effect="easy pixels fade as in focal loss: recall of the minority rises, confidence falls",
        ),
    },
    aliases=("poly1", "poly_loss"),
    limits="As imbalanced as cross-entropy itself, and more so above ε₁ = 0. The added term is flat where p is near 0: "
    "it does not help pixels that are surely wrong.",
)
