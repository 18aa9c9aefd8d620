"""InverseForm: boundaries compared by the transform that would take one to the other."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Choice, LogUniform
from sweeper.errors import LossError
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.morphology import inner_boundary
from sweeper.losses.networks import run, tiles, trained
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Dial,
    Pixels,
    check_static,
    dial,
    masked_mean,
    prepare,
)
from sweeper.losses.target_maps import target_map

NEAR = 1e-6
"""Added to the probability of a boundary and of none, so that its logarithm and its slope are finite."""


class TransformRegressor(Companion):
    """The frozen network that estimates the affine map between two boundaries."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.network = trained("boundary_transform", setup.artefacts)


def inverseform(
    logits: Tensor,
    target: Tensor,
    *,
    beta: Dial = 0.3,
    gamma: Dial = 0.3,
    tile: int = 112,
    contour_distance: Tensor | None = None,
    companion: TransformRegressor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy plus a boundary's cross-entropy and its distance from the identity: a scalar ≥ 0.

        L = CE + β ⟨BCE(b, b*)⟩ + γ mean over tiles of ‖θ(b, b*) − I‖₂

    b* marks pixels of a foreground class that touch another; b is how far a class's probability stands above the
    lowest of its neighbours', the largest over foreground classes. θ is the affine map (2×3) from places in b to those
    in b*, from −1 to 1, that a frozen network estimates; it is the identity where b = b*. Tiles without a boundary in
    the target are left out.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        beta: β ≥ 0, searched in [0.03, 3] on a logarithmic scale. Raising it makes edges sharp and in place: precision
            at the contour rises, and recall of thin lines, which are contour throughout.
        gamma: γ ≥ 0, searched in [0.01, 1] on a logarithmic scale. Raising it aligns whole outlines where single pixels
            miss: recall rises where a region is shifted, precision to the pixel is left to the other terms.
        tile: 64, 112 or 224, the largest side in pixels of what is aligned at a time. Raising it aligns larger parts as
            one, with less detail.
        contour_distance: (B, C, H, W), the target map of that name, computed if not given.
        companion: The network, made by the family's `companion` from the artefact `boundary_transform`.

    Raises: LossError on shapes or dtypes other than these, or without the network.
    Source: Borse, Wang, Zhang, Porikli, "InverseForm: a loss function for structured boundary-aware segmentation", CVPR
    2021, arXiv:2104.02745. There θ is a large fully connected network; here it is a small convolutional one, trained on
    the training masks.
    Fails: far from alignment the estimate is a guess and so is its gradient; boundaries that split or vanish are no
    affine map of each other.
    """
    if not isinstance(companion, TransformRegressor):
        raise LossError(
            "inverseform needs its network: pass companion=FAMILIES['inverseform'].companion(Setup(classes=..., "
            "channels=..., settings=..., artefacts=...)); see sweeper.losses.companion"
        )
    check_static(INVERSEFORM, tile=tile)
    pixels = prepare(logits, target, ignore_index)
    seen, wanted = _boundaries(pixels, contour_distance)
    # Added, not clamped: a clamp has no slope where a contour is missed for sure.
    sure = (seen + NEAR) / (1 + 2 * NEAR)
    edge = masked_mean(-wanted * sure.log() - (1 - wanted) * (-sure).log1p(), pixels.valid)
    seen, wanted = tiles(seen, tile), tiles(wanted, tile)
    apart = masked_mean(distance(run(companion.network, seen, wanted)), wanted.amax(dim=(2, 3), keepdim=True).sign())
    return masked_mean(pixels.cross_entropy, pixels.valid) + dial(beta, edge) * edge + dial(gamma, edge) * apart


def distance(theta: Tensor) -> Tensor:
    """Return the Euclidean distance of affine maps (N, 2, 3) from the identity: (N, 1, 1, 1)."""
    identity = torch.eye(2, 3, dtype=theta.dtype, device=theta.device)
    squared = (theta - identity).square().sum(dim=(1, 2))
    # The root has no slope at 0, where the estimate is when both boundaries agree.
    return (squared + 1e-12).sqrt().reshape(-1, 1, 1, 1)


def _boundaries(pixels: Pixels, contour_distance: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the soft boundary of the prediction and that of the target, (B, 1, H, W) each, 0 where ignored."""
    contour = target_map("contour_distance", contour_distance, pixels)[:, 1:] == 0
    seen = inner_boundary(pixels.prob, pixels.valid)[:, 1:].amax(dim=1, keepdim=True)
    return seen, contour.any(dim=1, keepdim=True).to(seen.dtype)


INVERSEFORM = Family(
    function=inverseform,
    title="InverseForm loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="CE + β · BCE(b, b*) + γ · mean over tiles of ‖θ(b, b*) − I‖₂, b the soft boundary",
    source="Borse et al. 2021, arXiv:2104.02745",
    hyperparameters={
        "beta": Hyperparameter(
            symbol="β",
            legal=NON_NEGATIVE,
            search=LogUniform(0.03, 3.0),
            effect="edges grow sharp and move into place: precision at the contour rises, and recall of thin lines",
        ),
        "gamma": Hyperparameter(
            symbol="γ",
            legal=NON_NEGATIVE,
            search=LogUniform(0.01, 1.0),
            effect="whole outlines are aligned where single pixels miss: recall of shifted regions rises, precision to "
            "the pixel is left to the other terms",
        ),
        "tile": Hyperparameter(
            symbol="tile",
            legal=Choice((64, 112, 224)),
            static=True,
            effect="larger parts are aligned as one, with less detail; precision and recall move together",
        ),
    },
    aliases=("if_loss", "inverse_form"),
    needs=("contour_distance", "boundary_transform"),
    companion=TransformRegressor,
    exempt={
        "padding": "tiles are resized to the network's side",
        "pixel order": "boundaries are made of neighbouring pixels",
        "mirror": "the network's filters have a left and a right",
    },
    errata=(
        "The authors' code takes a log-softmax over the single channel of its edge map, which is 0 everywhere: as "
        "released, no gradient reaches the edge head.",
    ),
    limits="Far from alignment the estimated transform is a guess and so is its gradient: keep γ small and warm up. "
    "Boundaries that split or vanish are no affine map of each other.",
)
