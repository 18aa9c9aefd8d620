"""Cross-entropy with a penalty on pixels near the edge of their region."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, check_option, dial, masked_mean, prepare
from sweeper.losses.target_maps import target_map

Mode = Literal["reverse", "reverse_paper", "inverse", "exp"]
_MODES = ("reverse", "reverse_paper", "inverse", "exp")


def distance_map_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Dial = 1.0,
    sigma: Dial = 5.0,
    mode: Mode = "reverse",
    own_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy with pixels weighted up towards the edge of their region, meaned over pixels: a scalar ≥ 0.

        L = ⟨(1 + w Φₙ) (−log pₙ)⟩

    with d the distance of a pixel to the nearest pixel of another class and M its largest in the pixel's class, both in
    the patch. Φ is in [0, 1]; where a patch has one class alone it is 0.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        weight: w ≥ 0, searched in [0.1, 20] on a logarithmic scale. 0 is cross-entropy. Raising it turns from
            interiors to edges: recall of thin structures rises, and precision right beside them.
        sigma: σ > 0 in pixels, of mode `exp` alone. Raising it widens the band that counts: towards (1 + w) times
            cross-entropy, and so back to its precision and recall.
        mode: Φ = (M − d + 1)/M for `reverse`, (M − d)/M for `reverse_paper`, 1/d for `inverse`, exp(−(d − 1)/σ) for
            `exp`. All but `reverse_paper` are 1 at the edge, d = 1.
        own_distance: (B, 1, H, W), d, 0 where there is no other class; without it it is computed from the target.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Calivà, Iriondo, Martinez, Majumdar, Pedoia, "Distance map loss penalty term for semantic segmentation",
    MIDL 2019, arXiv:1908.03679 (there the plain reversal, here `reverse_paper`).
    Fails: `reverse_paper` is 0 all over a curve one or two pixels wide, where every pixel is the farthest from the
    edge. In a wide background `reverse` falls slowly, so that weight goes to pixels far from any edge. Labels are least
    certain where the weight is largest.
    """
    check_option("mode", mode, _MODES)
    pixels = prepare(logits, target, ignore_index)
    distance = target_map("own_distance", own_distance, pixels)
    nearness = _nearness(pixels, distance, mode, sigma)
    return masked_mean((1 + dial(weight, distance) * nearness) * pixels.cross_entropy, pixels.valid)


def _nearness(pixels: Pixels, distance: Tensor, mode: Mode, sigma: Dial) -> Tensor:
    """Return Φ, (B, 1, H, W)."""
    # 0 stands for no other class; there any finite value will do, it is masked below.
    steps = distance.clamp_min(1)
    if mode == "exp":
        phi = torch.exp((1 - steps) / dial(sigma, steps))
    elif mode == "inverse":
        phi = 1 / steps
    else:
        farthest = (pixels.onehot * steps).amax((2, 3), keepdim=True)
        own_farthest = (pixels.onehot * farthest).sum(1, keepdim=True).clamp_min(1)
        phi = (own_farthest - steps + (mode == "reverse")) / own_farthest
    return torch.where(distance > 0, phi, 0.0)


DISTANCE_MAP_CROSS_ENTROPY = Family(
    function=distance_map_cross_entropy,
    title="Distance-map cross-entropy",
    level="pixel",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over pixels of −(1 + w Φ) log p(true class), Φ = 1 at the edge of a region, falling with depth",
    source="Calivà et al. 2019, arXiv:1908.03679",
    hyperparameters={
        "weight": Hyperparameter(
            symbol="w",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 20.0),
            effect="edges count more than interiors: recall of thin structures and precision right beside them rise; 0 "
            "is cross-entropy",
        ),
        "sigma": Hyperparameter(
            symbol="σ",
            legal=Uniform(0.1, 1e6),
            acts_with={"mode": ("exp",)},
            effect="in mode exp the band of pixels that count widens, back towards the precision and recall of "
            "cross-entropy",
        ),
        "mode": Hyperparameter(
            symbol="Φ",
            legal=Choice(_MODES),
            static=True,
            effect="how the penalty falls with depth; inverse and exp stay near the edge, for thin structures; "
            "reverse_paper leaves curves of one or two pixels out, and their recall falls",
        ),
    },
    aliases=(
        "dpce",
        "dmce",
        "distance_map_loss",
        "distance_map_loss_penalty_term",
        "distance_penalized_cross_entropy",
    ),
    needs=("own_distance",),
    exempt={"pixel order": "the weight of a pixel is its distance to other classes"},
    errata=(
        "Jadon 2020 speaks of distances between the mask and the prediction; the map is that of the mask alone.",
        "Azad et al. 2023 speak of the inverse of the distance map and print the map itself; it is the reversal, "
        "maximum minus distance.",
        "SegLossOdyssey's DisPenalizedCE divides 0 by 0 on structures of one or two pixels and returns the unweighted "
        "mean.",
    ),
    limits="The paper's plain reversal is 0 all over a curve one or two pixels wide; +1 mends that. Labels are least "
    "certain where the weight is largest.",
)
