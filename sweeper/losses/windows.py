"""Gaussian windows that slide over a picture: mean, variance and covariance inside each.

Sums of shifted views in place of a convolution: nothing is rounded to half precision under autocast or to TF32 on an
accelerator, and a width that vmap batches needs no kernel of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.errors import LossError
from sweeper.losses.primitives import Dial, dial


@dataclass(frozen=True, slots=True)
class Moments:
    """What two pictures are like inside each window; all of one shape."""

    mean_x: Tensor
    mean_y: Tensor
    var_x: Tensor
    var_y: Tensor
    cov: Tensor


def gaussian_window(size: int, sigma: Dial, like: Tensor) -> Tensor:
    """Return the weights of a Gaussian of standard deviation `sigma` pixels along one side, (size,), which sum to 1.

    Raises: LossError for an even size, whose window would have no centre pixel.
    """
    if size < 1 or size % 2 == 0:
        raise LossError(f"a window has {size} pixels along its side; the number must be odd")
    steps = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    weights = torch.exp(-0.5 * (steps / dial(sigma, like)) ** 2)
    return weights / weights.sum()


def window_moments(x: Tensor, y: Tensor, weights: Tensor) -> Moments:
    """Return weighted mean, variance and covariance in every square window that lies in the picture whole.

    Pooled first along rows, then along columns. The variance of groups is the mean of their variances plus the variance
    of their means: sums of squares, never below 0. As a difference, E x² − (E x)², it would be rounding error alone in
    the flat windows of a mask.

    Args:
        x: (..., H, W), each channel by itself. `y` is of the same shape.
        weights: (size,), along each side, summing to 1; H and W are at least `size`.

    Returns (..., H − size + 1, W − size + 1) each.
    """
    flat = torch.zeros_like(x)
    return _pool(_pool(Moments(x, y, flat, flat, flat), weights, -1), weights, -2)


def replicate(x: Tensor, margin: int) -> Tensor:
    """Return a picture (..., H, W) with `margin` pixels more on each side, copies of the nearest one in it."""
    for dim in (-1, -2):
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
        x = torch.cat([*[first] * margin, x, *[last] * margin], dim)
    return x


def _pool(groups: Moments, weights: Tensor, dim: int) -> Moments:
    """Return the moments of each run of neighbouring groups along one dimension taken together."""
    size = weights.shape[0]
    length = groups.mean_x.shape[dim] - size + 1

    def pooled(values: list[Tensor]) -> Tensor:
        total = weights[0] * values[0]
        for weight, value in zip(weights[1:].unbind(), values[1:], strict=True):
            total = total + weight * value
        return total

    def shifted(values: Tensor) -> list[Tensor]:
        return [values.narrow(dim, start, length) for start in range(size)]

    xs, ys = shifted(groups.mean_x), shifted(groups.mean_y)
    mean_x, mean_y = pooled(xs), pooled(ys)
    off_x, off_y = [x - mean_x for x in xs], [y - mean_y for y in ys]
    return Moments(
        mean_x=mean_x,
        mean_y=mean_y,
        var_x=pooled([var + off**2 for var, off in zip(shifted(groups.var_x), off_x, strict=True)]),
        var_y=pooled([var + off**2 for var, off in zip(shifted(groups.var_y), off_y, strict=True)]),
        cov=pooled([cov + a * b for cov, a, b in zip(shifted(groups.cov), off_x, off_y, strict=True)]),
    )
