"""Perceptual loss: masks compared by what a frozen network makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from sweeper.domains import Choice, Int, LogUniform, Value
from sweeper.errors import LossError
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.networks import LEVELS, FilterBank, random_pyramid, run, trained
from sweeper.losses.options import NON_NEGATIVE, check_static
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Pixels,
    check_option,
    class_mean,
    dial,
    kept_classes,
    masked_mean,
    prepare,
)

Extractor = Literal["filters", "random", "mask_autoencoder"]

FIXED: dict[str, nn.Module] = {"filters": FilterBank(), "random": random_pyramid(seed=1)}
"""Extractors that are the same for everyone: they need neither training nor a companion."""


class Features(Companion):
    """A frozen extractor of features, by name."""

    def __init__(self, extractor: str, network: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor
        self.network = network.requires_grad_(False)


def perceptual(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.1,
    extractor: Extractor = "filters",
    layers: int = LEVELS,
    companion: Features | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy plus λ times how far apart the features of both masks are: a scalar ≥ 0.

        L = CE + λ mean over classes of Σₗ ‖ψₗ(p) − ψₗ(t)‖² / (Cₗ Hₗ Wₗ)

    ψ is frozen and applied to each foreground class by itself; levels weigh alike, and places with ignored pixels by
    their share of valid ones. Classes without a pixel in the batch are left out. Masks are put in as they are: the
    means and deviations of photographs say nothing of them. The target's features are computed in each step: they
    turn with the picture, so that none can be kept from one orientation for another.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [1e-3, 10] on a logarithmic scale. 0 is cross-entropy. Raising it rewards right shape
            near the right place: recall of thin lines rises, precision to the pixel falls.
        extractor: `filters`: identity, Sobel, Laplacian of Gaussian and lines in four directions. `random`:
            convolutions with weights drawn once and for all. `mask_autoencoder`: the encoder of an autoencoder of the
            training masks, which needs its companion.
        layers: From 1 to 3 levels, each at half the resolution of the one before. Raising it lets coarser shape count:
            recall rises, precision to the pixel falls.
        companion: Made by the family's `companion`; without it the first two extractors are built on the spot.

    Raises: LossError on shapes, dtypes or options other than these, or without the network that `mask_autoencoder` is.
    Source: Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016,
    arXiv:1603.08155; on masks of thin structures Mosinska, Marquez-Neila, Koziński, Fua, "Beyond the pixel-wise loss
    for topology-aware delineation", CVPR 2018, arXiv:1712.02190. Random features: He, Wang, Hopcroft, NeurIPS 2016,
    arXiv:1606.04801; autoencoders of masks: Oktay et al., IEEE TMI 2018, arXiv:1705.08207.
    Fails: it rewards what the extractor sees, which is not topology itself; numbers of papers that used VGG do not
    carry over.
    """
    check_option("extractor", extractor, (*FIXED, "mask_autoencoder"))
    check_static(PERCEPTUAL, layers=layers)
    network = _network(extractor, companion)
    pixels = prepare(logits, target, ignore_index)
    cross_entropy = masked_mean(pixels.cross_entropy, pixels.valid)
    return cross_entropy + dial(lam, cross_entropy) * _feature_loss(pixels, network, layers)


def features_apart(seen: Tensor, wanted: Tensor, shares: Tensor) -> Tensor:
    """Return the mean squared difference of features per class, over images and places by their share: (K,).

    Args:
        seen: (B, K, F, h, w).
        wanted: As `seen`.
        shares: (B, K, 1, h, w), in [0, 1].
    """
    squared = (seen - wanted).square().mean(dim=2, keepdim=True)
    return (shares * squared).sum(dim=(0, 2, 3, 4)) / shares.sum(dim=(0, 2, 3, 4)).clamp_min(FLOOR)


def _feature_loss(pixels: Pixels, network: nn.Module, layers: int) -> Tensor:
    """Return the mean over foreground classes of the summed levels: a scalar."""
    prob, onehot = (pixels.valid * pixels.prob)[:, 1:], pixels.onehot[:, 1:]
    images = onehot.shape[:2]
    valid = pixels.valid.expand_as(onehot)

    def levels(masks: Tensor) -> list[tuple[Tensor, Tensor]]:
        found = run(network, masks.reshape(-1, 1, *masks.shape[2:]), valid.reshape(-1, 1, *valid.shape[2:]))
        return [(features.unflatten(0, images), shares.unflatten(0, images)) for features, shares in found[:layers]]

    pairs = zip(levels(prob), levels(onehot), strict=True)
    values = torch.stack([features_apart(seen, wanted, shares) for (seen, shares), (wanted, _) in pairs]).sum(0)
    kept = kept_classes(pixels.onehot.sum(dim=(0, 2, 3)), "foreground", "skip")
    return class_mean(values, kept[1:])


def _network(extractor: Extractor, companion: Features | None) -> nn.Module:
    if companion is None:
        if extractor in FIXED:
            return FIXED[extractor]
        raise LossError(
            f"perceptual with extractor={extractor!r} needs its network: pass companion=FAMILIES['perceptual']"
            ".companion(Setup(classes=..., channels=..., settings=..., artefacts=...)); see sweeper.losses.companion"
        )
    if companion.extractor != extractor:
        raise LossError(f"perceptual is called with extractor={extractor!r}; its companion is {companion.extractor!r}")
    return companion.network


def _companion(setup: Setup) -> Features:
    extractor = str(setup.settings["extractor"])
    if extractor == "mask_autoencoder":
        return Features(extractor, trained(extractor, setup.artefacts))
    return Features(extractor, FilterBank() if extractor == "filters" else random_pyramid(seed=1))


def _narrow(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return ("mask_autoencoder",) if settings["extractor"] == "mask_autoencoder" else ()


PERCEPTUAL = Family(
    function=perceptual,
    title="Perceptual loss",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="CE + λ · mean over foreground classes of Σₗ ‖ψₗ(p) − ψₗ(t)‖² / (Cₗ Hₗ Wₗ)",
    source="Johnson et al. 2016, arXiv:1603.08155; Mosinska et al. 2018, arXiv:1712.02190",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=NON_NEGATIVE,
            search=LogUniform(1e-3, 10.0),
            effect="right shape near the right place counts: recall of thin lines rises, precision to the pixel falls",
        ),
        "extractor": Hyperparameter(
            symbol="ψ",
            legal=Choice(("filters", "random", "mask_autoencoder")),
            static=True,
            effect="filters sees edges and lines, random whatever its weights happen to, mask_autoencoder what the "
            "training masks are made of; precision and recall move together",
        ),
        "layers": Hyperparameter(
            symbol="l",
            legal=Int(1, LEVELS),
            static=True,
            effect="coarser shape counts too: recall rises, precision to the pixel falls",
        ),
    },
    aliases=("feature_loss", "perceptual_loss", "vgg_loss", "topology_aware_delineation_loss"),
    needs=("mask_autoencoder",),
    narrow=_narrow,
    companion=_companion,
    exempt={
        "pixel order": "filters look at neighbouring pixels",
        "mirror": "random filters have a left and a right, and an odd side is padded at one end",
    },
    limits="It rewards what the extractor sees, which is not topology itself. Papers, and MONAI's PerceptualLoss, take "
    "a VGG trained on photographs: no weights come from elsewhere here, so that their numbers do not carry over.",
)
