"""SSIM: window by window from its definition, against MONAI, and what ignored pixels and absent classes do."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.structural.ssim import ssim

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES

BATCHES = pytest.mark.parametrize(
    "batch", [random_batch(classes, seed, side=7) for classes in (2, 3, 5) for seed in (0, 1)]
)


def at(batch, **values):
    return ssim(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def by_definition(batch, window, sigma, label):
    """One minus the mean similarity of one class, window by window."""
    logits, target = batch
    prob = logits.softmax(1)[:, label] * (target != IGNORED)
    mask = (target == label).double()
    steps = torch.arange(window) - window // 2
    kernel = torch.exp(-(steps[:, None] ** 2 + steps**2).double() / (2 * sigma**2))
    kernel /= kernel.sum()
    half, costs = window // 2, []
    for image, row, col in itertools.product(
        range(len(target)), *(range(half, side - half) for side in target.shape[1:])
    ):
        if target[image, row, col] == IGNORED:
            continue
        place = (image, slice(row - half, row + half + 1), slice(col - half, col + half + 1))
        p, t = prob[place], mask[place]
        mean_p, mean_t = (kernel * p).sum(), (kernel * t).sum()
        var_p, var_t = (kernel * (p - mean_p) ** 2).sum(), (kernel * (t - mean_t) ** 2).sum()
        cov = (kernel * (p - mean_p) * (t - mean_t)).sum()
        similarity = (2 * mean_p * mean_t + 1e-4) * (2 * cov + 9e-4)
        costs.append(1 - similarity / ((mean_p**2 + mean_t**2 + 1e-4) * (var_p + var_t + 9e-4)))
    return torch.stack(costs).mean()


@BATCHES
@pytest.mark.parametrize(("window", "sigma"), [(3, 1.5), (5, 0.7), (7, 3.0)])
def test_by_definition(batch, window, sigma):
    classes = range(batch[0].shape[1])
    costs = torch.stack([by_definition(batch, window, sigma, label) for label in classes])
    same(at(batch, window=window, sigma=sigma), costs[1:].mean())
    same(at(batch, window=window, sigma=sigma, classes="all"), costs.mean())


@pytest.mark.parametrize(("window", "sigma"), [(3, 1.5), (5, 0.8), (11, 1.5), (11, 2.5)])
@pytest.mark.parametrize("classes", [2, 3])
def test_is_that_of_monai(window, sigma, classes):
    from monai.losses import SSIMLoss

    logits, target = random_batch(classes, side=14, ignored=0.0)
    onehot = torch.nn.functional.one_hot(target, classes).movedim(-1, 1).double()
    theirs = SSIMLoss(2, win_size=window, kernel_sigma=sigma)(logits.softmax(1)[:, 1:], onehot[:, 1:])
    value = ssim(logits, target, window=window, sigma=sigma)
    # Theirs has its Gaussian in float32.
    assert value.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_one_even_window_worked_by_hand():
    # 3 × 3, p = ½ in the middle row and 0 elsewhere, the middle row the object: means 1/6 and 1/3; variances
    # (1/4)/3 − 1/36 = 1/18 and 1/3 − 1/9 = 2/9; covariance (1/2)/3 − 1/18 = 1/9.
    foreground = torch.full((3, 3), 1e-30, dtype=torch.float64)
    foreground[1] = 0.5
    logits = torch.stack([1 - foreground, foreground]).log().unsqueeze(0)
    target = torch.tensor([[[0, 0, 0], [1, 1, 1], [0, 0, 0]]])
    expected = 1 - (2 / 18 + 1e-4) * (2 / 9 + 9e-4) / ((1 / 36 + 1 / 9 + 1e-4) * (1 / 18 + 2 / 9 + 9e-4))
    assert ssim(logits, target, window=3, sigma=1e4).item() == pytest.approx(expected, rel=1e-6)


def test_absent_classes_are_skipped():
    logits, target = random_batch(3, side=7)
    without = torch.where(target == 2, 0, target)
    same(at((logits, without), window=3), by_definition((logits, without), 3, 1.5, 1))


def test_windows_of_certain_background_cost_nothing():
    # The object is far off, in a corner; 5 × 5 windows around the other corner see nothing of it.
    target = torch.zeros(1, 12, 12, dtype=torch.int64)
    target[:, :3, :3] = 1
    logits = torch.stack([1e4 * (1 - 2 * target.double()), -1e4 * (1 - 2 * target.double())], dim=1)
    assert at((logits, target), window=5) == pytest.approx(0, abs=1e-9)
    flipped = logits.clone()
    flipped[:, :, 9, 9] *= -1
    assert at((flipped, target), window=5) > 0.05


@BATCHES
def test_stays_between_zero_and_two(batch):
    assert 0 <= at(batch, window=3) <= 2


def test_the_opposite_is_worse_than_nothing():
    wrong, target = AWKWARD["saturated wrong"]()
    flat = torch.zeros_like(wrong)
    assert 1 < at((wrong, target), window=3, classes="all") < 2
    assert at((flat, target), window=3, classes="all") < at((wrong, target), window=3, classes="all")


@pytest.mark.parametrize(("height", "width"), [(5, 20), (20, 5), (1, 4)])
def test_images_smaller_than_the_window_are_refused(height, width):
    logits = torch.zeros(1, 2, height, width)
    with pytest.raises(LossError, match=f"images of {height} × {width} pixels are smaller than the window of 7"):
        ssim(logits, torch.zeros(1, height, width, dtype=torch.int64), window=7)


def test_an_image_of_the_windows_size_has_one():
    batch = random_batch(2, side=5, ignored=0.0)
    same(at(batch, window=5), by_definition(batch, 5, 1.5, 1))


def test_a_window_that_only_sees_ignored_pixels_has_no_say():
    logits, target = PICTURES["G5"]
    wide_logits = torch.nn.functional.pad(logits, (0, 4))
    wide_target = torch.nn.functional.pad(target, (0, 4), value=IGNORED)
    value = at((wide_logits, wide_target), window=3)
    same(value, by_definition((wide_logits, wide_target), 3, 1.5, 1))
