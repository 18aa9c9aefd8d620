"""Sensitivity-specificity loss: two squared error rates and what r does between them."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.losses.families.region.sensitivity_specificity import sensitivity_specificity as loss

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)


def at(batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def rates(batch, label):
    """Mean squared error on a class's own pixels, and on the other valid ones, by boolean indexing."""
    logits, target = batch
    prob = logits.softmax(1)[:, label]
    own, other = target == label, (target != label) & (target != IGNORED)
    return ((1 - prob[own]) ** 2).mean(), (prob[other] ** 2).mean()


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@every_batch
@pytest.mark.parametrize("r", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_it_is_the_weighted_mean_of_two_rates(batch, r, classes):
    first = 1 if classes == "foreground" else 0
    terms = []
    for label in range(first, batch[0].shape[1]):
        missed, alarmed = rates(batch, label)
        terms.append(r * missed + (1 - r) * alarmed)
    same(at(batch, r=r, classes=classes), torch.stack(terms).mean())


@every_batch
def test_it_is_linear_in_r(batch):
    low, middle, high = (at(batch, r=r) for r in (0.2, 0.4, 0.6))
    same(middle, (low + high) / 2)


@pytest.mark.parametrize("seed", range(4))
def test_over_both_classes_r_does_nothing(seed):
    batch = random_batch(classes=2, seed=seed)
    values = [at(batch, r=r, classes="all") for r in (0.02, 0.3, 0.98)]
    same(values[0], values[1])
    same(values[0], values[2])


@pytest.mark.parametrize("seed", range(4))
def test_at_one_half_it_is_half_of_the_class_balanced_brier_score(seed):
    logits, target = random_batch(classes=2, seed=seed)
    valid = target != IGNORED
    onehot = torch.nn.functional.one_hot(target.where(valid, 0), 2).movedim(-1, 1)
    squared = ((logits.softmax(1) - onehot) ** 2).sum(1)
    balanced = torch.stack([squared[target == label].mean() for label in (0, 1)]).mean()
    same(at((logits, target), r=0.5), balanced / 2)


def test_image_scope_is_the_mean_of_the_images():
    logits, target = random_batch()
    images = [at((logits[[index]], target[[index]])) for index in (0, 1)]
    same(at((logits, target), scope="image"), sum(images) / 2)


@pytest.mark.parametrize("r", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_dial_as_a_number(r):
    # On B4 the missed pixel (p = .4 of 1) pulls 2 r · .6 / 2 and the false alarm (p = .2 of 0) 2 (1 − r) · .2 / 2.
    logits, target = PICTURES["B4"]
    logits = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target, r=r), logits)
    slope = gradient[0, 1, 0, 1:3] / torch.tensor([0.24, 0.16])
    assert slope[0].item() == pytest.approx(-0.6 * r, rel=1e-6)
    assert slope[1].item() == pytest.approx(0.2 * (1 - r), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_raising_r_makes_misses_pull_harder(seed):
    logits, target = random_batch(classes=2, seed=seed)
    logits = logits.clone().requires_grad_()
    missed, alarmed = target == 1, target == 0
    ratios = []
    for r in (0.02, 0.1, 0.5, 0.9, 0.98):
        (gradient,) = torch.autograd.grad(at((logits, target), r=r), logits)
        pull = gradient[:, 1].abs()
        ratios.append((pull[missed].mean() / pull[alarmed].mean()).item())
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios


def test_a_batch_without_foreground_teaches_nothing():
    logits, target = random_batch()
    logits.requires_grad_()
    value = at((logits, torch.zeros_like(target)))
    assert value == 0
    assert (torch.autograd.grad(value, logits)[0] == 0).all()
