"""Region mutual information: how much the patches of a prediction say of the patches of the target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sweeper.domains import Choice, LogUniform, Uniform
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SHARE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, check_option, dial, image_mean, masked_mean, prepare

RADII = (2, 3, 4)
POOLS = (1, 2, 3, 4)


def rmi(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.5,
    radius: int = 3,
    pool: int = 4,
    xi: Dial = 5e-4,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy mixed with minus a lower bound of the mutual information of patches: a scalar, any sign.

        L = λ cross-entropy + (1 − λ) mean over images and classes of log det(YYᵀ − YPᵀ (PPᵀ + ξI)⁻¹ PYᵀ + ξI) / (2 R²)

    The columns of Y and P are the R × R patches of target and probability, less their mean. The second part is least,
    and close to ½ log ξ, where the target's patches follow linearly from the prediction's. It has no dial.

    Args:
        logits: (B, C, H, W), any real numbers. Pooled, an image must still hold one patch.
        target: (B, H, W) int64, class indices or `ignore_index`. Ignored pixels are 0 in both maps.
        lam: λ in [0, 1], searched in [0.1, 0.9]. 1 is cross-entropy. Raising it weighs single pixels against their
            neighbourhood; it moves neither precision nor recall by itself.
        radius: R of 2, 3 or 4, side of a patch. Raising it looks at more neighbours, at R⁴ the cost.
        pool: 1, 2, 3 or 4, side of the average pooling before; it pads by half its side with zeros, as the authors'
            code does. Raising it is cheaper and costs recall of thin structures.
        xi: ξ > 0 on the diagonal. Raising it makes the loss forget errors smaller than √ξ; precision and recall are
            left alone.

    Raises: LossError on shapes, dtypes or options other than these, or when an image is too small for a patch.
    Source: Zhao, Wang, Yang, Cai, "Region mutual information loss for semantic segmentation", NeurIPS 2019,
    arXiv:1910.12037. Its code sums over classes where this is the mean.
    Fails: curves of one pixel disappear under pool = 4; an image of one class everywhere has no patches to tell apart,
    and only its cross-entropy teaches. Values are negative: rank no losses by them.
    """
    check_option("radius", str(radius), [str(each) for each in RADII])
    check_option("pool", str(pool), [str(each) for each in POOLS])
    pixels = prepare(logits, target, ignore_index)
    base = masked_mean(pixels.cross_entropy, pixels.valid)
    region = _uncertainty(pixels, radius, pool, xi)
    weight = dial(lam, base)
    return weight * base + (1 - weight) * region


def _uncertainty(pixels: Pixels, radius: int, pool: int, xi: Dial) -> Tensor:
    """Return log det of what P leaves unknown of Y, over 2 R², meaned over classes and over images with valid pixels.

    That matrix is the Schur complement of PPᵀ + ξI in the scatter matrix of the stacked patches (P, Y) plus ξI, so that
    its Cholesky factor is the lower right block of the joint one. The joint matrix is at least ξI by its making; the
    difference as written is so only up to rounding.
    """
    predicted = _patches((pixels.valid * pixels.prob).double(), radius, pool)
    wanted = _patches(pixels.onehot.double(), radius, pool)
    both = torch.cat([predicted, wanted], dim=2)
    centred = both - both.mean(-1, keepdim=True)
    scatter = centred @ centred.transpose(-1, -2)
    joint = scatter + dial(xi, scatter) * torch.eye(scatter.shape[-1], dtype=scatter.dtype, device=scatter.device)
    # Without its check: that would stall the device, and it can only fail where the logits are not finite.
    factor, _ = torch.linalg.cholesky_ex(joint)
    diagonal = factor.diagonal(dim1=-2, dim2=-1)[..., radius**2 :]
    per_image = (diagonal.log().sum(-1) / radius**2).mean(1)
    return image_mean(per_image, pixels.valid.sum((2, 3))).to(pixels.log_prob)


def _patches(maps: Tensor, radius: int, pool: int) -> Tensor:
    """Return the R × R patches of pooled (B, C, H, W) maps as columns: (B, C, R², number of patches)."""
    padding = pool // 2
    rows, columns = ((side + 2 * padding - pool) // pool + 2 - radius for side in maps.shape[2:])
    if rows < 1 or columns < 1:
        height, width = maps.shape[2:]
        least = radius * pool - 2 * padding
        raise LossError(
            f"an image size of {height} × {width} holds no patch of {radius} × {radius} after pooling by {pool}; "
            f"use at least {least} × {least} pixels, or a smaller radius or pool"
        )
    if pool > 1:
        maps = functional.avg_pool2d(maps, pool, padding=padding)
    views = [maps[..., i : i + rows, j : j + columns] for i in range(radius) for j in range(radius)]
    return torch.stack([view.flatten(2) for view in views], dim=2)


RMI = Family(
    function=rmi,
    title="Region mutual information loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="λ · cross-entropy + (1 − λ) · mean over images and classes of log det(Σ of target patches given predicted "
    "ones + ξI) / (2 R²)",
    source="Zhao et al. 2019, arXiv:1910.12037",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=SHARE,
            search=Uniform(0.1, 0.9),
            effect="single pixels count more against their neighbourhood; 1 is cross-entropy. Precision and recall are "
            "left alone",
        ),
        "radius": Hyperparameter(
            symbol="R",
            legal=Choice(RADII),
            static=True,
            effect="side of a patch: more neighbours are looked at, at R⁴ the cost",
        ),
        "pool": Hyperparameter(
            symbol="pool",
            legal=Choice(POOLS),
            static=True,
            effect="side of the pooling before: cheaper, and recall of structures thinner than it falls",
        ),
        "xi": Hyperparameter(
            symbol="ξ",
            legal=LogUniform(1e-6, 1.0),
            effect="errors smaller than √ξ are forgotten; precision and recall are left alone",
        ),
    },
    aliases=("region_mutual_loss", "region_mutual_information"),
    exempt={
        "non-negative": "a logarithm of a determinant, close to ½ log ξ for a good mask",
        "padding": "looks at neighbouring pixels",
        "pixel order": "looks at neighbouring pixels",
        "mirror": "pooling windows start at the upper left corner",
    },
    limits="Curves of one pixel disappear under pool = 4, where 1 or 2 keeps them; values are negative, so that losses "
    "must not be ranked by them.",
    errata=(
        "Azad et al. 2023 give the lower bound of the mutual information as the loss, without the minus sign: the loss "
        "is minus the bound.",
        "The authors' code takes sigmoid probabilities and sums over classes; this one takes the softmax and the mean.",
    ),
)
