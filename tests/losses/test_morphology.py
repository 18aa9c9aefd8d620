"""Distances, contours and skeletons in torch, against SciPy and against the target maps of the same names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from sweeper.losses.morphology import distance_to, inner_boundary, soft_dilate, soft_erode, soft_skeleton
from sweeper.maps.distances import inner_contour
from sweeper.maps.kinds import compute_map

SIZES = [(1, 1), (1, 7), (7, 1), (5, 5), (16, 17), (33, 9), (12, 50)]


def random_masks(height, width, share, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 2, height, width, generator=generator, dtype=torch.float64) < share).double()


def blobs(side=24, seed=0):
    """Smooth random regions, several pixels wide."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    smooth = ndimage.gaussian_filter(noise, 2.0)
    return torch.from_numpy(smooth > np.quantile(smooth, 0.6)).double()[None, None]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_distance_is_that_of_scipy(height, width, share):
    for seed in range(4):
        goal = random_masks(height, width, share, seed=seed)
        for own, expected in zip(distance_to(goal).flatten(0, 1), goal.flatten(0, 1), strict=True):
            if expected.any():
                reference = ndimage.distance_transform_edt(expected.numpy() == 0)
                np.testing.assert_allclose(own.numpy(), reference, rtol=1e-14)
            else:
                assert (own == 0).all()


def test_distance_from_a_corner_is_exact_in_single_precision():
    goal = torch.zeros(300, 400)
    goal[0, 0] = 1
    rows, cols = np.ogrid[:300, :400]
    # The root is that of torch, which may differ from NumPy's in the last bit.
    expected = torch.from_numpy((rows**2 + cols**2).astype(np.float32)).sqrt()
    assert torch.equal(distance_to(goal), expected)


def test_distance_keeps_the_dtype_and_carries_no_gradient():
    goal = torch.ones(4, 4, requires_grad=True)
    assert distance_to(goal.float()).dtype == torch.float32
    assert not distance_to(goal).requires_grad


def test_distance_of_many_masks_at_once():
    goal = random_masks(9, 21, 0.1, count=5)
    together = torch.func.vmap(distance_to)(goal)
    assert torch.equal(together, torch.stack([distance_to(each) for each in goal]))
    assert distance_to(goal[:0]).shape == (0, 2, 9, 21)


@pytest.mark.parametrize("seed", range(4))
def test_of_a_mask_they_are_binary_morphology(seed):
    mask = random_masks(9, 11, 0.7, seed=seed)
    cross, square = ndimage.generate_binary_structure(2, 1), ndimage.generate_binary_structure(2, 2)
    for each, eroded, dilated in zip(
        *(x.flatten(0, 1) for x in (mask, soft_erode(mask), soft_dilate(mask))), strict=True
    ):
        assert np.array_equal(eroded.numpy(), ndimage.binary_erosion(each.numpy(), cross, border_value=1))
        assert np.array_equal(dilated.numpy(), ndimage.binary_dilation(each.numpy(), square))


def test_erosion_and_dilation_of_probabilities_worked_by_hand():
    x = torch.tensor([[[[0.9, 0.2, 0.5], [0.8, 0.7, 0.6], [0.1, 0.9, 0.3]]]])
    assert soft_erode(x).tolist() == torch.tensor([[[[0.2, 0.2, 0.2], [0.1, 0.2, 0.3], [0.1, 0.1, 0.3]]]]).tolist()
    assert soft_dilate(x).tolist() == torch.tensor([[[[0.9, 0.9, 0.7], [0.9, 0.9, 0.9], [0.9, 0.9, 0.9]]]]).tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iterations", [0, 1, 2, 6])
def test_skeleton_of_a_mask_is_the_target_map(seed, iterations):
    mask = blobs(seed=seed)
    level = compute_map("skeleton_level", mask[0, 0].numpy().astype(np.int64), 2)[1]
    assert np.array_equal(soft_skeleton(mask, iterations)[0, 0].numpy(), level <= iterations)


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_skeleton_of_probabilities_by_grey_morphology(iterations):
    # A pixel is on the skeleton unless it is spared at every level: 1 − Π (1 − δ).
    x = torch.rand(1, 1, 13, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image, spared = x[0, 0].numpy(), 1.0
    cross = ndimage.generate_binary_structure(2, 1)
    for _ in range(iterations + 1):
        eroded = ndimage.grey_erosion(image, footprint=cross, mode="nearest")
        opened = ndimage.grey_dilation(eroded, size=(3, 3), mode="nearest")
        spared = spared * (1 - np.maximum(image - opened, 0))
        image = eroded
    np.testing.assert_allclose(soft_skeleton(x, iterations)[0, 0].numpy(), 1 - spared, atol=1e-12)


def test_skeleton_of_a_bar_is_its_middle_line():
    bar = torch.zeros(1, 1, 9, 20)
    bar[..., 2:7, :] = 1
    middle = torch.zeros(1, 1, 9, 20)
    middle[..., 4, :] = 1
    assert torch.equal(soft_skeleton(bar, 2), middle)
    assert (soft_skeleton(bar, 1) == 0).all()


def test_skeleton_of_a_fading_line_is_the_line():
    line = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    line[..., 3, :] = torch.linspace(0.2, 0.9, 7)
    torch.testing.assert_close(soft_skeleton(line, 2), line)


@pytest.mark.parametrize("seed", range(4))
def test_inner_boundary_of_a_mask_is_its_contour(seed):
    mask = random_masks(9, 11, 0.7, seed=seed)
    valid = random_masks(9, 11, 0.8, seed=seed + 10)[:, :1]
    mask = mask * valid
    for image, keep, boundary in zip(mask, valid, inner_boundary(mask, valid), strict=True):
        for each, own in zip(image, boundary, strict=True):
            contour = inner_contour(each.numpy() > 0, keep[0].numpy() > 0)
            assert np.array_equal(own.numpy(), contour)


def test_inner_boundary_of_probabilities_worked_by_hand():
    x = torch.tensor([[[[0.9, 0.6, 0.5], [0.8, 0.1, 0.6]]]], dtype=torch.float64)
    valid = torch.ones_like(x)
    valid[..., 1, 1] = 0
    expected = torch.tensor([[[[0.3, 0.1, 0.0], [0.0, 0.0, 0.1]]]], dtype=torch.float64)
    torch.testing.assert_close(inner_boundary(x, valid), expected)
