"""Morphology of predictions, in torch: distances to a mask, contours, erosion, dilation, skeletons.

What depends on the target alone is a target map (`sweeper.maps`); this is for what changes with every step. Everything
here runs on any device and under vmap. The border of the image is no edge, as in the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d


def distance_to(goal: Tensor) -> Tensor:
    """Return the exact Euclidean distance of every pixel to the nearest pixel of `goal`, without a gradient.

    0 everywhere in an image that has no such pixel. Time grows as H W (H + W), memory as H W.

    Args:
        goal: (..., H, W), 1 on the pixels to reach and 0 elsewhere, of the dtype that the distance shall have.
    """
    goal = goal.detach()
    height, width = goal.shape[-2:]
    in_column = _distance_in_column(goal) ** 2
    columns = torch.arange(width, dtype=goal.dtype, device=goal.device)
    across = (columns.unsqueeze(-1) - columns) ** 2
    nearest = torch.full_like(goal, torch.inf)
    for column in range(width):  # One at a time: the table of all pairs would be W times the mask.
        nearest = torch.minimum(nearest, in_column[..., column, None] + across[column])
    # Beyond the diagonal there was nothing to reach: columns without a goal stand that far off.
    return torch.where(nearest > height**2 + width**2, 0, nearest).sqrt()


def _distance_in_column(goal: Tensor) -> Tensor:
    """Return the distance to the nearest goal of the same column, (..., H, W), over H + W where there is none."""
    height, width = goal.shape[-2:]
    far = 2.0 * (height + width)
    rows = torch.arange(height, dtype=goal.dtype, device=goal.device).unsqueeze(-1)
    above = torch.where(goal > 0, rows, -far).cummax(-2).values
    below = torch.where(goal > 0, rows, far).flip(-2).cummin(-2).values.flip(-2)
    return torch.minimum(rows - above, below - rows)


def soft_erode(x: Tensor) -> Tensor:
    """Return the least value of each pixel and its four neighbours in the image: (B, C, H, W), as `x`.

    Of a mask it is the erosion by a cross. Where ignored pixels are to erode their neighbours, `x` is 0 there.
    """
    return torch.minimum(-max_pool2d(-x, (3, 1), 1, (1, 0)), -max_pool2d(-x, (1, 3), 1, (0, 1)))


def soft_dilate(x: Tensor) -> Tensor:
    """Return the greatest value of each pixel and its eight neighbours in the image: (B, C, H, W), as `x`."""
    return max_pool2d(x, 3, 1, 1)


def soft_skeleton(x: Tensor, iterations: int) -> Tensor:
    """Return the soft skeleton: (B, C, H, W), as `x` with values in [0, 1].

    Of a mask it is what the pixels of `maps.shapes.skeleton_level` ≤ `iterations` are: those that an opening removes,
    from the mask or from one of its first erosions. A structure wider than 2 `iterations` + 1 pixels loses its middle.

    Source: Shit et al., "clDice", CVPR 2021, arXiv:2003.07311.
    """
    eroded = soft_erode(x)
    skeleton = (x - soft_dilate(eroded)).relu()
    for _ in range(iterations):
        x, eroded = eroded, soft_erode(eroded)
        delta = (x - soft_dilate(eroded)).relu()
        skeleton = skeleton + (delta - skeleton * delta).relu()
    return skeleton


def inner_boundary(x: Tensor, valid: Tensor) -> Tensor:
    """Return how far each pixel stands above the lowest of its four neighbours: (B, C, H, W), as `x`; 0 where ignored.

    Of a mask these are its pixels that touch the outside. Neighbours that are ignored or beyond the border count as
    neither inside nor outside.

    Args:
        x: (B, C, H, W), a mask or probabilities, in [0, 1].
        valid: (B, 1, H, W), 1 where the pixel counts, 0 where it is ignored.
    """
    return valid * (x - soft_erode(torch.where(valid > 0, x, 1)))
