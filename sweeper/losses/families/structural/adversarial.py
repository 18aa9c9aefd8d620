"""Adversarial losses with a bounded goal: cross-entropy plus what a rival finds unlike a true mask."""

from __future__ import annotations

from torch import Tensor

from sweeper.losses.families.structural.rival import (
    CONDITIONAL,
    EXEMPT,
    LAM,
    LEAST_SQUARES,
    LR_D,
    NON_SATURATING,
    TARGET_SMOOTHING,
    Rival,
    against,
    looks_at,
)
from sweeper.losses.family import Family
from sweeper.losses.options import check_static
from sweeper.losses.primitives import IGNORE_INDEX, Dial, prepare


def adversarial(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.01,
    lr_d: Dial = 1.0,
    target_smoothing: Dial = 0.0,
    conditional: bool = True,
    companion: Rival | None = None,
    images: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy plus λ times the non-saturating adversarial cost: a scalar ≥ 0.

        L = CE + λ ⟨softplus(−D(x, p))⟩,    the rival minimizes ⟨softplus(−D(x, t)) + softplus(D(x, p))⟩

    D scores overlapping patches of image and mask, trained in turn with the model. The minimax form log(1 − σ(D)) has
    the same optimum, but its gradient vanishes while the rival is ahead.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [1e-4, 1] on a logarithmic scale. 0 is cross-entropy. Raising it makes masks look more
            like drawn ones: isolated false alarms go and gaps close.
        lr_d: The rival's learning rate relative to the model's, in [1e-3, 1e3], searched in [0.1, 10]. Raising it lets
            the rival find finer faults, until the model cannot follow. The companion was built with it.
        target_smoothing: s in [0, 1], searched in [0, 0.1]: the rival is shown t + s (1/C − t) for t. Raising it keeps
            the rival from winning on sharpness alone. The companion was built with it.
        conditional: Whether the rival is shown the image beside the mask; true raises precision. The companion was
            built with it.
        companion: The rival, made by the family's `companion` with these settings.
        images: (B, channels, H, W), what the model saw; needed where `conditional`.

    Raises: LossError on shapes or dtypes other than these, without a rival, or with one built for other settings.
    Source: Goodfellow, Pouget-Abadie, Mirza et al., "Generative adversarial nets", NeurIPS 2014, arXiv:1406.2661; for
    segmentation Luc, Couprie, Chintala, Verbeek, "Semantic segmentation using adversarial networks", NIPS workshop
    2016, arXiv:1611.08408.
    Fails: without smoothing the rival wins by noticing that true masks are 0 or 1 and predictions are not; on little
    data it learns the masks by heart. A step costs about twice as much.
    """
    check_static(ADVERSARIAL, conditional=conditional)
    pixels = prepare(logits, target, ignore_index)
    own = {"lr_d": lr_d, "target_smoothing": target_smoothing, "conditional": conditional}
    return against(pixels, lam, companion, images, own, "adversarial")


def adversarial_lsgan(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.01,
    lr_d: Dial = 1.0,
    target_smoothing: Dial = 0.0,
    conditional: bool = True,
    companion: Rival | None = None,
    images: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy plus λ times the least-squares adversarial cost: a scalar ≥ 0.

        L = CE + λ ½ ⟨(f(x, p) − 1)²⟩,    the rival minimizes ½ ⟨(f(x, t) − 1)² + f(x, p)²⟩

    Of the four adversarial losses the steadiest: the goal of both sides is a score, not an order.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [1e-4, 1] on a logarithmic scale. 0 is cross-entropy. Raising it makes masks look more
            like drawn ones: isolated false alarms go and gaps close.
        lr_d: The rival's learning rate relative to the model's, in [1e-3, 1e3], searched in [0.1, 10]. Raising it lets
            the rival find finer faults, until the model cannot follow. The companion was built with it.
        target_smoothing: s in [0, 1], searched in [0, 0.1]: the rival is shown t + s (1/C − t) for t. Raising it keeps
            the rival from winning on sharpness alone. The companion was built with it.
        conditional: Whether the rival is shown the image beside the mask; true raises precision. The companion was
            built with it.
        companion: The rival, made by the family's `companion` with these settings.
        images: (B, channels, H, W), what the model saw; needed where `conditional`.

    Raises: LossError on shapes or dtypes other than these, without a rival, or with one built for other settings.
    Source: Mao, Li, Xie, Lau, Wang, Paul Smolley, "Least squares generative adversarial networks", ICCV 2017,
    arXiv:1611.04076.
    Fails: it also pulls scores above 1 back, so that a mask that convinces too well is punished; a step costs about
    twice as much.
    """
    check_static(ADVERSARIAL_LSGAN, conditional=conditional)
    pixels = prepare(logits, target, ignore_index)
    own = {"lr_d": lr_d, "target_smoothing": target_smoothing, "conditional": conditional}
    return against(pixels, lam, companion, images, own, "adversarial_lsgan")


ADVERSARIAL = Family(
    function=adversarial,
    title="Adversarial loss (non-saturating)",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="CE + λ · mean over patches of softplus(−D(x, p))",
    source="Goodfellow et al. 2014, arXiv:1406.2661; Luc et al. 2016, arXiv:1611.08408",
    hyperparameters={
        "lam": LAM,
        "lr_d": LR_D,
        "target_smoothing": TARGET_SMOOTHING,
        "conditional": CONDITIONAL,
    },
    aliases=("gan", "adv_bce"),
    needs=("images",),
    narrow=looks_at,
    companion=lambda setup: Rival(setup, NON_SATURATING),
    exempt=EXEMPT,
    limits="Without smoothing the rival wins by noticing that true masks are 0 or 1 and predictions are not. It costs "
    "about twice the time; expect no gain on little data. The minimax form log(1 − D) is another loss: its "
    "gradient vanishes while the rival is ahead.",
)


ADVERSARIAL_LSGAN = Family(
    function=adversarial_lsgan,
    title="Adversarial loss (least squares)",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="CE + λ · mean over patches of ½ (f(x, p) − 1)²",
    source="Mao et al. 2017, arXiv:1611.04076",
    hyperparameters={
        "lam": LAM,
        "lr_d": LR_D,
        "target_smoothing": TARGET_SMOOTHING,
        "conditional": CONDITIONAL,
    },
    aliases=("lsgan", "adv_lsgan"),
    needs=("images",),
    narrow=looks_at,
    companion=lambda setup: Rival(setup, LEAST_SQUARES),
    exempt=EXEMPT,
    errata=(
        "MONAI's PatchAdversarialLoss leaves the ½ out and, unless told not to, puts the scores through a leaky ReLU "
        "first.",
    ),
    limits="It also pulls scores above 1 back, so that a mask that convinces too well is punished. It costs about "
    "twice the time; expect no gain on little data.",
)
