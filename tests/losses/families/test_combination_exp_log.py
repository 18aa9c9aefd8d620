"""The exponential logarithmic loss: its definition class by class, its crossing point, and its end at 0."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from sweeper.losses.families.combination.exp_log import exp_log

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES

BATCHES = pytest.mark.parametrize("batch", [random_batch(classes, seed) for classes in (2, 3, 5) for seed in (0, 1)])


def at(batch, **values):
    return exp_log(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def dice_coefficients(batch):
    """2 Σ p t / (Σ p + Σ t) of each class over valid pixels, by boolean indexing."""
    logits, target = batch
    prob = logits.softmax(1).movedim(1, -1)[target != IGNORED]
    labels = target[target != IGNORED]
    return torch.stack(
        [2 * prob[labels == c, c].sum() / (prob[:, c].sum() + (labels == c).sum()) for c in range(logits.shape[1])]
    )


def pixel_terms(batch, power):
    """f^−½ (−log p)^γ of every valid pixel, with the frequencies of the batch."""
    logits, target = batch
    labels = target[target != IGNORED]
    shares = torch.bincount(labels, minlength=logits.shape[1]).double() / len(labels)
    ce = torch.nn.functional.cross_entropy(logits.movedim(1, -1)[target != IGNORED], labels, reduction="none")
    return ce**power / shares[labels].sqrt()


@BATCHES
@pytest.mark.parametrize(("gamma", "w_dice"), [(0.3, 0.8), (1.0, 0.8), (2.0, 0.3), (0.1, 1.0), (0.7, 0.0)])
def test_by_definition(batch, gamma, w_dice):
    region = (-dice_coefficients(batch).log()) ** gamma
    expected = w_dice * region.mean() + (1 - w_dice) * pixel_terms(batch, gamma).mean()
    same(at(batch, gamma=gamma, w_dice=w_dice), expected)


@BATCHES
def test_each_part_can_have_its_own_power(batch):
    region = (-dice_coefficients(batch).log()) ** 0.5
    expected = 0.8 * region.mean() + 0.2 * pixel_terms(batch, 1.5).mean()
    same(at(batch, gamma=0.5, gamma_ce=1.5), expected)
    same(at(batch, gamma=0.5, gamma_ce=0.5), at(batch, gamma=0.5))


@BATCHES
def test_options_reach_the_dice_part(batch):
    coefficients = dice_coefficients(batch)
    same(at(batch, w_dice=1.0, gamma=1.0, classes="foreground"), -coefficients[1:].log().mean())
    logits, target = batch
    images = [at((logits[i : i + 1], target[i : i + 1]), w_dice=1.0) for i in range(len(target))]
    same(at(batch, w_dice=1.0, scope="image"), torch.stack(images).mean())
    assert at(batch, w_dice=1.0, smooth=5.0) < at(batch, w_dice=1.0)


@pytest.mark.parametrize("gamma", [0.1, 0.3, 1.0, 2.0, 5.0])
def test_every_power_costs_the_same_at_one_over_e(gamma):
    # One foreground pixel of probability q has D = 2 q / (1 + q), which is 1/e at q = 1 / (2 e − 1).
    for w_dice, q in ((1.0, 1 / (2 * math.e - 1)), (0.0, 1 / math.e)):
        logits = torch.tensor([1 - q, q], dtype=torch.float64).log().reshape(1, 2, 1, 1)
        value = exp_log(logits, torch.ones(1, 1, 1, dtype=torch.int64), gamma=gamma, w_dice=w_dice)
        assert value.item() == pytest.approx(1.0)


def test_given_frequencies_worked_by_hand():
    # B4: −log p is .105360516 and .916290732 on class 1, .223143551 and .105360516 on class 0; f^−½ is 2 and 4.
    logits, target = PICTURES["B4"]
    value = exp_log(logits, target, gamma=1.0, w_dice=0.0, class_frequencies=[0.25, 0.0625])
    expected = (4 * (0.105360516 + 0.916290732) + 2 * (0.223143551 + 0.105360516)) / 4
    assert value.item() == pytest.approx(expected, abs=1e-8)


def test_a_class_never_seen_in_training_has_a_finite_weight():
    value = exp_log(*PICTURES["B4"], class_frequencies=[1.0, 0.0])
    assert torch.isfinite(value)


@pytest.mark.parametrize("gamma", [0.05, 0.3, 1.0])
def test_a_perfect_prediction_costs_nothing(gamma):
    logits, target = AWKWARD["saturated right"]()
    assert at((logits, target), gamma=gamma) == 0


@BATCHES
def test_linear_in_the_share_of_dice(batch):
    low, middle, high = (at(batch, w_dice=share) for share in (0.0, 0.25, 1.0))
    same(middle, 0.75 * low + 0.25 * high)


def test_hard_pixels_gain_on_easy_ones_as_the_power_rises():
    # B4's pixels of p = .4 and p = .9, both of class 1: the pull of the first over that of the second.
    ratios = []
    for gamma in (0.1, 0.5, 1.0, 2.0):
        logits, target = PICTURES["B4"]
        logits = logits.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(exp_log(logits, target, gamma=gamma, w_dice=0.0), logits)
        ratios.append((gradient[0, 1, 0, 1] / gradient[0, 1, 0, 0]).item())
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios
