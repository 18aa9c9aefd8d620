"""Windows: moments against sums written out, borders, and precision where masks are flat."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import vmap
from torch.nn.functional import pad

from sweeper.errors import LossError
from sweeper.losses.windows import gaussian_window, replicate, window_moments

LIKE = torch.zeros((), dtype=torch.float64)


def pictures(seed, *shape):
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(x, y, weights):
    """The moments of every window from its own pixels, one window after the other."""
    size = len(weights)
    square = weights[:, None] * weights
    rows = []
    for row in range(x.shape[0] - size + 1):
        for col in range(x.shape[1] - size + 1):
            near_x, near_y = (each[row : row + size, col : col + size] for each in (x, y))
            mean_x, mean_y = (square * near_x).sum(), (square * near_y).sum()
            var_x, var_y = (square * (near_x - mean_x) ** 2).sum(), (square * (near_y - mean_y) ** 2).sum()
            cov = (square * (near_x - mean_x) * (near_y - mean_y)).sum()
            rows.append(torch.stack([mean_x, mean_y, var_x, var_y, cov]))
    return torch.stack(rows, dim=-1)


def as_rows(moments):
    each = (moments.mean_x, moments.mean_y, moments.var_x, moments.var_y, moments.cov)
    return torch.stack([values.flatten(-2) for values in each], dim=-2)


def test_gaussian_window_worked_by_hand():
    # exp(-1/2 (1/1.5)²) = exp(-2/9) beside a centre of 1.
    beside = math.exp(-2 / 9)
    expected = torch.tensor([beside, 1.0, beside], dtype=torch.float64) / (1 + 2 * beside)
    torch.testing.assert_close(gaussian_window(3, 1.5, LIKE), expected)


@pytest.mark.parametrize("size", [1, 3, 5, 7, 11])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 100.0])
def test_gaussian_window_is_an_even_share_out(size, sigma):
    weights = gaussian_window(size, sigma, LIKE)
    assert weights.shape == (size,)
    assert weights.sum().item() == pytest.approx(1.0)
    assert torch.equal(weights, weights.flip(0))
    assert weights.argmax() == size // 2


@pytest.mark.parametrize("size", [0, 2, 4])
def test_a_window_has_a_centre_pixel(size):
    with pytest.raises(LossError, match="must be odd"):
        gaussian_window(size, 1.5, LIKE)


@pytest.mark.parametrize(("size", "sigma"), [(1, 1.5), (3, 0.5), (3, 1.5), (5, 2.0)])
def test_moments_by_definition(size, sigma):
    x, y = pictures(size, 6, 8)
    weights = gaussian_window(size, sigma, LIKE)
    torch.testing.assert_close(as_rows(window_moments(x, y, weights)), by_definition(x, y, weights))


def test_channels_and_images_are_by_themselves():
    x, y = pictures(0, 2, 3, 5, 6)
    weights = gaussian_window(3, 1.0, LIKE)
    together = as_rows(window_moments(x, y, weights))
    assert together.shape == (2, 3, 5, 3 * 4)
    for image in range(2):
        for channel in range(3):
            alone = as_rows(window_moments(x[image, channel], y[image, channel], weights))
            torch.testing.assert_close(together[image, channel], alone)


def test_variance_of_flat_windows_is_exact_in_float32():
    # As E x² − (E x)² it would be of the order of 1e-7, and its root of 3e-4.
    ones, weights = torch.ones(9, 9), gaussian_window(7, 1.5, torch.zeros(()))
    moments = window_moments(ones, ones, weights)
    for spread in (moments.var_x, moments.var_y, moments.cov):
        assert spread.abs().max() < 1e-12


def test_variance_is_never_below_zero():
    x, y = pictures(3, 12, 12)
    moments = window_moments((1 + 1e-6 * x).float(), y.float(), gaussian_window(5, 1.5, torch.zeros(())))
    assert (moments.var_x >= 0).all()
    assert (moments.var_y >= 0).all()


def test_a_batch_of_widths():
    x, y = pictures(1, 5, 5)
    widths = torch.tensor([0.5, 1.5, 3.0], dtype=torch.float64)
    batched = vmap(lambda width: as_rows(window_moments(x, y, gaussian_window(3, width, x))))(widths)
    for width, found in zip(widths.tolist(), batched, strict=True):
        torch.testing.assert_close(found, by_definition(x, y, gaussian_window(3, width, x)))


@pytest.mark.parametrize("margin", [1, 2, 5])
def test_replicate_is_what_torch_does(margin):
    x, _ = pictures(2, 2, 3, 3, 4)
    torch.testing.assert_close(replicate(x, margin), pad(x, (margin,) * 4, mode="replicate"))


def test_replicate_of_no_margin_is_the_picture():
    x, _ = pictures(2, 1, 1, 3, 4)
    assert torch.equal(replicate(x, 0), x)
