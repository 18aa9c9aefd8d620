"""Boundary-aware, shape-aware and active contour loss: erosions, contours and lengths, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from sweeper.losses.families.boundary.active_contour import active_contour
from sweeper.losses.families.boundary.boundary_aware import boundary_aware
from sweeper.losses.families.boundary.shape_aware import shape_aware
from sweeper.losses.families.pixel.cross_entropy import cross_entropy

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES
from .boundary_batches import (
    CASES,
    arrays,
    blocky,
    labels_of,
    leaning,
    mean_over,
    nearest,
    neighbours,
    picture,
    same,
)


@pytest.fixture(params=CASES, ids=str)
def batch(request):
    return blocky(*request.param)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


# Boundary-aware


def erode(x):
    """Least value of each pixel and its four neighbours in the image."""
    out = x.copy()
    for row, col in np.ndindex(x.shape):
        out[row, col] = min(x[n] for n in [(row, col), *neighbours(row, col, x.shape)])
    return out


def levels_by_hand(batch, label, levels):
    """Mean binary cross-entropy of one class after 0, 1, ... erosions."""
    p, t, valid = arrays(batch)
    sums = np.zeros(levels)
    for image in range(len(p)):
        guess, truth = p[image, label] * valid[image], t[image, label].astype(float)
        for level in range(levels):
            if level:
                guess, truth = erode(guess), erode(truth)
            inside = guess[valid[image]], truth[valid[image]]
            # At 0 · log 0, which is an ignored neighbour's, there is nothing to pay.
            costs = np.where(inside[1] > 0, -np.log(np.maximum(inside[0], 1e-300)), -np.log1p(-inside[0]))
            sums[level] += costs.sum()
    return sums / valid.sum()


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
@pytest.mark.parametrize("decay", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_erosion_levels_by_brute_force(batch, levels, decay, classes):
    weights = np.array([decay**level for level in range(levels)])
    labels = labels_of(classes, batch[0].shape[1])
    costs = {label: weights @ levels_by_hand(batch, label, levels) / weights.sum() for label in labels}
    same(at(boundary_aware, batch, levels=levels, decay=decay, classes=classes), mean_over(costs, labels))


@pytest.mark.parametrize("seed", range(4))
def test_one_level_of_two_classes_is_cross_entropy(seed):
    batch = random_batch(2, seed)
    same(at(boundary_aware, batch, levels=1), at(cross_entropy, batch), rtol=1e-12, atol=1e-12)
    sure = (1e3 * batch[0], batch[1])
    same(at(boundary_aware, sure, levels=1), at(cross_entropy, sure), rtol=1e-12, atol=1e-12)


def test_levels_of_a_mask_are_its_city_block_distance(batch):
    # Of sure predictions: a cost of the logit's size wherever the distances to the edge, cut off at 3, differ by one.
    _, target = batch
    shifted = torch.where(target == IGNORED, 0, target).roll(1, 2)
    sure = 400.0 * torch.nn.functional.one_hot(shifted, batch[0].shape[1]).movedim(-1, 1).double()
    # Where an ignored neighbour erodes a prediction, it erodes the target too: both are 0 there.
    ignored = (target == IGNORED).numpy()
    differ, labels = {}, labels_of("foreground", batch[0].shape[1])
    for label in labels:
        total = 0
        for image, hidden in enumerate(ignored):
            depths = []
            for labelled in (target[image].numpy(), shifted[image].numpy()):
                mask = np.pad((labelled == label) & ~hidden, 9, mode="edge")
                distance = ndimage.distance_transform_cdt(mask, metric="taxicab")
                depths.append(np.minimum(distance[9:-9, 9:-9], 3))
            total += np.abs(depths[0] - depths[1])[~hidden].sum()
        differ[label] = total / 3 / (~ignored).sum()
    # The other classes share what a sure one leaves, which takes log(C − 1) off 400.
    same(at(boundary_aware, (sure, target)) / 400, mean_over(differ, labels), rtol=0.005, atol=0)


def test_on_a_curve_only_thick_predictions_cost_beyond_the_first_level():
    target = np.zeros((9, 9))
    target[:, 4] = 1
    thin, thick = 0.9 * target + 0.01, 0.9 * (ndimage.binary_dilation(target, np.ones((3, 3))) > 0) + 0.01
    deep = [
        3 * at(boundary_aware, picture(p, target)) - at(boundary_aware, picture(p, target), levels=1)
        for p in (thin, thick)
    ]
    assert deep[0] < 0.05
    assert deep[1] > 5 * deep[0]


# Shape-aware


def contour(mask, valid):
    out = np.zeros(mask.shape, dtype=bool)
    for row, col in np.argwhere(mask):
        out[row, col] = any(valid[n] and not mask[n] for n in neighbours(row, col, mask.shape))
    return out


def raised_by_hand(batch, normalize):
    """E of each image."""
    p, t, valid = arrays(batch)
    values = []
    for image in range(len(p)):
        guess = p[image].argmax(0)
        offs = []
        for label in range(1, p.shape[1]):
            predicted = contour((guess == label) & valid[image], valid[image])
            true = contour(t[image, label], valid[image])
            offs.append(nearest(true)[predicted].mean() if predicted.any() and true.any() else 0.0)
        values.append(np.mean(offs) / (np.hypot(*guess.shape) if normalize == "diagonal" else 1.0))
    return values


@pytest.mark.parametrize("weight", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("normalize", ["none", "diagonal"])
@pytest.mark.parametrize("scope_pixels", ["mismatched", "all"])
def test_shape_aware_by_brute_force(batch, weight, normalize, scope_pixels):
    for one in (batch, leaning(batch)):
        p, t, valid = arrays(one)
        total = 0.0
        for image, raised in enumerate(raised_by_hand(one, normalize)):
            ce = -np.log((p[image] * t[image]).sum(0)[valid[image]])
            wrong = ~np.take_along_axis(t[image], p[image].argmax(0)[None], 0)[0][valid[image]]
            total += ((1 + weight * raised * (wrong | (scope_pixels == "all"))) * ce).sum()
        value = at(shape_aware, one, weight=weight, normalize=normalize, scope_pixels=scope_pixels)
        same(value, total / valid.sum())


def test_without_weight_or_where_all_is_right_it_is_cross_entropy(batch):
    same(at(shape_aware, batch, weight=0.0), at(cross_entropy, batch))
    right = leaning(batch, 30.0)
    same(at(shape_aware, right, weight=9.0), at(cross_entropy, right))


def test_it_rises_with_the_weight_from_cross_entropy(batch):
    values = [at(shape_aware, batch, weight=weight).item() for weight in (0.0, 0.05, 1.0, 10.0)]
    assert values == sorted(values)
    assert values[-1] > values[0]


@pytest.mark.parametrize("name", ["all foreground", "all background", "constant logits"])
def test_an_image_without_a_contour_in_either_mask_is_cross_entropy(name):
    batch = AWKWARD[name]()
    same(at(shape_aware, batch, scope_pixels="all"), at(cross_entropy, batch))


# Active contour


def contour_length(p, valid, epsilon):
    total = 0.0
    height, width = p.shape
    for row, col in np.ndindex(height - 1, width - 1):
        if valid[row, col] and valid[row + 1, col] and valid[row, col + 1]:
            down, right = p[row + 1, col] - p[row, col], p[row, col + 1] - p[row, col]
            total += (down**2 + right**2 + epsilon) ** 0.5
    return total


@pytest.mark.parametrize("lam", [0.0, 0.1, 10.0])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_length_and_errors_by_brute_force(batch, lam, epsilon, classes):
    p, t, valid = arrays(batch)
    labels = labels_of(classes, p.shape[1])
    costs = {}
    for label in labels:
        length = sum(contour_length(p[image, label], valid[image], epsilon) for image in range(len(p)))
        wrong = (p[:, label] * ~t[:, label] + (1 - p[:, label]) * t[:, label])[valid].sum()
        costs[label] = (length + lam * wrong) / valid.sum()
    same(at(active_contour, batch, lam=lam, epsilon=epsilon, classes=classes), mean_over(costs, labels))


def test_a_flat_prediction_has_the_length_of_its_rounding():
    logits, target = PICTURES["G5"]
    value = at(active_contour, (0 * logits, target), lam=0.0)
    same(value, 16 * 1e-4 / 25)


def test_length_of_a_mask_is_its_total_variation_by_hand():
    # G5's square, sharp: the grid's corner pixels have one step each along two sides, and one pixel has both.
    _, target = PICTURES["G5"]
    value = at(active_contour, picture(target[0], target[0]), lam=0.0, epsilon=1e-12)
    # Above and left of the square 3 + 3 single steps, below and right 2 + 2, and √2 at its last pixel.
    same(value, (3 + 3 + 2 + 2 + 2**0.5) / 25, rtol=1e-4, atol=0)


def test_the_errors_part_is_linear_in_lambda(batch):
    values = [at(active_contour, batch, lam=lam) for lam in (0.0, 1.0, 4.0)]
    same(values[2] - values[0], 4 * (values[1] - values[0]))
    p, t, valid = arrays(batch)
    wrong = [np.abs(p[:, label] - t[:, label])[valid].mean() for label in range(1, p.shape[1])]
    same(values[1] - values[0], np.mean(wrong))
