"""Noise-robust Dice: squared Dice at one end, absolute errors at the other."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.noise_robust_dice import noise_robust_dice

from ..batches import AWKWARD, IGNORED, random_batch

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)
STATIC = [
    {"scope": scope, "classes": classes}
    for scope, classes in itertools.product(["batch", "image"], ["all", "foreground"])
]


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@every_batch
@pytest.mark.parametrize("static", STATIC, ids=str)
def test_gamma_two_is_dice_with_squared_denominator(batch, static):
    same(at(noise_robust_dice, batch, gamma=2.0, **static), at(dice, batch, denominator="squared", **static))


@every_batch
@pytest.mark.parametrize("gamma", [1.0, 1.3, 1.5])
def test_by_its_definition(batch, gamma):
    logits, target = batch
    prob, valid = logits.softmax(1), target != IGNORED
    losses = []
    for label in range(logits.shape[1]):
        p, t = prob[:, label][valid], (target == label)[valid].double()
        losses.append(((p - t).abs() ** gamma).sum() / ((p**2).sum() + t.sum()))
    same(at(noise_robust_dice, batch, gamma=gamma), torch.stack(losses).mean())


@every_batch
def test_it_falls_with_gamma(batch):
    values = [at(noise_robust_dice, batch, gamma=gamma) for gamma in (1.0, 1.25, 1.5, 1.75, 2.0)]
    assert all(after < before for before, after in itertools.pairwise(values))


@pytest.mark.parametrize(("foreground", "best"), [(6, (0.0, 0.04, 0.21, 0.35)), (8, (1.0, 0.84, 0.49, 0.47))])
def test_near_one_unsure_pixels_are_decided_wholesale(foreground, best):
    # Twenty like pixels, a share of them foreground, beside ten that surely are and 600 that surely are not. The best
    # probabilities are those of the formula on paper: at γ = 2 near the share, at γ = 1 either 0 or 1.
    target = torch.tensor([[[1] * (10 + foreground) + [0] * (620 - foreground)]])
    grid = torch.linspace(0, 1, 101, dtype=torch.float64)
    for gamma, expected in zip((1.0, 1.25, 1.5, 2.0), best, strict=True):
        costs = []
        for p in grid:
            prob = torch.cat([torch.ones(10), p.expand(20), torch.zeros(600)]).reshape(1, 1, -1).double()
            logits = torch.stack([1 - prob, prob], dim=1).clamp_min(1e-12).log()
            costs.append(noise_robust_dice(logits, target, gamma=gamma))
        assert grid[torch.stack(costs).argmin()].item() == pytest.approx(expected, abs=0.011)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
def test_where_every_pixel_is_right_the_gradient_is_zero_not_nan(gamma):
    logits, target = AWKWARD["saturated right"]()
    logits.requires_grad_()
    value = at(noise_robust_dice, (logits, target), gamma=gamma)
    assert value == 0
    assert (torch.autograd.grad(value, logits)[0] == 0).all()
