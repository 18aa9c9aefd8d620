"""Boundary difference over union and boundary F1: overlaps of masks and of edges, against plain counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sweeper.losses.families.boundary.boundary_dou import boundary_dou
from sweeper.losses.families.boundary.boundary_f1 import boundary_f1
from sweeper.losses.families.region.dice import dice

from ..batches import AWKWARD, IGNORED
from ..golden import PICTURES
from .boundary_batches import CASES, arrays, blocky, labels_of, leaning, mean_over, neighbours, picture, same


@pytest.fixture(params=CASES, ids=str)
def batch(request):
    return blocky(*request.param)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def squared_sizes(batch):
    """Σ p², pixels of the class and Σ p t of each class."""
    p, t, valid = arrays(batch)
    return [(p[:, c][valid] ** 2).sum() for c in range(p.shape[1])], t.sum((0, 2, 3)), (p * t).sum((0, 2, 3))


def outline_length(t):
    """Pixels of a mask whose four neighbours are not all of it; beyond the image there is none of it."""
    return sum(sum(t[n] for n in neighbours(row, col, t.shape)) < 4 for row, col in np.argwhere(t))


@pytest.mark.parametrize("classes", ["all", "foreground"])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.8), (0.0, 0.95), (-0.5, -0.2), (-1.0, 0.1), (0.3, 0.0)])
def test_difference_over_union_by_hand(batch, classes, low, high):
    p, t, _ = arrays(batch)
    values = {}
    for label, (squared, area, overlap) in enumerate(zip(*squared_sizes(batch), strict=True)):
        length = sum(outline_length(t[image, label]) for image in range(len(t)))
        alpha = min(max(1 - 2 * length / area, low), high)
        union = squared + area
        values[label] = (union - 2 * overlap) / (union - (1 + alpha) * overlap)
    value = at(boundary_dou, batch, alpha_min=low, alpha_max=high, classes=classes)
    same(value, mean_over(values, labels_of(classes, p.shape[1])))


def test_alpha_zero_is_squared_iou_and_minus_one_squared_dice(batch):
    squared, area, overlap = (torch.tensor(np.array(each)) for each in squared_sizes(batch))
    iou = 1 - overlap / (squared + area - overlap)
    same(at(boundary_dou, batch, alpha_min=0.0, alpha_max=0.0), iou.mean())
    same(at(boundary_dou, batch, alpha_max=-1.0), at(dice, batch, denominator="squared", classes="all"))


def test_difference_over_union_grows_with_alpha_and_stays_below_one(batch):
    for one in (batch, leaning(batch), leaning(batch, -9.0)):
        values = [at(boundary_dou, one, alpha_min=a, alpha_max=a).item() for a in np.linspace(-1, 0.95, 14)]
        assert all(after >= before - 1e-12 for before, after in itertools.pairwise(values))
        assert values[0] < values[-1]
        assert values[0] >= 0
        assert values[-1] <= 1


def test_a_curve_of_one_pixel_is_dice():
    batch = PICTURES["C5"]
    value = at(boundary_dou, batch, classes="foreground")
    same(value, at(dice, batch, denominator="squared", classes="foreground"))


def test_the_inside_of_a_large_object_counts_less_than_its_rim():
    target = np.zeros((40, 40))
    target[4:36, 4:36] = 1
    batch = picture(0.9 * target + 0.05, target)
    # 32² pixels, of them 124 on the outline: α = 1 − 248 / 1024, below the upper clip.
    p = 0.95
    difference = 1024 * (1 - p) ** 2 + (1600 - 1024) * 0.05**2
    expected = difference / (difference + 248 / 1024 * 1024 * p)
    same(at(boundary_dou, batch, classes="foreground"), expected)


# Boundary F1


def edge_of(x):
    """Largest value of 1 − x among a pixel and its eight neighbours, less its own."""
    out = np.zeros(x.shape)
    for row, col in np.ndindex(x.shape):
        lowest = min(x[n] for n in [(row, col), *neighbours(row, col, x.shape, eight=True)])
        out[row, col] = x[row, col] - lowest
    return out


def spread(x, reach):
    out = np.zeros(x.shape)
    for row, col in np.ndindex(x.shape):
        out[row, col] = x[max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1].max()
    return out


def parts(batch, label, theta):
    """Precision and recall of the edges of one class over the batch; None where the target has no edge."""
    p, t, valid = arrays(batch)
    found = own = recovered = true = 0.0
    for image in range(len(p)):
        edge, goal = edge_of(p[image, label] * valid[image]), edge_of(t[image, label].astype(float))
        found += (edge * spread(goal, theta // 2)).sum()
        recovered += (goal * spread(edge, theta // 2)).sum()
        own, true = own + edge.sum(), true + goal.sum()
    return (found / own, recovered / true) if true else None


@pytest.mark.parametrize("theta", [3, 5, 7, 9])
@pytest.mark.parametrize("beta", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_boundary_f1_by_brute_force(batch, theta, beta, classes):
    scores = {}
    for label in labels_of(classes, batch[0].shape[1]):
        edges = parts(batch, label, theta)
        if edges is not None:
            precision, recall = edges
            scores[label] = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
    value = at(boundary_f1, batch, theta=theta, beta_f=beta, classes=classes)
    same(value, 1 - mean_over(scores, list(scores)))


def test_a_class_without_an_edge_is_skipped():
    logits, target = AWKWARD["all foreground"]()
    target = torch.ones_like(target)
    assert at(boundary_f1, (logits, target)) == 0


@pytest.mark.parametrize("theta", [3, 5, 7, 9])
def test_shifts_within_the_tolerance_cost_nothing(theta):
    target = np.zeros((30, 30))
    target[8:18, 8:18] = 1
    reach = theta // 2
    for shift in range(6):
        cost = at(boundary_f1, picture(np.roll(target, shift, axis=1), target), theta=theta).item()
        assert (cost < 1e-9) == (shift <= reach), shift


def test_a_perfect_mask_costs_nothing(batch):
    value = at(boundary_f1, leaning(batch, 100.0)).item()
    assert value == pytest.approx(0.0, abs=1e-12)


def test_it_stays_between_zero_and_one(batch):
    for sharpness in (-9.0, 0.0, 1.0, 9.0):
        logits, target = batch
        assert 0 <= at(boundary_f1, (sharpness * logits, target)) <= 1


def test_beta_moves_it_from_precision_to_recall(batch):
    classes = range(1, batch[0].shape[1])
    edges = [parts(batch, label, 5) for label in classes]
    same(at(boundary_f1, batch, beta_f=1e-3), 1 - np.mean([edge[0] for edge in edges]), rtol=1e-4, atol=1e-5)
    same(at(boundary_f1, batch, beta_f=1e3), 1 - np.mean([edge[1] for edge in edges]), rtol=1e-4, atol=1e-5)


def test_the_dial_prices_a_missed_edge_against_a_false_one():
    # Far from each other: a gap in a true curve, too long for the tolerance, and a faint spot where nothing is.
    target = np.zeros((15, 15))
    target[:, 3] = 1
    guess = 0.8 * target + 0.02
    guess[4:11, 3], guess[7, 3], guess[7, 11] = 0.2, 0.3, 0.3
    batch = picture(guess, target)
    ratios = []
    for beta in np.geomspace(0.25, 4.0, 9):
        logits = batch[0].clone().requires_grad_()
        at(boundary_f1, (logits, batch[1]), beta_f=beta, theta=3).backward()
        gradient = logits.grad[0, 1].abs()
        ratios.append((gradient[7, 3] / gradient[7, 11]).item())
    assert all(after > before for before, after in itertools.pairwise(ratios))
