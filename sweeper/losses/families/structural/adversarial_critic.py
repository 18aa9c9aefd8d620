"""Adversarial losses whose rival is a critic: its score is no probability, and has no upper bound."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Choice, LogUniform
from sweeper.losses.families.structural.rival import (
    CONDITIONAL,
    EXEMPT,
    HINGE,
    LAM,
    LR_D,
    TARGET_SMOOTHING,
    WASSERSTEIN,
    Rival,
    against,
    looks_at,
)
from sweeper.losses.family import Check, Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, check_static
from sweeper.losses.primitives import IGNORE_INDEX, Dial, prepare


def adversarial_wgan(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.01,
    gp: Dial = 10.0,
    lr_d: Dial = 1.0,
    n_critic: int = 1,
    conditional: bool = True,
    companion: Rival | None = None,
    images: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy less λ times the critic's score of the prediction: a scalar in (−∞, ∞).

        L = CE − λ ⟨f(x, p)⟩,    the critic minimizes ⟨f(x, p) − f(x, t)⟩ + η E(‖∇f(x, t̂)‖₂ − 1)²

    t̂ lies on the segment between t and p, anew for each image; the slope is that by the mask, not by the image. The
    difference of the two means estimates the Wasserstein distance between true and predicted masks.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [1e-4, 1] on a logarithmic scale. 0 is cross-entropy. Raising it makes masks look more
            like drawn ones: isolated false alarms go and gaps close.
        gp: η ≥ 0, searched in [1, 100] on a logarithmic scale. Raising it holds the critic's slope at 1: scores stay
            small and λ means the same throughout; precision and recall move together. The companion was built with it.
        lr_d: The critic's learning rate relative to the model's, in [1e-3, 1e3]. Raising it lets the critic find finer
            faults. The companion was built with it.
        n_critic: 1, 3 or 5 steps of the critic per step of the model. Raising it makes its scores truer, and training
            slower. The companion was built with it.
        conditional: Whether the critic is shown the image beside the mask; true raises precision. The companion was
            built with it.
        companion: The critic, made by the family's `companion` with these settings.
        images: (B, channels, H, W), what the model saw; needed where `conditional`.

    Raises: LossError on shapes or dtypes other than these, without a critic, or with one built for other settings.
    Source: Arjovsky, Chintala, Bottou, "Wasserstein generative adversarial networks", ICML 2017, arXiv:1701.07875, with
    the penalty of Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, "Improved training of Wasserstein GANs", NeurIPS
    2017, arXiv:1704.00028.
    Fails: scores have no scale of their own, so that the loss says nothing of progress, and may be negative; the
    penalty takes a second backward pass.
    """
    check_static(ADVERSARIAL_WGAN, n_critic=n_critic, conditional=conditional)
    pixels = prepare(logits, target, ignore_index)
    own = {"gp": gp, "lr_d": lr_d, "n_critic": n_critic, "conditional": conditional}
    return against(pixels, lam, companion, images, own, "adversarial_wgan")


def adversarial_hinge(
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
    """Return cross-entropy less λ times the critic's score of the prediction: a scalar in (−∞, ∞).

        L = CE − λ ⟨f(x, p)⟩,    the critic minimizes ⟨max(0, 1 − f(x, t)) + max(0, 1 + f(x, p))⟩

    The critic stops learning from patches that it tells apart by a margin; spectral normalization of its layers bounds
    its slope.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [1e-4, 1] on a logarithmic scale. 0 is cross-entropy. Raising it makes masks look more
            like drawn ones: isolated false alarms go and gaps close.
        lr_d: The critic's learning rate relative to the model's, in [1e-3, 1e3], searched in [0.1, 10]. Raising it lets
            the critic find finer faults. The companion was built with it.
        target_smoothing: s in [0, 1], searched in [0, 0.1]: the critic is shown t + s (1/C − t) for t. Raising it keeps
            the critic from winning on sharpness alone. The companion was built with it.
        conditional: Whether the critic is shown the image beside the mask; true raises precision. The companion was
            built with it.
        companion: The critic, made by the family's `companion` with these settings.
        images: (B, channels, H, W), what the model saw; needed where `conditional`.

    Raises: LossError on shapes or dtypes other than these, without a critic, or with one built for other settings.
    Source: Lim, Ye, "Geometric GAN", 2017, arXiv:1705.02894; spectral normalization by Miyato, Kataoka, Koyama,
    Yoshida, "Spectral normalization for generative adversarial networks", ICLR 2018, arXiv:1802.05957.
    Fails: where every patch is told apart by the margin the critic stands still, and its scores with it; the loss may
    be negative.
    """
    check_static(ADVERSARIAL_HINGE, conditional=conditional)
    pixels = prepare(logits, target, ignore_index)
    own = {"lr_d": lr_d, "target_smoothing": target_smoothing, "conditional": conditional}
    return against(pixels, lam, companion, images, own, "adversarial_hinge")


_UNBOUNDED: dict[Check, str] = {"non-negative": "the critic's scores have no upper bound", **EXEMPT}


ADVERSARIAL_WGAN = Family(
    function=adversarial_wgan,
    title="Adversarial loss (Wasserstein)",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="CE − λ · mean over patches of f(x, p)",
    source="Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028",
    hyperparameters={
        "lam": LAM,
        "gp": Hyperparameter(
            symbol="η",
            legal=NON_NEGATIVE,
            search=LogUniform(1.0, 100.0),
            effect="the critic's slope is held at 1, so that its scores stay small; precision and recall move together",
        ),
        "lr_d": LR_D,
        "n_critic": Hyperparameter(
            symbol="n",
            legal=Choice((1, 3, 5)),
            static=True,
            effect="critic steps per step of the model: truer scores, slower training; precision and recall move "
            "together",
        ),
        "conditional": CONDITIONAL,
    },
    aliases=("wgan", "wgan_gp", "adv_wgan"),
    needs=("images",),
    narrow=looks_at,
    companion=lambda setup: Rival(setup, WASSERSTEIN),
    exempt=_UNBOUNDED,
    limits="Scores have no scale of their own: the loss says nothing of progress and may be negative. The penalty "
    "takes a second backward pass.",
)


ADVERSARIAL_HINGE = Family(
    function=adversarial_hinge,
    title="Adversarial loss (hinge)",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="CE − λ · mean over patches of f(x, p)",
    source="Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957",
    hyperparameters={
        "lam": LAM,
        "lr_d": LR_D,
        "target_smoothing": TARGET_SMOOTHING,
        "conditional": CONDITIONAL,
    },
    aliases=("hinge_gan", "adv_hinge"),
    needs=("images",),
    narrow=looks_at,
    companion=lambda setup: Rival(setup, HINGE, spectral=True),
    exempt=_UNBOUNDED,
    errata=(
        "MONAI's PatchAdversarialLoss puts the scores through tanh first, so that no margin is ever reached, and clips "
        "the model's term.",
    ),
    limits="Where every patch is told apart by the margin the critic stands still. The loss may be negative. Expect no "
    "gain on little data.",
)
