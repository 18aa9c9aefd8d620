"""Hausdorff losses: distances by all pairs, erosions and disks pixel by pixel, MONAI."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from sweeper.losses.families.boundary.hausdorff import hausdorff_dt, hausdorff_er
from sweeper.losses.families.boundary.hausdorff_cv import disk_sums, hausdorff_cv
from sweeper.maps.shapes import RADII, disk_kernel

from ..batches import IGNORED
from .boundary_batches import CASES, arrays, blocky, labels_of, leaning, mean_over, nearest, picture, same


@pytest.fixture(params=CASES, ids=str)
def batch(request):
    return blocky(*request.param)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def never_decreasing(values):
    return all(after >= before - 1e-12 for before, after in itertools.pairwise(values))


def to_edge(region, valid):
    """Distance of every pixel to the other side; 0 where there is none."""
    others = valid & ~region
    if not region.any() or not others.any():
        return np.zeros(region.shape)
    return np.where(region, nearest(others), nearest(region))


def per_class(batch, term, classes="foreground"):
    """Mean over the classes present of the mean over valid pixels of `term(p, t, valid)` of one image and class."""
    p, t, valid = arrays(batch)
    scored = [label for label in labels_of(classes, p.shape[1]) if t[:, label].any()]
    sums = {
        label: sum(term(p[i, label], t[i, label], valid[i])[valid[i]].sum() for i in range(len(p))) / valid.sum()
        for label in scored
    }
    return mean_over(sums, scored)


# Distance transforms


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_distance_form_by_brute_force(batch, alpha, one_sided, classes):
    def term(p, t, valid):
        weight = to_edge(t, valid) ** alpha
        if not one_sided:
            weight = weight + to_edge((p > 0.5) & valid, valid) ** alpha
        return (p - t) ** 2 * weight

    for one in (batch, leaning(batch)):
        value = at(hausdorff_dt, one, alpha=alpha, one_sided=one_sided, classes=classes)
        same(value, per_class(one, term, classes))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_distance_form_is_monai(case, alpha):
    monai = pytest.importorskip("monai.losses")
    logits, target = leaning(blocky(*case, ignored=0.0))
    module = monai.HausdorffDTLoss(alpha=alpha, include_background=False, softmax=True, to_onehot_y=True)
    theirs = module(logits.float(), target.unsqueeze(1)).item()
    same(at(hausdorff_dt, (logits, target), alpha=alpha), theirs, rtol=1e-4, atol=1e-6)


def test_one_sided_costs_no_more(batch):
    for alpha in (0.0, 1.0, 2.0):
        assert at(hausdorff_dt, batch, alpha=alpha, one_sided=True) <= at(hausdorff_dt, batch, alpha=alpha)


@pytest.mark.parametrize("case", [(2, 0), (3, 0)], ids=str)
def test_power_zero_is_the_squared_error_once_or_twice(case):
    # Every class is found in every image, so that both edges exist.
    batch = leaning(blocky(*case), 8.0)
    squared = per_class(batch, lambda p, t, valid: (p - t) ** 2)
    same(at(hausdorff_dt, batch, alpha=0.0), 2 * squared)
    same(at(hausdorff_dt, batch, alpha=0.0, one_sided=True), squared)


def test_power_zero_of_an_edge_that_is_not_there_is_nothing():
    # Nothing is predicted, so that D_P is 0 everywhere, also to the power 0.
    batch = picture(np.full((5, 5), 0.2), np.eye(5))
    same(at(hausdorff_dt, batch, alpha=0.0), at(hausdorff_dt, batch, alpha=0.0, one_sided=True))


@pytest.mark.parametrize("loss", [hausdorff_dt, hausdorff_er, hausdorff_cv])
def test_they_grow_with_the_power(batch, loss):
    values = [at(loss, batch, alpha=alpha).item() for alpha in np.linspace(0.0, 4.0, 9)]
    assert never_decreasing(values)
    assert values[0] < values[-1] or loss is hausdorff_er


@pytest.mark.parametrize("loss", [hausdorff_dt, hausdorff_er, hausdorff_cv])
def test_a_perfect_mask_costs_nothing(batch, loss):
    logits, target = leaning(batch, 100.0)
    assert at(loss, (logits, target)).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "values"), [(hausdorff_dt, {}), (hausdorff_dt, {"one_sided": True}), (hausdorff_cv, {})]
)
def test_a_false_alarm_farther_off_costs_more(loss, values):
    target = np.zeros((24, 24))
    target[9:15, 1:7] = 1
    costs = []
    for col in (9, 14, 19):
        guess = 0.9 * target
        guess[11:14, col : col + 3] = 0.9
        costs.append(at(loss, picture(guess, target), **values).item())
    assert costs == sorted(costs)
    assert costs[0] < costs[1]


# Erosion


def eroded(error, valid, erosions, alpha):
    kernel = ndimage.generate_binary_structure(2, 1) / 5
    total = np.zeros(error.shape)
    for step in range(1, erosions + 1):
        error = np.maximum(ndimage.convolve(error, kernel, mode="constant") - 0.5, 0) * valid
        low, high = error[valid].min(), error[valid].max()
        if high > low:
            error = (error - low) / (high - low) * valid
        total += step**alpha * error
    return total


@pytest.mark.parametrize("erosions", [1, 3, 10])
@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_erosion_form_by_brute_force(batch, erosions, alpha, classes):
    logits, target = batch
    wrong = (-3 * logits.abs(), target)
    for one in (batch, wrong, (0 * logits, target)):
        value = at(hausdorff_er, one, erosions=erosions, alpha=alpha, classes=classes)
        same(value, per_class(one, lambda p, t, valid: eroded((p - t) ** 2 * valid, valid, erosions, alpha), classes))


def test_erosions_are_stretched_from_their_least_value_worked_by_hand():
    # All nine pixels wrong: the mean over the cross is 3/5 in the corners, 4/5 beside them, 1 in the middle. Less 1/2
    # that is .1, .3 and .5, stretched 0, 1/2 and 1.
    batch = picture(np.zeros((3, 3)), np.ones((3, 3)))
    same(at(hausdorff_er, batch, erosions=1), (4 * 0.5 + 1) / 9)


def test_erosion_form_sees_a_missed_block_and_no_isolated_pixel():
    target = np.zeros((9, 9))
    target[3:6, 3:6] = 1
    assert at(hausdorff_er, picture(0 * target, target)) > 0.05
    speck = target.copy()
    speck[0, 0] = 1
    assert at(hausdorff_er, picture(speck, target)) == 0


@pytest.mark.parametrize(("squared_error", "seen"), [(0.83, False), (0.84, True)])
def test_erosion_form_sees_a_missed_line_above_five_sixths(squared_error, seen):
    line = np.zeros((9, 9))
    line[4] = 1
    guess = np.where(line > 0, 1 - squared_error**0.5, 0.0)
    assert (at(hausdorff_er, picture(guess, line)) > 0) == seen


def test_erosion_form_prices_a_line_of_two_pixels_above_a_block():
    line, block = np.zeros((32, 32)), np.zeros((32, 32))
    line[15:17] = 1
    block[10:22, 10:22] = 1
    assert at(hausdorff_er, picture(0 * line, line)) > 2 * at(hausdorff_er, picture(0 * block, block)) > 0


@pytest.mark.parametrize("alpha", [0.5, 2.0, 3.0])
def test_erosion_form_prices_misses_and_false_alarms_alike(alpha):
    block = np.zeros((16, 16))
    block[4:12, 5:13] = 0.95
    speck = np.zeros((16, 16))
    speck[0, 0] = 1
    # The isolated pixel is there to keep the class in the target, and found.
    missed, mistaken = picture(0.05 * np.sign(block) + speck, np.sign(block) + speck), picture(block + speck, speck)
    same(at(hausdorff_er, missed, alpha=alpha), at(hausdorff_er, mistaken, alpha=alpha))


# Disks


def price(guess, target, **values):
    """Cost per pixel of the target."""
    return at(hausdorff_cv, picture(guess, target), **values).item() / target.sum()


def test_a_missed_line_costs_per_pixel_at_least_half_of_a_missed_block():
    line, block = np.zeros((32, 32)), np.zeros((32, 32))
    line[15] = 1
    block[10:22, 10:22] = 1
    for radius in RADII:
        lost = price(0 * line, line, largest_radius=radius)
        assert lost >= 0.5 * price(0 * block, block, largest_radius=radius)


def test_lines_cost_hardly_less_beside_the_truth_than_far_off_but_blocks_do():
    line, block = np.zeros((48, 48)), np.zeros((48, 48))
    line[23] = 1
    block[14:34, 14:34] = 1
    for target, least, most in ((line, 0.9, 1.0), (block, 0.0, 0.2)):
        near, far = (price(np.roll(target, rows, axis=0), target) for rows in (1, 20))
        assert least <= near / far <= most


@pytest.mark.parametrize("radius", RADII)
def test_sums_over_disks_are_a_convolution(radius):
    mask = np.random.default_rng(radius).random((2, 21, 34)) < 0.4
    disk = disk_kernel(radius) > 0
    expected = [signal.fftconvolve(each, disk, mode="same") for each in mask.astype(float)]
    assert np.array_equal(disk_sums(torch.from_numpy(mask).double(), radius), np.round(expected))


def share(region, valid, radius):
    """Share of the disk around each pixel that the region has, among the disk's valid pixels."""
    rows, cols = np.indices(region.shape)
    near = (rows[..., None, None] - rows) ** 2 + (cols[..., None, None] - cols) ** 2 <= radius**2
    counted = (near & valid).sum((2, 3))
    return (near & region).sum((2, 3)) / np.maximum(counted, 1)


@pytest.mark.parametrize("largest_radius", [3, 9, 18])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_disk_form_by_brute_force(batch, largest_radius, classes):
    def term(p, t, valid):
        q = (p > 0.5) & valid
        weight = 0.0
        for radius in range(3, largest_radius + 1, 3):
            of_t, of_q = share(t, valid, radius), share(q, valid, radius)
            weight = weight + radius**1.5 * (
                np.maximum(0.5 - of_t, 0) * q
                + np.maximum(of_t - 0.5, 0) * (t & ~q)
                + np.maximum(0.5 - of_q, 0) * t
                + np.maximum(of_q - 0.5, 0) * (q & ~t)
            )
        return (p - t) ** 2 * weight

    # The target's responses are kept in half precision.
    value = at(hausdorff_cv, batch, alpha=1.5, largest_radius=largest_radius, classes=classes)
    same(value, per_class(batch, term, classes), rtol=2e-3, atol=1e-4)


def test_disk_form_grows_with_the_largest_radius(batch):
    values = [at(hausdorff_cv, batch, largest_radius=radius).item() for radius in RADII]
    assert values == sorted(values)
    assert values[0] < values[-1]
