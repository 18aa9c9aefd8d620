"""Robust T-loss: a Student-t density of each mask's residual, with ν given or learned."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.stats import multivariate_t

from sweeper.losses.companion import Setup
from sweeper.losses.families.region.robust_t import ROBUST_T, LearnedNu, robust_t

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)
NUS = (0.1, 1.0, 3.7, 1e4)


def at(batch, **values):
    return robust_t(*batch, ignore_index=IGNORED, **values)


def residuals(batch):
    """p − t of each image and foreground class over its valid pixels."""
    logits, target = batch
    prob = logits.softmax(1)
    return [
        (p[label] - (t == label).double())[t != IGNORED]
        for p, t in zip(prob, target, strict=True)
        for label in range(1, logits.shape[1])
    ]


@every_batch
@pytest.mark.parametrize("nu", NUS)
def test_it_is_the_density_of_scipy(batch, nu):
    costs = []
    for residual in residuals(batch):
        density = multivariate_t(loc=torch.zeros(len(residual)).numpy(), df=nu)
        costs.append((-density.logpdf(residual.numpy()), len(residual)))
    raw = sum(cost for cost, _ in costs) / len(costs)
    normalized = sum(cost / size for cost, size in costs) / len(costs)
    assert at(batch, nu=nu, normalize=False).item() == pytest.approx(raw, rel=1e-9)
    assert at(batch, nu=nu).item() == pytest.approx(normalized, rel=1e-9)


@every_batch
def test_of_large_nu_it_is_the_squared_error(batch):
    expected = [each.square().sum() / 2 + len(each) / 2 * math.log(2 * math.pi) for each in residuals(batch)]
    value = at(batch, nu=1e9, normalize=False)
    assert value.item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-5)


def test_of_large_nu_worked_by_hand():
    # B4: q = .01 + .36 + .04 + .01 = .42, so .21 + 2 log 2π.
    logits, target = PICTURES["B4"]
    value = robust_t(logits, target, nu=1e8, normalize=False)
    assert value.item() == pytest.approx(0.21 + 2 * math.log(2 * math.pi), abs=1e-6)


@every_batch
def test_a_small_nu_takes_pull_from_masks_that_are_far_off(batch):
    """The slope in q is (ν + D) / 2(ν + q): its share between a far and a near mask is (ν + near) / (ν + far)."""
    logits, target = batch
    size = (target != IGNORED).sum((1, 2)).double()
    q = torch.stack([each.square().sum() for each in residuals(batch)]).view(len(target), -1)
    for nu in NUS:
        leaf = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(at((leaf, target), nu=nu), leaf)
        leaf = logits.clone().requires_grad_()
        onehot = torch.nn.functional.one_hot(target.where(target != IGNORED, 0), logits.shape[1]).movedim(-1, 1)
        squares = ((target != IGNORED).unsqueeze(1) * (leaf.softmax(1) - onehot) ** 2)[:, 1:].sum((2, 3))
        weights = (nu + size.unsqueeze(1)) / (2 * (nu + q)) / size.unsqueeze(1)
        (expected,) = torch.autograd.grad((weights * squares).mean(), leaf)
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(("side", "nu"), [(5, 1e6), (5, 1e4), (256, 1.0)])
def test_terms_that_cancel_keep_their_digits_in_float32(side, nu):
    logits, target = random_batch(side=side)
    exact = at((logits.float().double(), target), nu=nu).item()
    assert at((logits.float(), target), nu=nu).item() == pytest.approx(exact, rel=1e-6)


def test_an_image_with_every_pixel_ignored_has_no_part_in_the_mean():
    logits, target = random_batch(images=3)
    target[1] = IGNORED
    torch.testing.assert_close(at((logits, target)), at((logits[[0, 2]], target[[0, 2]])), rtol=1e-9, atol=0)


def setup(**settings):
    return Setup(classes=3, channels=3, settings=ROBUST_T.defaults | settings)


@pytest.mark.parametrize("nu", [0.1, 1.0, 1e4])
def test_the_companion_starts_at_nu_and_takes_its_place(nu):
    companion = ROBUST_T.companion(setup(nu=nu))
    assert isinstance(companion, LearnedNu)
    assert companion.role == "joint"
    assert companion.lr_factor < 1
    assert [name for name, _ in companion.named_parameters()] == ["log_nu"]
    batch = random_batch()
    torch.testing.assert_close(at(batch, nu=99.0, companion=companion), at(batch, nu=nu), rtol=1e-5, atol=1e-6)


def test_nothing_is_learned_where_nu_is_fixed():
    assert ROBUST_T.companion(setup(trainable=False)) is None
    batch = random_batch()
    assert at(batch, nu=2.0, trainable=False, companion=LearnedNu(50.0)) == at(batch, nu=2.0, trainable=False)
    assert at(batch, nu=2.0) == at(batch, nu=2.0, trainable=False)


def test_nu_learns_and_stays_above_zero():
    companion = LearnedNu(100.0)
    logits, target = random_batch()
    optimizer = torch.optim.Adam(companion.parameters(), lr=0.3)
    values = []
    for _ in range(60):
        optimizer.zero_grad()
        value = at((logits, target), companion=companion)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0] - 0.01
    assert 0 < companion.nu < 50


def test_the_gradient_of_nu_is_that_of_the_value():
    batch = random_batch(side=3)
    nu = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda nu: at(batch, nu=nu), (nu,))


def test_learned_nus_can_be_stacked():
    batch = random_batch()
    companions = [LearnedNu(nu) for nu in (0.5, 2.0, 30.0)]
    parameters, _ = torch.func.stack_module_state(companions)

    def run(parameters):
        companion = LearnedNu(1.0)
        del companion.log_nu
        companion.log_nu = parameters["log_nu"]
        return at(batch, companion=companion)

    together = torch.func.vmap(run)(parameters)
    for value, companion in zip(together, companions, strict=True):
        torch.testing.assert_close(value, at(batch, companion=companion))
