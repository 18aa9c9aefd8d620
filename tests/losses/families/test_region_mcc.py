"""Matthews correlation loss: a correlation, and the same one for both of two classes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sweeper.losses.families.region.mcc import mcc

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)
ONE_OF_TWO = torch.arange(16).view(1, 4, 4) % 2


def at(batch, **values):
    return mcc(*batch, ignore_index=IGNORED, **values)


def decided(guess, classes=2):
    return 1e4 * torch.nn.functional.one_hot(guess, classes).movedim(-1, 1).double()


@every_batch
@pytest.mark.parametrize("classes", ["all", "foreground"])
@pytest.mark.parametrize("scope", ["batch", "image"])
def test_by_its_definition(batch, classes, scope):
    logits, target = batch
    prob = logits.softmax(1)
    first = 1 if classes == "foreground" else 0
    parts = [slice(None)] if scope == "batch" else [slice(0, 1), slice(1, 2)]
    losses = []
    for part in parts:
        for label in range(first, logits.shape[1]):
            p, y = prob[part, label], target[part]
            own, other = y == label, (y != label) & (y != IGNORED)
            tp, fn = p[own].sum(), (1 - p[own]).sum()
            fp, tn = p[other].sum(), (1 - p[other]).sum()
            losses.append(1 - (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt())
    value = at(batch, classes=classes, scope=scope)
    torch.testing.assert_close(value, torch.stack(losses).mean(), rtol=1e-9, atol=1e-12)


def test_both_of_two_classes_have_the_same_correlation():
    for seed in range(4):
        batch = random_batch(classes=2, seed=seed)
        torch.testing.assert_close(at(batch, classes="all"), at(batch, classes="foreground"), rtol=1e-9, atol=0)


def test_of_decided_masks_it_is_the_correlation_coefficient():
    generator = torch.Generator().manual_seed(3)
    guess, truth = torch.randint(2, (2, 1, 6, 6), generator=generator)
    expected = np.corrcoef(guess.flatten().numpy(), truth.flatten().numpy())[0, 1]
    assert at((decided(guess), truth)).item() == pytest.approx(1 - expected, abs=1e-9)


def test_right_is_0_independent_is_1_inverted_is_2():
    assert at((decided(ONE_OF_TWO), ONE_OF_TWO)).item() == pytest.approx(0, abs=1e-9)
    assert at((torch.zeros(1, 2, 4, 4, dtype=torch.float64), ONE_OF_TWO)).item() == pytest.approx(1, abs=1e-9)
    assert at((decided(1 - ONE_OF_TWO), ONE_OF_TWO)).item() == pytest.approx(2, abs=1e-9)


def test_true_negatives_count():
    # TP = FN = FP = 1 of 4 and of 16 pixels: Dice sees no difference, the correlation rises from 0 to 5/12 + 1/84.
    for side, correlation in ((2, 0.0), (4, (1 * 13 - 1) / (2 * 14))):
        truth = torch.zeros(1, side, side, dtype=torch.int64)
        guess = truth.clone()
        truth.view(-1)[:2] = 1
        guess.view(-1)[1:3] = 1
        assert at((decided(guess), truth)).item() == pytest.approx(1 - correlation, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_pixel_in_a_million_has_its_correlation(dtype):
    truth = torch.zeros(1, 1024, 1024, dtype=torch.int64)
    truth[0, 5, 5] = 1
    assert at((decided(truth).to(dtype), truth)).item() == pytest.approx(0, abs=1e-5)


def test_one_class_everywhere_costs_1_and_hardly_teaches():
    logits, target = random_batch()
    logits.requires_grad_()
    value = at((logits, torch.zeros_like(target)))
    assert value == 1
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient.abs().max() < 1e-6


NAMED = {name: PICTURES[name] for name in ("B4", "T4", "G5", "C5")} | {
    f"C={classes} seed={seed}": random_batch(classes, seed, ignored=0.0) for classes in (2, 3, 5) for seed in (0, 1)
}


@pytest.mark.parametrize("batch", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("classes", ["all", "foreground"])
def test_it_is_monai(batch, classes):
    from monai.losses import MCCLoss

    logits, target = batch
    background = classes == "all"
    module = MCCLoss(
        softmax=True, to_onehot_y=True, batch=True, smooth_nr=0.0, smooth_dr=1e-12, include_background=background
    )
    assert at(batch, classes=classes).item() == pytest.approx(module(logits, target.unsqueeze(1)).item(), abs=1e-9)
