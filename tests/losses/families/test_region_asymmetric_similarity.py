"""Asymmetric similarity loss: one minus the F-score, and Tversky's dial on another scale."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.losses.families.region.asymmetric_similarity import asymmetric_similarity
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.tversky import tversky

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)
STATIC = [
    {"scope": scope, "classes": classes}
    for scope, classes in itertools.product(["batch", "image"], ["all", "foreground"])
]
BETAS = (0.25, 0.5, 1.0, 1.5, 4.0)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@every_batch
@pytest.mark.parametrize("static", STATIC, ids=str)
def test_it_is_tversky_at_shares_of_one_to_beta_squared(batch, static):
    for beta in BETAS:
        prices = {"alpha": 1 / (1 + beta**2), "beta": beta**2 / (1 + beta**2)}
        same(at(asymmetric_similarity, batch, beta_f=beta, **static), at(tversky, batch, **prices, **static))


@every_batch
def test_beta_one_is_dice(batch):
    same(at(asymmetric_similarity, batch, beta_f=1.0), at(dice, batch, classes="foreground"))


@every_batch
def test_its_ends_are_precision_and_recall(batch):
    logits, target = batch
    prob = logits.softmax(1)
    precision, recall = [], []
    for label in range(1, logits.shape[1]):
        hit = prob[:, label][target == label].sum()
        precision.append(hit / prob[:, label][target != IGNORED].sum())
        recall.append(hit / (target == label).sum())
    same(at(asymmetric_similarity, batch, beta_f=0.0), 1 - torch.stack(precision).mean())
    limit = at(asymmetric_similarity, batch, beta_f=1e6)
    torch.testing.assert_close(limit, 1 - torch.stack(recall).mean(), rtol=1e-6, atol=0)


@every_batch
def test_it_is_the_f_score_of_precision_and_recall(batch):
    logits, target = batch
    prob = logits.softmax(1)
    for beta in BETAS:
        scores = []
        for label in range(1, logits.shape[1]):
            hit = prob[:, label][target == label].sum()
            precision, recall = hit / prob[:, label][target != IGNORED].sum(), hit / (target == label).sum()
            scores.append((1 + beta**2) * precision * recall / (beta**2 * precision + recall))
        same(at(asymmetric_similarity, batch, beta_f=beta), 1 - torch.stack(scores).mean())


def pull_of_a_miss_over_push_of_an_alarm(beta):
    logits, target = PICTURES["B4"]
    logits = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(asymmetric_similarity(logits, target, beta_f=beta), logits)
    slope = gradient[0, 1, 0, 1:3] / torch.tensor([0.24, 0.16])
    return (slope[0] / slope[1]).abs().item()


def test_dial_as_a_number():
    # (α FP + β G) / (α TP) of Tversky, with a price ratio of β²: (FP + β² G) / TP, on B4 (.3 + 2 β²) / 1.3.
    ratios = [pull_of_a_miss_over_push_of_an_alarm(beta) for beta in BETAS]
    assert ratios == pytest.approx([(0.3 + 2 * beta**2) / 1.3 for beta in BETAS], rel=1e-6)
    assert all(after > before for before, after in itertools.pairwise(ratios))
