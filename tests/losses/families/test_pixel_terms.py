"""Pixel losses with another term than −log p: smoothed labels, polynomials, bounded errors, groups of classes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional

from sweeper.errors import LossError
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.pixel.hierarchical import hierarchical_cross_entropy
from sweeper.losses.families.pixel.label_smoothing import kl_divergence, label_smoothing_cross_entropy
from sweeper.losses.families.pixel.noise_robust import generalized_cross_entropy, phuber_cross_entropy
from sweeper.losses.families.pixel.poly1 import poly1_cross_entropy
from sweeper.losses.families.pixel.probability_error import mae, mse
from sweeper.losses.families.region.dice import generalized_dice

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES


@pytest.fixture(params=[(2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (5, 1)], ids=str)
def batch(request):
    classes, seed = request.param
    return random_batch(classes, seed)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def true_prob(batch):
    """Probability of the true class of each valid pixel, (N,)."""
    logits, target = batch
    valid = target != IGNORED
    return logits.softmax(1).gather(1, target.where(valid, 0).unsqueeze(1)).squeeze(1)[valid]


def slope(loss, p, **values):
    """dL/dp of one pixel whose true class has probability p, of two classes."""
    logits = torch.tensor([[[[math.log(p)]], [[math.log(1 - p)]]]], dtype=torch.float64, requires_grad=True)
    value = loss(logits, torch.zeros(1, 1, 1, dtype=torch.int64), **values)
    return (torch.autograd.grad(value, logits)[0][0, 0, 0, 0] / (p * (1 - p))).item()


def never_decreasing(values):
    return all(after >= before - 1e-12 for before, after in itertools.pairwise(values))


# Smoothed labels


def test_label_smoothing_is_torch(batch):
    for epsilon in (0.0, 0.1, 0.3, 1.0):
        expected = functional.cross_entropy(*batch, ignore_index=IGNORED, label_smoothing=epsilon)
        same(at(label_smoothing_cross_entropy, batch, epsilon=epsilon), expected)


def test_kl_divergence_is_torch(batch):
    logits, target = batch
    classes = logits.shape[1]
    valid = target != IGNORED
    onehot = functional.one_hot(target.where(valid, 0), classes).movedim(-1, 1).double()
    for epsilon in (0.0, 0.1, 0.3):
        label = (1 - epsilon) * onehot + epsilon / classes
        terms = functional.kl_div(logits.log_softmax(1), label, reduction="none").sum(1)
        same(at(kl_divergence, batch, epsilon=epsilon), terms[valid].mean())


def test_certain_labels_are_cross_entropy(batch):
    for loss in (label_smoothing_cross_entropy, kl_divergence):
        same(at(loss, batch, epsilon=0.0), at(cross_entropy, batch))


def test_label_smoothing_is_linear(batch):
    low, middle, high = (at(label_smoothing_cross_entropy, batch, epsilon=value) for value in (0.0, 0.2, 0.4))
    same(middle, (low + high) / 2)


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_both_are_smallest_at_the_smoothed_label(batch, epsilon):
    logits, target = batch
    classes = logits.shape[1]
    onehot = functional.one_hot(target.where(target != IGNORED, 0), classes).movedim(-1, 1).double()
    best = ((1 - epsilon) * onehot + epsilon / classes).log().requires_grad_()
    value = at(kl_divergence, (best, target), epsilon=epsilon)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert torch.autograd.grad(value, best)[0].abs().max() < 1e-12
    own, other = 1 - epsilon + epsilon / classes, epsilon / classes
    entropy = -own * math.log(own) - (classes - 1) * other * math.log(other)
    floor = at(label_smoothing_cross_entropy, (best, target), epsilon=epsilon)
    assert floor.item() == pytest.approx(entropy, abs=1e-12)
    assert at(label_smoothing_cross_entropy, batch, epsilon=epsilon) > entropy
    assert at(kl_divergence, batch, epsilon=epsilon) > 0


def test_their_gradients_are_the_same(batch):
    gradients = []
    for loss in (label_smoothing_cross_entropy, kl_divergence):
        logits = batch[0].clone().requires_grad_()
        gradients.append(torch.autograd.grad(at(loss, (logits, batch[1])), logits)[0])
    same(*gradients)


@pytest.mark.parametrize("loss", [label_smoothing_cross_entropy, kl_divergence])
def test_right_costs_less_than_wrong_though_certainty_is_not_best(loss):
    right, wrong = at(loss, AWKWARD["saturated right"]()), at(loss, AWKWARD["saturated wrong"]())
    assert right > 1
    assert wrong > 2 * right


def test_smp_needs_a_factor_and_divides_by_ignored_pixels_too():
    from segmentation_models_pytorch.losses import SoftCrossEntropyLoss

    batch, full = random_batch(), random_batch(ignored=0.0)
    with pytest.raises(TypeError):
        SoftCrossEntropyLoss()(*full)
    theirs = SoftCrossEntropyLoss(smooth_factor=0.1, ignore_index=IGNORED)
    same(at(label_smoothing_cross_entropy, full), theirs(*full))
    share = (batch[1] != IGNORED).double().mean()
    same(share * at(label_smoothing_cross_entropy, batch), theirs(*batch))


# Poly-1


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_poly1_by_its_definition(batch, gamma):
    p = true_prob(batch)
    for epsilon in (-1.0, 0.5, 5.0):
        expected = ((1 - p) ** gamma * -p.log() + epsilon * (1 - p) ** (gamma + 1)).mean()
        same(at(poly1_cross_entropy, batch, epsilon1=epsilon, gamma=gamma), expected)


def test_poly1_without_its_term_is_focal(batch):
    for gamma in (0.0, 0.7, 2.0):
        same(at(poly1_cross_entropy, batch, epsilon1=0.0, gamma=gamma), at(focal, batch, gamma=gamma))
    same(at(poly1_cross_entropy, batch, epsilon1=0.0), at(cross_entropy, batch))


def test_poly1_rises_in_a_straight_line_with_its_term(batch):
    for gamma in (0.0, 1.5):
        values = [at(poly1_cross_entropy, batch, epsilon1=epsilon, gamma=gamma) for epsilon in (-1.0, 0.0, 1.0, 2.0)]
        assert 0 < values[0] < values[1]
        same(values[3] - values[2], values[1] - values[0])


@pytest.mark.parametrize("p", [0.01, 0.4, 0.9, 0.999])
def test_poly1_pushes_towards_the_true_class_down_to_minus_one(p):
    assert slope(poly1_cross_entropy, p, epsilon1=-1.0) < 0
    assert slope(poly1_cross_entropy, 0.999, epsilon1=-1.1) > 0


def test_poly1_pulls_unsure_pixels_to_the_likelier_class():
    # Of ten like pixels three are foreground: the best probability is where 0.3 f(p) + 0.7 f(1 − p) is least.
    grid = torch.arange(0.001, 1, 0.001, dtype=torch.float64)
    target = torch.tensor([[[1] * 3 + [0] * 7]])
    for epsilon, expected in ((-1.0, 0.396), (0.0, 0.300), (1.0, 0.229), (5.0, 0.108)):
        costs = []
        for p in grid:
            logits = torch.stack([1 - p, p]).log().reshape(1, 2, 1, 1).expand(1, 2, 1, 10)
            costs.append(poly1_cross_entropy(logits, target, epsilon1=epsilon))
        assert grid[torch.stack(costs).argmin()].item() == pytest.approx(expected, abs=0.0011)
        # There the pull 1/p + ε₁ of the foreground is in balance with that of the background.
        pull, push = 0.3 * (1 / expected + epsilon), 0.7 * (1 / (1 - expected) + epsilon)
        assert pull == pytest.approx(push, abs=0.02)


# Robust to wrong labels


def test_phuber_by_its_definition(batch):
    p = true_prob(batch)
    for tau in (1.0, 2.0, 10.0):
        terms = torch.stack([-p.log() if p > 1 / tau else 1 + math.log(tau) - tau * p for p in p])
        assert tau > 2 or (p <= 1 / tau).any()
        same(at(phuber_cross_entropy, batch, tau=tau), terms.mean())


def test_phuber_rises_to_cross_entropy(batch):
    values = [at(phuber_cross_entropy, batch, tau=tau) for tau in (1.0, 1.5, 2.0, 5.0, 10.0, 100.0)]
    assert never_decreasing(values)
    assert values[0] < values[-1] <= at(cross_entropy, batch)
    same(at(phuber_cross_entropy, batch, tau=1e6), at(cross_entropy, batch))
    same(values[0], at(mae, batch) / 2)


def test_phuber_is_bounded_and_so_is_its_slope():
    assert at(phuber_cross_entropy, AWKWARD["saturated wrong"](), tau=7.0).item() == pytest.approx(1 + math.log(7))
    for p in (1e-6, 0.05, 0.1):
        assert slope(phuber_cross_entropy, p, tau=7.0) == pytest.approx(-7.0)
    # Both pieces meet with the same slope.
    before, after = (slope(phuber_cross_entropy, 1 / 7 + step, tau=7.0) for step in (-1e-9, 1e-9))
    assert before == pytest.approx(after, rel=1e-6)
    assert slope(phuber_cross_entropy, 0.5, tau=7.0) == pytest.approx(-2.0)


def test_generalized_by_its_definition(batch):
    p = true_prob(batch)
    for q in (0.05, 0.7, 1.0):
        same(at(generalized_cross_entropy, batch, q=q), ((1 - p**q) / q).mean())


def test_generalized_lies_between_cross_entropy_and_the_probability_missed(batch):
    values = [at(generalized_cross_entropy, batch, q=q) for q in (1e-6, 0.05, 0.3, 0.7, 1.0)]
    assert never_decreasing(values[::-1])
    torch.testing.assert_close(values[0], at(cross_entropy, batch), rtol=1e-5, atol=0)
    assert values[0] <= at(cross_entropy, batch)
    same(values[-1], 1 - true_prob(batch).mean())
    same(values[-1], at(mae, batch) / 2)
    same(values[-1], at(generalized_dice, batch, power=0.0, classes="all"))


def test_generalized_of_a_small_power_is_cross_entropy_also_in_float32(batch):
    logits, target = batch
    value = at(generalized_cross_entropy, (logits.float(), target), q=1e-6)
    torch.testing.assert_close(value, at(cross_entropy, (logits.float(), target)), rtol=1e-5, atol=1e-7)


# Errors of the probabilities


def test_errors_are_torch_times_the_class_count(batch):
    logits, target = batch
    classes = logits.shape[1]
    full = random_batch(classes, seed=3, ignored=0.0)
    onehot = functional.one_hot(full[1], classes).movedim(-1, 1).double()
    same(at(mse, full), classes * functional.mse_loss(full[0].softmax(1), onehot))
    same(at(mae, full), classes * functional.l1_loss(full[0].softmax(1), onehot))
    valid = target != IGNORED
    onehot = functional.one_hot(target.where(valid, 0), classes).movedim(-1, 1).double()
    same(at(mse, batch), (logits.softmax(1) - onehot).square().sum(1)[valid].mean())
    same(at(mae, batch), (logits.softmax(1) - onehot).abs().sum(1)[valid].mean())


def test_errors_of_two_classes_are_twice_those_of_the_true_one():
    batch = random_batch(classes=2)
    missed = 1 - true_prob(batch)
    same(at(mse, batch), 2 * missed.square().mean())
    same(at(mae, batch), 2 * missed.mean())


@pytest.mark.parametrize("loss", [mse, mae])
def test_errors_reach_from_zero_to_two(loss):
    assert at(loss, AWKWARD["saturated right"]()).item() == pytest.approx(0, abs=1e-12)
    assert at(loss, AWKWARD["saturated wrong"]()).item() == pytest.approx(2)


# Two levels

GROUPS = {2: [[1], [0]], 3: [[0, 2], [1]], 5: [[4, 0], [3, 1], [2]]}


def test_two_levels_by_their_definition(batch):
    logits, target = batch
    classes = logits.shape[1]
    prob = logits.softmax(1)
    for groups in (None, GROUPS[classes]):
        coarse = []
        for image, row, col in (target != IGNORED).nonzero().tolist():
            label = target[image, row, col].item()
            own = next(each for each in groups or [[0], range(1, classes)] if label in each)
            coarse.append(-prob[image, list(own), row, col].sum().log())
        for weight in (0.3, 1.0):
            expected = (1 - weight) * at(cross_entropy, batch) + weight * torch.stack(coarse).mean()
            same(at(hierarchical_cross_entropy, batch, weight=weight, groups=groups), expected)


def test_groups_of_one_class_each_are_cross_entropy(batch):
    classes = batch[0].shape[1]
    for weight in (0.0, 0.5, 1.0):
        single = [[label] for label in range(classes)]
        same(at(hierarchical_cross_entropy, batch, weight=weight, groups=single), at(cross_entropy, batch))
        if classes == 2:
            same(at(hierarchical_cross_entropy, batch, weight=weight), at(cross_entropy, batch))


def test_one_group_of_all_has_nothing_to_tell_apart(batch):
    everything = [range(batch[0].shape[1])]
    value = at(hierarchical_cross_entropy, batch, weight=0.25, groups=everything)
    same(value, 0.75 * at(cross_entropy, batch))
    assert at(hierarchical_cross_entropy, batch, weight=1.0, groups=everything).item() == pytest.approx(0, abs=1e-12)


def test_the_group_is_never_harder_than_the_class(batch):
    values = [at(hierarchical_cross_entropy, batch, weight=weight) for weight in (0.0, 0.4, 0.8, 1.0)]
    same(values[0], at(cross_entropy, batch))
    assert never_decreasing(values[::-1])
    if batch[0].shape[1] > 2:
        assert values[-1] < values[0]


def test_raising_the_weight_turns_from_mix_ups_to_misses():
    # T4: the true class 1 is mixed up with class 2 as well as with background; what pulls towards 2 goes with w.
    logits, target = PICTURES["T4"]
    pulls = []
    for weight in (0.0, 0.5, 1.0):
        logits = logits.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(hierarchical_cross_entropy(logits, target, weight=weight), logits)
        background, mixed_up = gradient[0, 0, 0, 1], gradient[0, 2, 0, 1]
        pulls.append((mixed_up / background).item())
        assert background > 0
    assert pulls[0] > pulls[1] > pulls[2]
    # At w = 1 foreground classes rise together.
    assert pulls[2] < 0


@pytest.mark.parametrize("groups", [[[0], [1]], [[0], [1, 2], [2]], [[0], [1, 2, 3]], []])
def test_groups_must_hold_every_class_once(groups):
    with pytest.raises(LossError, match="with 3 classes they must hold each of 0 to 2 once"):
        hierarchical_cross_entropy(*PICTURES["T4"], groups=groups)
