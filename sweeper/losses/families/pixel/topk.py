"""Cross-entropy of the hardest pixels alone."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SCOPE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, Scope, check_option, dial, image_mean, prepare
from sweeper.losses.ramp import ramp

_K = Uniform(1e-6, 1.0)
"""A share of 0 would be the mean of no pixel."""


def topk_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    k: Dial = 0.1,
    scope: Scope = "batch",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the mean of −log p(true class) over the share k of valid pixels where it is largest: a scalar ≥ 0.

        L = Σᵢ ωᵢ CE₍ᵢ₎ / (k N),    ωᵢ = k N − i cut to [0, 1],    CE₍₀₎ ≥ CE₍₁₎ ≥ … over the N valid pixels

    Where k N is no whole number, the last pixel counts by its fraction, and so k is continuous. At most one pixel, k N
    ≤ 1, leaves the worst one.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        k: k in (0, 1], searched in [0.01, 1] on a logarithmic scale. 1 is cross-entropy. Raising it brings back easy
            pixels, most of them background: recall of the minority falls, precision rises.
        scope: `batch` takes the hardest pixels of all images together; `image` those of each, then the mean.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Wu, Shen, van den Hengel, "Bridging category-level and instance-level semantic image segmentation", 2016,
    arXiv:1605.06885.
    Fails: wrongly labelled pixels and ambiguous edges are the hardest ones; below 2 to 5 % little else is learnt. From
    random weights the hardest pixels are chance: start at k = 1.
    """
    return topk_of(prepare(logits, target, ignore_index), k, scope)


def topk_of(pixels: Pixels, k: Dial, scope: Scope = "batch") -> Tensor:
    """Return `topk_cross_entropy` of a prepared batch."""
    check_option("scope", scope, ("batch", "image"))
    values, valid = pixels.cross_entropy.flatten(1), pixels.valid.flatten(1)
    if scope == "batch":
        values, valid = values.flatten().unsqueeze(0), valid.flatten().unsqueeze(0)
    # Cross-entropy is never negative, so that ignored pixels come last, where they weigh nothing.
    hardest = torch.where(valid > 0, values, -1.0).sort(dim=-1, descending=True).values
    # In float32 the place of a pixel among millions, and the fraction of the last one, would be rounded.
    total = valid.sum(-1, keepdim=True, dtype=torch.float64).clamp_min(1)
    taken = total * dial(k, total)
    weights = (taken - torch.arange(values.shape[-1], device=values.device)).clamp(0, 1)
    losses = (weights.to(values.dtype) * hardest).sum(-1) / taken.squeeze(-1).to(values.dtype)
    return image_mean(losses, valid)


TOPK_CROSS_ENTROPY = Family(
    function=topk_cross_entropy,
    title="TopK loss",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean of −log p(true class) over the share k of pixels where it is largest",
    source="Wu et al. 2016, arXiv:1605.06885",
    hyperparameters={
        "k": Hyperparameter(
            symbol="k",
            legal=_K,
            search=LogUniform(0.01, 1.0),
            effect="easy, mostly background pixels count again: recall of the minority falls, precision rises; 1 is "
            "cross-entropy",
        ),
        "scope": SCOPE,
        **ramp("k", symbol="k", legal=_K, start=1.0, share=0.0),
    },
    aliases=("topk", "ohem_ce", "bootstrapped_ce"),
    errata=(
        "The code published beside Azad et al. 2023 finds the hardest pixels and then leaves them unused: it is a "
        "focal loss of γ = 0.1.",
        "nnU-Net takes k as a percentage of all pixels, ignored ones included, and rounds down to whole pixels.",
    ),
    limits="Wrongly labelled pixels and ambiguous edges are the hardest ones: below 2 to 5 % little else is learnt.",
)
