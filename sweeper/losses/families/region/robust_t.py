"""Robust T-loss: the residual of a whole mask under a Student-t distribution whose tail is learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sweeper.domains import Choice, LogUniform
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.primitives import IGNORE_INDEX, Dial, dial, image_mean, prepare


class LearnedNu(Companion):
    """The degrees of freedom ν, learned with the model as a logarithm, so that they stay above 0."""

    role = "joint"
    lr_factor = 0.1

    def __init__(self, nu: float) -> None:
        super().__init__()
        self.log_nu = torch.nn.Parameter(torch.tensor(math.log(nu)))

    @property
    def nu(self) -> Tensor:
        """ν, a scalar > 0 in float64."""
        return self.log_nu.double().exp()


def robust_t(
    logits: Tensor,
    target: Tensor,
    *,
    nu: Dial = 1.0,
    trainable: bool = True,
    normalize: bool = True,
    companion: LearnedNu | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return minus the log-likelihood of each mask's residual under a Student-t distribution: a scalar, any sign.

        L = mean over images and foreground classes of
            (log Γ(ν/2) − log Γ((ν + D)/2) + D/2 log(πν) + (ν + D)/2 log(1 + q/ν)) / D,    q = Σ (p − t)²

    over the D valid pixels of an image. All errors of a mask are judged together: far from the target the loss grows
    with the logarithm of q only, so that masks that are wrong altogether, as wrong labels are, pull less. Large ν is
    the mean squared error; it has no dial.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        nu: ν > 0, searched in [0.1, 10⁴] on a logarithmic scale; where training starts if it is learned. Raising it
            lets badly wrong masks pull harder; it moves neither precision nor recall by itself.
        trainable: whether ν is learned: then it is the companion's, and without one it stays at `nu`.
        normalize: false leaves out the division by D, as the paper does: the value then grows with the image.
        companion: the learned ν.

    Raises: LossError on shapes or dtypes other than these.
    Source: Gonzalez-Jimenez, Lionetti, Gottfrois, Gröger, Pouly, Navarini, "Robust T-loss for medical image
    segmentation", MICCAI 2023, arXiv:2306.00753.
    Fails: the value falls while ν alone is learned, so that it says little of the masks; the background has no part in
    it, and a class of few pixels is a small share of q.
    """
    pixels = prepare(logits, target, ignore_index)
    # At ν = 10⁶ both log Γ are of size 10⁶ and cancel: float32 would leave one digit of the difference.
    q = (pixels.valid * (pixels.prob - pixels.onehot) ** 2)[:, 1:].sum((2, 3)).double()
    size = pixels.valid.sum((2, 3)).double()
    freedom = companion.nu if trainable and companion is not None else nu
    v = torch.as_tensor(dial(freedom, q), dtype=q.dtype, device=q.device)
    half = (v + size) / 2
    cost = torch.lgamma(v / 2) - torch.lgamma(half) + size / 2 * torch.log(math.pi * v) + half * torch.log1p(q / v)
    if normalize:
        cost = cost / size.clamp_min(1)
    return image_mean(cost.mean(1), size).to(pixels.log_prob)


def _learned_nu(setup: Setup) -> Companion | None:
    if not setup.settings["trainable"]:
        return None
    return LearnedNu(float(setup.settings["nu"]))  # type: ignore[arg-type]  # a number, as only that is legal


ROBUST_T = Family(
    function=robust_t,
    title="Robust T-loss",
    level="region",
    overlap="mixed",
    tradeoff="symmetric",
    formula="(log Γ(ν/2) − log Γ((ν + D)/2) + D/2 log(πν) + (ν + D)/2 log(1 + q/ν)) / D, q = Σ (p − t)² over D pixels",
    source="Gonzalez-Jimenez et al. 2023, arXiv:2306.00753",
    hyperparameters={
        "nu": Hyperparameter(
            symbol="ν",
            legal=LogUniform(1e-3, 1e6),
            search=LogUniform(0.1, 1e4),
            effect="badly wrong masks pull harder, wrongly labelled ones too; precision and recall are left alone",
        ),
        "trainable": Hyperparameter(
            symbol="trainable",
            legal=Choice((True, False)),
            static=True,
            effect="true learns ν from its starting value with the model; precision and recall are left alone",
        ),
        "normalize": Hyperparameter(
            symbol="1/D",
            legal=Choice((True, False)),
            static=True,
            effect="false leaves out the division by the pixels of an image (the paper): only the scale differs, and "
            "with it the weight of large images",
        ),
    },
    aliases=("t_loss", "student_t_loss"),
    companion=_learned_nu,
    exempt={
        "non-negative": "minus the logarithm of a density, which can be above 1",
        "perfect": "the density of a perfect mask is not 1, and its logarithm depends on ν and the image's size",
    },
    limits="The value falls while ν alone is learned, so that it says little of the masks; a class of few pixels is a "
    "small share of the residual.",
    errata=(
        "Azad et al. 2023 say that low ν is close to the squared and high ν to the absolute error; high ν is the "
        "squared error, low ν a heavy tail, and the absolute error is no limit of it.",
        "The authors' code takes nu=1.0 as log ν, hence ν = e, and a precision of e where the paper has 1.",
    ),
)
