"""A region loss and a boundary loss, the second gaining weight in the course of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from torch import Tensor

from sweeper.domains import Choice, Uniform, Value
from sweeper.errors import LossError
from sweeper.losses.families.boundary.active_boundary import active_boundary_of
from sweeper.losses.families.boundary.boundary import boundary_of
from sweeper.losses.families.boundary.boundary_dou import boundary_dou_of
from sweeper.losses.families.boundary.boundary_f1 import boundary_f1_of
from sweeper.losses.families.boundary.hausdorff import ALPHA, hausdorff_dt_of
from sweeper.losses.families.boundary.region_wise import region_wise_of
from sweeper.losses.families.combination.dice_ce import dice_ce_of
from sweeper.losses.families.region.dice import dice_of, generalized_dice_of
from sweeper.losses.families.region.tversky import focal_tversky_of, tversky_of
from sweeper.losses.families.structural.cldice import cldice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, SHARE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, check_option, dial, masked_mean, prepare
from sweeper.losses.ramp import ramp

Region = Literal["dice", "generalized_dice", "dice_ce", "tversky", "focal_tversky", "cross_entropy"]
Boundary = Literal[
    "boundary", "hausdorff_dt", "active_boundary", "boundary_f1", "region_wise", "boundary_dou", "cldice"
]
Mix = Literal["added", "convex"]

_REGIONS: Mapping[Region, Callable[[Pixels, Dial], Tensor]] = {
    "dice": lambda pixels, beta: dice_of(pixels),
    "generalized_dice": lambda pixels, beta: generalized_dice_of(pixels),
    "dice_ce": lambda pixels, beta: dice_ce_of(pixels),
    "tversky": lambda pixels, beta: tversky_of(pixels, alpha=1 - beta, beta=beta),
    "focal_tversky": lambda pixels, beta: focal_tversky_of(pixels, alpha=1 - beta, beta=beta),
    "cross_entropy": lambda pixels, beta: masked_mean(pixels.cross_entropy, pixels.valid),
}
_MAPS: Mapping[Boundary, str] = {
    "boundary": "signed_distance",
    "hausdorff_dt": "signed_distance",
    "active_boundary": "boundary_distance",
    "boundary_f1": "edge_band",
    "region_wise": "relative_depth",
    "boundary_dou": "outline",
    "cldice": "skeleton_level",
}


def region_boundary(
    logits: Tensor,
    target: Tensor,
    *,
    a: Dial = 0.5,
    region: Region = "dice",
    boundary: Boundary = "boundary",
    mix: Mix = "added",
    region_beta: Dial = 0.7,
    boundary_alpha: Dial = 2.0,
    signed_distance: Tensor | None = None,
    boundary_distance: Tensor | None = None,
    edge_band: Tensor | None = None,
    relative_depth: Tensor | None = None,
    outline: Tensor | None = None,
    skeleton_level: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a region loss plus a times a boundary loss: a scalar, ≥ 0 unless the boundary part has either sign.

        L = L_region + a L_boundary,    or (1 − a) L_region + a L_boundary

    Boundary losses alone start badly: far from the truth they are flat, or best at predicting nothing. In a study a
    therefore rises from `a_start` over the share `a_ramp` of training. Each part is as its own family at its defaults
    but for the dials below.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        a: a ≥ 0, searched in [0.05, 0.95]; at most 1 for a convex mix. 0 is the region loss. Raising it makes the edge
            count more than the area: precision and recall of the contour rise, those of whole small objects fall.
        region: `dice`, `generalized_dice`, `dice_ce`, `tversky`, `focal_tversky` or `cross_entropy`.
        boundary: `boundary`, `hausdorff_dt`, `active_boundary`, `boundary_f1`, `region_wise`, `boundary_dou`, or
            `cldice`, of which the centreline part alone.
        mix: `added` keeps the region loss whole; `convex` takes 1 − a of it.
        region_beta: β in [0, 1] of `tversky` and `focal_tversky`, with α = 1 − β. Raising it raises recall and lowers
            precision.
        boundary_alpha: α ≥ 0 of `hausdorff_dt`. Raising it makes far errors dominate: precision rises.
        signed_distance: (B, C, H, W), the target map of that name; each is computed from the target if the boundary
            part needs it and it is left out.
        boundary_distance: (B, 4, H, W), likewise.
        edge_band: (B, C, H, W), likewise.
        relative_depth: (B, C, H, W), likewise.
        outline: (B, C, H, W), likewise.
        skeleton_level: (B, C, H, W), likewise.

    Raises: LossError on shapes, dtypes or options other than these, and on a convex mix with a above 1.
    Source: Kervadec, Bouchtiba, Desrosiers, Granger, Dolz, Ben Ayed, "Boundary loss for highly unbalanced
    segmentation", MIDL 2019, arXiv:1812.07032; with Hausdorff losses Karimi, Salcudean, IEEE Transactions on Medical
    Imaging 39, 2020, arXiv:1904.10030.
    Fails: the parts differ in scale, distances in pixels against shares, so that one a means another balance for each
    pair and each resolution. A convex mix at a = 1 is the boundary loss alone.
    """
    check_option("region", region, get_args(Region))
    check_option("boundary", boundary, get_args(Boundary))
    check_option("mix", mix, get_args(Mix))
    if mix == "convex" and not isinstance(a, Tensor) and a > 1:
        raise LossError(f"a is {a:g}; of a convex mix it is a share, at most 1: lower it, or set mix to 'added'")
    pixels = prepare(logits, target, ignore_index)
    region_part = _REGIONS[region](pixels, dial(region_beta, pixels.log_prob))
    match boundary:
        case "boundary":
            boundary_part = boundary_of(pixels, signed_distance=signed_distance)
        case "hausdorff_dt":
            boundary_part = hausdorff_dt_of(pixels, alpha=boundary_alpha, signed_distance=signed_distance)
        case "active_boundary":
            boundary_part = active_boundary_of(pixels, boundary_distance=boundary_distance)
        case "boundary_f1":
            boundary_part = boundary_f1_of(pixels, edge_band=edge_band)
        case "region_wise":
            boundary_part = region_wise_of(pixels, relative_depth=relative_depth)
        case "boundary_dou":
            boundary_part = boundary_dou_of(pixels, outline=outline)
        case "cldice":
            boundary_part = cldice_of(pixels, a=1.0, skeleton_level=skeleton_level)
    weight = dial(a, region_part)
    return region_part + weight * (boundary_part - region_part if mix == "convex" else boundary_part)


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return tuple(needed for name, needed in _MAPS.items() if name == settings["boundary"])


REGION_BOUNDARY = Family(
    function=region_boundary,
    title="Region + boundary",
    level="combination",
    overlap="mixed",
    tradeoff="symmetric",
    formula="region loss + a · boundary loss, or (1 − a) · region loss + a · boundary loss",
    source="Kervadec et al. 2019, arXiv:1812.07032",
    hyperparameters={
        "a": Hyperparameter(
            symbol="a",
            legal=NON_NEGATIVE,
            search=Uniform(0.05, 0.95),
            effect="the edge counts more than the area: precision and recall of the contour rise, those of whole small "
            "objects fall",
        ),
        "region": Hyperparameter(
            symbol="L_R",
            legal=Choice(get_args(Region)),
            static=True,
            effect="which region loss, and with it the balance of precision and recall: tversky and focal_tversky have "
            "a dial for it",
        ),
        "boundary": Hyperparameter(
            symbol="L_B",
            legal=Choice(get_args(Boundary)),
            static=True,
            effect="what of the contour counts: distances punish stray false alarms, so that precision rises; cldice "
            "and boundary_f1 raise recall of thin structures",
        ),
        "mix": Hyperparameter(
            symbol="mix",
            legal=Choice(get_args(Mix)),
            static=True,
            effect="added keeps the region loss whole; convex takes a from it, and with it recall of small objects",
        ),
        "region_beta": Hyperparameter(
            symbol="β",
            legal=SHARE,
            acts_with={"region": ("tversky", "focal_tversky")},
            effect="of tversky and focal_tversky, the price of a miss: recall rises, precision falls",
        ),
        "boundary_alpha": Hyperparameter(
            symbol=ALPHA.symbol,
            legal=ALPHA.legal,
            acts_with={"boundary": ("hausdorff_dt",)},
            effect="of hausdorff_dt: errors far from an edge dominate, so that stray false alarms vanish first and "
            "precision rises",
        ),
        **ramp("a", symbol="a", legal=SHARE, start=0.01, share=1.0, search=Uniform(0.0, 1.0)),
    },
    aliases=("compound", "region_plus_boundary", "dice_boundary"),
    needs=tuple(dict.fromkeys(_MAPS.values())),
    narrow=_needs,
    exempt={
        "non-negative": "boundary and region-wise losses reward right pixels with less than nothing",
        "padding": "contours look at what lies beside them, ignored or not",
        "pixel order": "contours look at neighbouring pixels",
        "mirror": "the active boundary loss compares each pixel with the next row and the next column",
    },
    errata=("Azad et al. 2023 limit the boundary loss beside Dice to binary tasks; it is applied per class.",),
    limits="Tunable between precision and recall, through region_beta, only where the region part is tversky or "
    "focal_tversky. The parts differ in scale, so that one a means another balance for each pair and each resolution; "
    "tune it for each, and never rank losses of different a by their value.",
)
