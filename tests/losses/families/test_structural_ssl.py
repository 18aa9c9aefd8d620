"""The structural similarity loss: pixel by pixel from its definition, which pixels it keeps, and its blend."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.structural.ssl import ssl

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES

BATCHES = pytest.mark.parametrize("batch", [random_batch(classes, seed) for classes in (2, 3, 5) for seed in (0, 1)])


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def errors_and_terms(batch, c4, window, sigma):
    """e and binary cross-entropy of every valid pixel and class, one window after the other."""
    logits, target = batch
    steps = torch.arange(window) - window // 2
    kernel = torch.exp(-(steps[:, None] ** 2 + steps**2).double() / (2 * sigma**2))
    kernel /= kernel.sum()
    height, width = target.shape[1:]
    errors, terms = [], []
    for image, label in itertools.product(range(len(target)), range(logits.shape[1])):
        prob = logits.softmax(1)[image, label] * (target[image] != IGNORED)
        mask = (target[image] == label).double()
        for row, col in itertools.product(range(height), range(width)):
            if target[image, row, col] == IGNORED:
                continue
            # Beyond the border, the nearest pixel in the image.
            place = ((row + steps).clamp(0, height - 1)[:, None], (col + steps).clamp(0, width - 1))
            scaled = []
            for picture in (mask, prob):
                mean = (kernel * picture[place]).sum()
                deviation = ((kernel * (picture[place] - mean) ** 2).sum() + 1e-8).sqrt()
                scaled.append((picture[row, col] - mean + c4) / (deviation + c4))
            errors.append((scaled[0] - scaled[1]).abs())
            right = prob[row, col] if mask[row, col] else 1 - prob[row, col]
            terms.append(-right.log())
    return torch.stack(errors), torch.stack(terms)


@BATCHES
@pytest.mark.parametrize(
    ("beta", "c4", "window", "sigma"),
    [(0.1, 0.01, 3, 1.5), (0.5, 0.1, 5, 0.7), (0.0, 0.001, 7, 3.0), (0.9, 0.01, 3, 1.5)],
)
def test_by_definition(batch, beta, c4, window, sigma):
    errors, terms = errors_and_terms(batch, c4, window, sigma)
    kept = errors > beta * errors.max()
    assert 0 < kept.sum() <= len(errors)
    expected = (errors * terms)[kept].sum() / kept.sum()
    same(at(ssl, batch, lam=0.0, beta=beta, c4=c4, window=window, sigma=sigma), expected)


@pytest.mark.parametrize(("picture", "kept", "largest"), [("G5", 20, 1.371093283), ("C5", 16, 1.589322753)])
def test_the_pixels_of_low_correlation_are_kept(picture, kept, largest):
    errors, _ = errors_and_terms(PICTURES[picture], 0.01, 3, 1.5)
    assert errors.max().item() == pytest.approx(largest, abs=1e-8)
    assert (errors > 0.1 * errors.max()).sum() == kept


@BATCHES
def test_a_blend_with_cross_entropy(batch):
    structure, ce = at(ssl, batch, lam=0.0), at(cross_entropy, batch)
    same(at(ssl, batch, lam=1.0), ce)
    same(at(ssl, batch, lam=0.3), 0.3 * ce + 0.7 * structure)
    same(at(ssl, batch), (ce + structure) / 2)


def test_a_perfect_prediction_costs_nothing():
    assert at(ssl, AWKWARD["saturated right"](), lam=0.0) == 0


def test_a_wrong_prediction_of_certainty_is_finite_and_dear():
    # Each pixel kept has a binary cross-entropy of 2e4 in the true class and in the one taken for it.
    value = at(ssl, AWKWARD["saturated wrong"](), lam=0.0)
    assert torch.isfinite(value)
    assert value > 1e3


def test_with_the_largest_share_nothing_is_kept():
    assert at(ssl, random_batch(), lam=0.0, beta=1.0) == 0


@BATCHES
def test_the_threshold_does_not_teach(batch):
    # The gradient is that of the mean over the pixels kept, with their choice held fixed.
    logits, target = batch
    logits = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(at(ssl, (logits, target), lam=0.0, beta=0.4), logits)
    errors, terms = errors_and_terms((logits, target), 0.01, 3, 1.5)
    kept = (errors > 0.4 * errors.max()).detach()
    (expected,) = torch.autograd.grad((errors * terms)[kept].mean(), logits)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)
