"""Log-cosh Dice: an increasing function of Dice, no more."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.log_cosh_dice import log_cosh_dice

from ..batches import IGNORED, random_batch

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1, 2))], ids=lambda each: "batch"
)
OPTIONS = [
    {},
    {"classes": "foreground"},
    {"scope": "image"},
    {"smooth": 2.0},
    {"denominator": "squared"},
    {"absent": "smooth", "smooth": 1.0},
    {"log_loss": True},
]


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


@every_batch
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_the_log_cosh_of_dice(batch, options):
    inner = at(dice, batch, **options)
    torch.testing.assert_close(at(log_cosh_dice, batch, **options), inner.cosh().log())
    for scale in (0.3, 2.0, 10.0):
        expected = (scale * inner).cosh().log() / scale
        torch.testing.assert_close(at(log_cosh_dice, batch, scale=scale, **options), expected)


@every_batch
def test_it_is_at_most_half_of_dice_squared(batch):
    assert at(log_cosh_dice, batch) <= at(dice, batch) ** 2 / 2


def test_it_ranks_predictions_as_dice_does():
    logits, target = random_batch()
    pairs = []
    for seed in range(12):
        noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=logits.dtype)
        guess = logits + 3 * noise
        pairs.append((at(dice, (guess, target)).item(), at(log_cosh_dice, (guess, target)).item()))
    pairs.sort()
    assert all(after[1] > before[1] for before, after in itertools.pairwise(pairs))


@every_batch
def test_its_gradient_is_that_of_dice_times_tanh(batch):
    logits, target = batch
    logits = logits.clone().requires_grad_()
    inner = at(dice, (logits, target))
    (plain,) = torch.autograd.grad(inner, logits)
    for scale in (0.3, 1.0, 10.0):
        (gradient,) = torch.autograd.grad(at(log_cosh_dice, (logits, target), scale=scale), logits)
        torch.testing.assert_close(gradient, (scale * inner).tanh() * plain)


def test_a_small_loss_keeps_its_digits_in_float32():
    # At ±7 every wrong probability is 9e-4, where x + softplus(−2x) − log 2 has no correct digit in float32.
    target = torch.arange(32).view(1, 4, 8) % 2
    logits = 7.0 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1)
    inner = dice(logits.double(), target).item()
    assert 1e-4 < inner < 1e-3
    value = log_cosh_dice(logits.float(), target).item()
    assert value == pytest.approx(inner**2 / 2, rel=1e-3)
    assert log_cosh_dice(logits.float(), target, scale=0.01).item() == pytest.approx(0.01 * inner**2 / 2, rel=1e-3)


def test_a_large_argument_does_not_overflow():
    _, target = random_batch(classes=2)
    wrong = -1e4 * torch.nn.functional.one_hot(torch.where(target == IGNORED, 0, target), 2).movedim(-1, 1).float()
    inner = at(dice, (wrong, target), log_loss=True).item()
    assert inner == pytest.approx(-math.log(1e-7), rel=1e-5)
    value = at(log_cosh_dice, (wrong, target), log_loss=True, scale=100.0).item()
    assert value == pytest.approx(inner - math.log(2) / 100, rel=1e-6)
