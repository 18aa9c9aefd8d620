"""Topology-aware focal loss: focal, and how far predicted components and holes are from those there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from sweeper.domains import Choice, Int, LogUniform, Uniform, Value
from sweeper.errors import LossError
from sweeper.losses.families.pixel.focal import focal_of
from sweeper.losses.families.structural.persistence import component_points, hole_points
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, SHARE, check_static
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Dial,
    check_option,
    class_mean,
    dial,
    kept_classes,
    prepare,
)
from sweeper.losses.target_maps import target_map
from sweeper.maps import shapes

Dims = Literal["components", "both"]
Kind = Literal["components", "holes"]


def topology_aware_focal(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.01,
    gamma: Dial = 2.0,
    alpha: Dial | None = None,
    dims: Dims = "components",
    max_points: int = 256,
    pool: int = 1,
    components: Tensor | None = None,
    holes: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return focal loss plus the distance of persistence diagrams, meaned over images and classes: a scalar ≥ 0.

        L = focal + λ mean over images and foreground classes of Σ W²(diagram of p, diagram of t)

    W² is the least sum of squared distances by which predicted points move to the target's, or either to the diagonal,
    at (birth − death)² / 2. As the points of a mask are all (1, 0), the best matching is exact in closed form: as many
    predicted points as the mask has, those that gain most by it. The gradient reaches the peaks and saddles alone, the
    pixels whose probabilities a point's birth and death are.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`. Ignored pixels are no land.
        lam: λ ≥ 0, searched in [1e-4, 1] on a logarithmic scale. 0 is focal. Raising it removes specks and joins or
            restores components: precision rises, and recall where whole components were missed.
        gamma: γ ≥ 0, searched in [0, 5], of focal. Raising it raises recall of the minority.
        alpha: α in [0, 1], or None for no class weights, of focal. Raising it raises foreground recall and lowers
            precision.
        dims: `components`, or `both` to compare holes as well. Land is 8-connected, holes are 4-connected.
        max_points: From 1 to 4096, the points of a diagram that count, the most persistent first; the target's are cut
            as well. Raising it also removes fainter specks: precision rises.
        pool: 1, 2 or 4. Both maps are first replaced by their maxima over squares of so many pixels, which is faster.
            Raising it joins what lies close: precision and recall of fine structure fall. Above 1 the pooled target is
            labelled anew in each step, for no target map knows of it: the only work on the target done per step.
        components: (B, C, H, W), the target map of that name, computed if not given; used without pooling.
        holes: (B, C, H, W), the target map of that name, computed if not given; used without pooling for `both`.

    Raises: LossError on shapes, dtypes or options other than these, and inside torch.func transforms: diagrams are
        made on the CPU.
    Source: Demir, Massaad, Kiziltan, "Topology-aware focal loss for 3D image segmentation", CVPR Workshops 2023,
    arXiv:2304.12223 (there with Sinkhorn's approximate matching; λ is not known to us).
    Fails: it does not see where components are, only how many; two errors that cancel cost nothing beyond focal. It
    waits for the CPU in each step.
    """
    check_option("dims", dims, ("components", "both"))
    check_static(TOPOLOGY_AWARE_FOCAL, max_points=max_points, pool=pool)
    pixels = prepare(logits, target, ignore_index)
    if torch._C._functorch.is_functorch_wrapped_tensor(pixels.log_prob):
        raise LossError("topology_aware_focal makes diagrams on the CPU; call it outside of torch.func transforms")
    land, region = (pixels.valid * pixels.prob)[:, 1:], pixels.onehot[:, 1:]
    if pool > 1:
        land, region = (max_pool2d(each, pool, pool, ceil_mode=True) for each in (land, region))
    wanted = {"components": components} | ({"holes": holes} if dims == "both" else {})
    distance = torch.zeros_like(land[..., 0, 0])
    for kind, given in wanted.items():
        count = target_map(kind, given, pixels)[:, 1:].flatten(2).amax(-1) if pool == 1 else _count(kind, region)
        distance = distance + _distance(*_points(kind, land, max_points), count.clamp_max(max_points))
    kept = kept_classes(pixels.onehot.sum((2, 3)), "foreground", "smooth")[:, 1:]
    term = class_mean(distance, kept)
    return focal_of(pixels, gamma, alpha) + dial(lam, term) * term


def _count(kind: str, region: Tensor) -> Tensor:
    """Return how many components or holes pooled masks (B, K, H, W) have, (B, K): no target map knows of them."""
    masks = region.flatten(0, 1).cpu().numpy() > 0
    number = shapes.components if kind == "components" else shapes.holes
    counts = [int(each.max()) for each in number(masks)] if len(masks) else []
    return torch.tensor(counts, dtype=region.dtype, device=region.device).view(region.shape[:2])


def _points(kind: str, land: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Return births and deaths of the most persistent points of (B, K, H, W), (B, K, P) each; (0, 0) is none."""
    maps = land.detach().flatten(0, 1).cpu().numpy()
    table = component_points(maps, limit) if kind == "components" else hole_points(maps, limit)
    indices = torch.from_numpy(table).to(land.device).view(2, *land.shape[:2], table.shape[-1])
    heights = torch.cat([land.flatten(2), torch.zeros_like(land[..., 0, :1])], dim=-1)
    birth, death = (heights.gather(-1, each) for each in indices)
    return birth, death


def _distance(birth: Tensor, death: Tensor, wanted: Tensor) -> Tensor:
    """Return W² between diagrams (B, K, P) and those of masks with `wanted` (B, K) points, all of them (1, 0): (B, K).

    Each point pays its way to the diagonal, (b − d)² / 2 or, for (1, 0), ½. Paired, two pay (1 − b)² + d² in place of
    both. As no target point differs from another, the pairs that save most are the best matching.
    """
    diagonal = (birth - death) ** 2 / 2
    saved = (diagonal + 0.5 - (1 - birth) ** 2 - death**2).relu().sort(dim=-1, descending=True).values
    paired = torch.arange(saved.shape[-1], device=saved.device) < wanted.unsqueeze(-1)
    return diagonal.sum(-1) + wanted / 2 - (saved * paired).sum(-1)


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    if settings["pool"] != 1:
        return ()
    return ("components", "holes") if settings["dims"] == "both" else ("components",)


TOPOLOGY_AWARE_FOCAL = Family(
    function=topology_aware_focal,
    title="Topology-aware focal loss",
    level="structural",
    overlap="mixed",
    tradeoff="class-weighted",
    formula="focal + λ · mean over images and foreground classes of W²(persistence diagram of p, that of the mask)",
    source="Demir et al. 2023, arXiv:2304.12223",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=NON_NEGATIVE,
            search=LogUniform(1e-4, 1.0),
            effect="specks vanish and components are joined or restored: precision rises, and recall where whole "
            "components were missed; 0 is focal",
        ),
        "gamma": Hyperparameter(
            symbol="γ",
            legal=NON_NEGATIVE,
            search=Uniform(0.0, 5.0),
            effect="of focal: easy pixels fade, recall of the minority rises, confidence falls",
        ),
        "alpha": Hyperparameter(
            symbol="α",
            legal=SHARE,
            effect="of focal: foreground recall rises, precision falls; unset, classes weigh alike",
        ),
        "dims": Hyperparameter(
            symbol="k",
            legal=Choice(("components", "both")),
            static=True,
            effect="both compares holes as well: recall inside holes falls where they were filled, precision rises",
        ),
        "max_points": Hyperparameter(
            symbol="P",
            legal=Int(1, 4096),
            static=True,
            effect="fainter specks are removed as well: precision rises",
        ),
        "pool": Hyperparameter(
            symbol="pool",
            legal=Choice((1, 2, 4)),
            static=True,
            effect="faster, but what lies close is joined: precision and recall of fine structure fall",
        ),
    },
    aliases=("tafl", "topology_focal", "topological_focal"),
    needs=("components", "holes"),
    narrow=_needs,
    exempt={
        "pixel order": "components and holes are made of neighbouring pixels",
        "mirror": "the squares of `pool` are laid from the upper left corner",
        "vmap settings": "diagrams are made on the CPU, outside of torch",
        "vmap models": "diagrams are made on the CPU, outside of torch",
    },
    limits="Blind to where components are: it counts them, and two errors that cancel cost nothing beyond focal. Waits "
    "for the CPU in each step: 9.6 s per image and step at 21 classes of 512 × 512 pixels, less with pool = 2 or 4.",
)
