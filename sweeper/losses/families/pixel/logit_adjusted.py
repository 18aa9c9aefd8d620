"""Cross-entropy of logits shifted by the logarithm of how frequent each class is."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Vector,
    batch_frequencies,
    dial,
    masked_mean,
    prepare,
    vector,
)


def logit_adjusted_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    tau: Dial = 1.0,
    class_frequencies: Vector | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy of the logits plus τ times the log frequency of their class: a scalar ≥ 0.

        L = ⟨−log softmax(zₙ + τ log f) at yₙ⟩

    The shift is of training alone: predictions take the logits as they are, and so favour rare classes by f^−τ.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        tau: τ ≥ 0, searched in [0, 2]. 0 is cross-entropy; 1 weighs all classes alike in the limit of a perfect fit.
            Raising it moves the decision towards the frequent class: recall of rare classes rises, precision falls.
        class_frequencies: (C,) share of each class among the training pixels, clamped to 1e-7; without it the shares of
            this batch, clamped to one pixel.

    Raises: LossError on shapes or dtypes other than these.
    Source: Menon, Jayasumana, Rawat, Jain, Veit, Kumar, "Long-tail learning via logit adjustment", ICLR 2021,
    arXiv:2007.07314.
    Fails: probabilities are those of a world of equal classes: at 97 % background that is many false alarms. Scores
    taken from the shifted logits would hide what it does.
    """
    pixels = prepare(logits, target, ignore_index)
    if class_frequencies is not None:
        frequencies = vector(class_frequencies, pixels, "class_frequencies").clamp_min(FLOOR)
    else:
        frequencies = batch_frequencies(pixels)
    shift = dial(tau, frequencies) * frequencies.log()
    adjusted = (pixels.log_prob + shift[:, None, None]).log_softmax(dim=1)
    return masked_mean(-adjusted.gather(1, pixels.labels), pixels.valid)


LOGIT_ADJUSTED_CROSS_ENTROPY = Family(
    function=logit_adjusted_cross_entropy,
    title="Logit-adjusted cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="class-weighted",
    formula="mean over pixels of −log softmax(logits + τ log class frequency) at the true class",
    source="Menon et al. 2021, arXiv:2007.07314",
    hyperparameters={
        "tau": Hyperparameter(
            symbol="τ",
            legal=NON_NEGATIVE,
            search=Uniform(0.0, 2.0),
            effect="rare classes are predicted more readily: their recall rises, precision falls; 0 is cross-entropy",
        ),
    },
    aliases=("la_ce", "logit_adjustment", "balanced_softmax"),
    needs=("class_frequencies",),
    limits="Probabilities are those of a world of equal classes: at 97 % background that is many false alarms.",
)
