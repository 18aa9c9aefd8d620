"""Region-wise loss: probabilities weighed by a bounded map of how deep a pixel lies in its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, Uniform, Value
from sweeper.losses.families.boundary.boundary import author_distance
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Dial,
    Pixels,
    check_option,
    dial,
    masked_mean,
    prepare,
)
from sweeper.losses.target_maps import target_map

Map = Literal["rrw", "boundary", "indicator"]


def region_wise(
    logits: Tensor,
    target: Tensor,
    *,
    outside: Dial = 1.0,
    map: Map = "rrw",
    relative_depth: Tensor | None = None,
    signed_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean of p weighed by a map, summed over classes: a scalar in [−1, o] with the default map.

        L = ⟨Σ p ζ⟩,    ζ = o off the class, −(distance to the rest) / (the class's largest) on it

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        outside: o ≥ 0, searched in [0.5, 2]: what probability costs off the class. Pixels next to an edge, which ζ
            rewards least, gain weight against deep ones: false alarms next to a thin object cost more, so that raising
            it raises precision and lowers recall there.
        map: `rrw`, as above. `boundary`: the signed distances of the boundary loss, not scaled to [−1, 1], o times
            them off the class. `indicator`: o off the class and 0 on it, half the mean absolute error for o = 1.
        relative_depth: (B, C, H, W), the target map of that name, for `rrw`; computed from the target if left out.
        signed_distance: (B, C, H, W), the target map of that name, for `boundary`; computed likewise.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Valverde, Tohka, "Region-wise loss for biomedical image segmentation", Pattern Recognition 136, 2023,
    arXiv:2108.01405 (there also divided by the number of classes).
    Fails: the middle of a thin structure weighs as much as that of a thick one, but a background pixel beside it
    hardly anything, so that thin structures grow fat; linear in p, it fades through a saturated softmax.
    """
    pixels = prepare(logits, target, ignore_index)
    return region_wise_of(
        pixels, outside=outside, map=map, relative_depth=relative_depth, signed_distance=signed_distance
    )


def region_wise_of(
    pixels: Pixels,
    *,
    outside: Dial = 1.0,
    map: Map = "rrw",
    relative_depth: Tensor | None = None,
    signed_distance: Tensor | None = None,
) -> Tensor:
    """Return `region_wise` of a prepared batch."""
    check_option("map", map, ("rrw", "boundary", "indicator"))
    off_class = dial(outside, pixels.prob) * (1 - pixels.onehot)
    if map == "rrw":
        zeta = off_class - pixels.onehot * target_map("relative_depth", relative_depth, pixels)
    elif map == "boundary":
        phi = author_distance(target_map("signed_distance", signed_distance, pixels))
        zeta = torch.where(pixels.onehot > 0, phi, off_class * phi)
    else:
        zeta = off_class
    return masked_mean((pixels.prob * zeta).sum(1, keepdim=True), pixels.valid)


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return {"rrw": ("relative_depth",), "boundary": ("signed_distance",)}.get(str(settings["map"]), ())


REGION_WISE = Family(
    function=region_wise,
    title="Region-wise loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over pixels of Σ p ζ over classes, ζ = o off the class, −depth / largest depth of the class on it",
    source="Valverde and Tohka 2023, arXiv:2108.01405",
    hyperparameters={
        "outside": Hyperparameter(
            symbol="o",
            legal=NON_NEGATIVE,
            search=Uniform(0.5, 2.0),
            effect="pixels next to an edge weigh more against deep ones: precision of thin objects rises, recall falls",
        ),
        "map": Hyperparameter(
            symbol="ζ",
            legal=Choice(("rrw", "boundary", "indicator")),
            static=True,
            effect="indicator knows no geometry; rrw rewards depth within bounds; boundary also punishes false alarms "
            "by their distance: precision rises",
        ),
    },
    aliases=("rw", "rrw", "region_wise_loss"),
    needs=("relative_depth", "signed_distance"),
    narrow=_needs,
    exempt={
        "non-negative": "right pixels weigh less than nothing",
        "pixel order": "depth looks at where pixels lie",
    },
    errata=("The authors' code also takes the mean over the classes, where this is the sum: C times theirs.",),
    limits="The middle of a thin structure weighs as much as that of a thick one, a background pixel beside it hardly "
    "anything: thin structures grow fat.",
)
