"""Blob loss: each object by itself, against loops over labelled objects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.iou import iou
from sweeper.losses.families.region.tversky import tversky
from sweeper.losses.families.structural.blob import blob
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED, random_batch

BASES = {
    "dice": lambda *batch: dice(*batch, classes="foreground", ignore_index=IGNORED),
    "iou": lambda *batch: iou(*batch, classes="foreground", ignore_index=IGNORED),
    "tversky": lambda *batch: tversky(*batch, ignore_index=IGNORED),
    "cross_entropy": lambda *batch: cross_entropy(*batch, ignore_index=IGNORED),
}
PRICES = {"dice": (0.5, 0.5), "iou": (1.0, 1.0), "tversky": (0.3, 0.7)}


def at(batch, **values):
    return blob(*batch, ignore_index=IGNORED, **values).item()


def blobs_by_hand(batch, base, max_blobs):
    """One object after the other, as the paper has it: the others of its class are taken out of the picture."""
    logits, target = batch
    prob, ce, target = logits.softmax(1).numpy(), -logits.log_softmax(1).numpy(), target.numpy()
    images = []
    for p, cost, t in zip(prob, ce, target, strict=True):
        classes = []
        for label in range(1, len(p)):
            numbers, count = ndimage.label(t == label, np.ones((3, 3)))
            sizes = [(numbers == k + 1).sum() for k in range(count)]
            least = sorted(sizes, reverse=True)[:max_blobs][-1] if sizes else 0
            values = []
            for k in range(count):
                if sizes[k] < least:
                    continue
                own = numbers == k + 1
                seen = (t != IGNORED) & ((t != label) | own)
                if base == "cross_entropy":
                    truth = np.where(t == IGNORED, 0, t)
                    values.append(np.take_along_axis(cost, truth[None], 0)[0][seen].mean())
                else:
                    tp, fp, fn = p[label][own].sum(), p[label][seen & ~own].sum(), (1 - p[label][own]).sum()
                    alpha, beta = PRICES[base]
                    values.append(1 - tp / (tp + alpha * fp + beta * fn))
            if values:
                classes.append(np.mean(values))
        if classes:
            images.append(np.mean(classes))
    return np.mean(images) if images else 0.0


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))
@pytest.mark.parametrize("max_blobs", [1, 2, 32])
def test_objects_one_by_one(base, classes, seed, max_blobs):
    logits, target = random_batch(classes, seed, side=9, images=3)
    target = torch.where(torch.rand(target.shape, generator=torch.Generator().manual_seed(seed)) < 0.5, 0, target)
    target[1] = 0
    batch = logits, target
    expected = blobs_by_hand(batch, base, max_blobs)
    assert at(batch, alpha=0.0, beta=1.0, base=base, max_blobs=max_blobs) == pytest.approx(expected, abs=1e-12)
    whole = BASES[base](*batch).item()
    value = at(batch, alpha=2.0, beta=0.7, base=base, max_blobs=max_blobs)
    assert value == pytest.approx(2 * whole + 0.7 * expected, abs=1e-12)


def test_worked_by_hand():
    # Dice of the objects 0.631578947 and 0.85: one minus their mean.
    p = torch.tensor([0.6, 0.1, 0.9, 0.8, 0.2], dtype=torch.float64)
    logits = torch.stack([1 - p, p]).log()[None, :, None]
    target = torch.tensor([[[1, 0, 1, 1, 0]]])
    assert at((logits, target), alpha=0.0) == pytest.approx(0.259210526, abs=1e-8)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_one_object_per_class_is_the_base(base, classes):
    logits, target = random_batch(classes, side=10, images=1)
    ignored = target == IGNORED
    target = torch.zeros_like(target)
    for label in range(1, classes):
        target[0, 2 * label, :6] = label
        ignored[0, 2 * label] = False
    batch = logits, torch.where(ignored, IGNORED, target)
    assert at(batch, alpha=2.0, beta=0.7, base=base) == pytest.approx(2.7 * BASES[base](*batch).item(), abs=1e-12)


def test_a_missed_speck_costs_as_much_as_a_missed_bar():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[0, 1, 1] = target[0, 4:7, :] = 1
    cost = {}
    for name, rows in (("speck", slice(0, 3)), ("bar", slice(3, 8))):
        guess = target.clone()
        guess[0, rows] = 0
        logits = 20 * torch.nn.functional.one_hot(guess, 2).movedim(-1, 1).double()
        cost[name] = at((logits, target), alpha=0.0), at((logits, target), beta=0.0)
    assert cost["speck"][0] == pytest.approx(cost["bar"][0], abs=1e-6)
    assert cost["speck"][1] < 0.1 * cost["bar"][1]


def test_map_given_or_computed_is_the_same():
    batch = random_batch(side=9)
    given = target_map("components", None, prepare(*batch, IGNORED))
    assert at(batch, components=given) == at(batch)
    assert at(batch, components=(given > 0).double()) != at(batch)


def pulls(beta, base):
    """The gradient of an unsure prediction: on all but objects to that on objects, and on a small one to a large one.

    The large object and the small one are half missed, and there is a false alarm far from both.
    """
    target = torch.zeros(1, 24, 24, dtype=torch.int64)
    target[0, 2:14, 2:14] = target[0, 18:21, 3:6] = 1
    guess = target.double()
    guess[0, 8:14, 2:14] = guess[0, 19:21, 3:6] = 0
    guess[0, 16:22, 14:20] = 1
    score = 2 * (2 * guess - 1)
    logits = torch.stack([-score / 2, score / 2], 1).requires_grad_()
    (slope,) = torch.autograd.grad(blob(logits, target, beta=beta, base=base), logits)
    pull = slope[:, 1].abs()
    missed = (target == 1) & (guess == 0)
    alarms = pull[(target == 0) & (guess == 1)].sum() / pull[missed].sum()
    return alarms.item(), (pull[0, 19:21, 3:6].mean() / pull[0, 8:14, 2:14].mean()).item()


@pytest.mark.parametrize("base", BASES)
def test_beta_raises_small_objects_and_spares_no_false_alarm(base):
    alarms, small = zip(*(pulls(beta, base) for beta in (0.1, 0.5, 1.0, 3.0, 10.0)), strict=True)
    assert list(alarms) == sorted(set(alarms))
    assert list(small) == sorted(set(small))


def test_with_cross_entropy_the_background_dominates():
    (few, _), (many, _) = pulls(0.1, "cross_entropy"), pulls(10.0, "cross_entropy")
    assert many > 1.2 * few
    (few, small), (many, smaller) = pulls(0.1, "dice"), pulls(10.0, "dice")
    assert many < 1.2 * few
    assert smaller > 1.2 * small
