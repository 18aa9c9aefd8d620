"""Dice + focal and Dice + TopK: they contain their parts, and their options reach them."""

from __future__ import annotations

import pytest
import torch

from sweeper.losses.families.combination.dice_ce import dice_ce
from sweeper.losses.families.combination.dice_focal import dice_focal
from sweeper.losses.families.combination.dice_topk import dice_topk
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.pixel.topk import topk_cross_entropy
from sweeper.losses.families.region.dice import dice

from ..batches import IGNORED, random_batch

BATCHES = pytest.mark.parametrize("batch", [random_batch(classes, seed) for classes in (2, 3, 5) for seed in (0, 1)])


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@BATCHES
@pytest.mark.parametrize(("dice_weight", "other_weight"), [(1.0, 1.0), (0.3, 2.0), (4.0, 0.5)])
def test_without_focus_or_choice_they_are_dice_and_cross_entropy(batch, dice_weight, other_weight):
    expected = at(dice_ce, batch, lambda_dice=dice_weight, lambda_ce=other_weight)
    same(at(dice_focal, batch, lambda_dice=dice_weight, lambda_focal=other_weight, gamma=0.0), expected)
    same(at(dice_topk, batch, lambda_dice=dice_weight, lambda_topk=other_weight, k=1.0), expected)


@BATCHES
def test_dice_focal_contains_its_parts(batch):
    same(at(dice_focal, batch, lambda_focal=0.0), at(dice, batch))
    same(at(dice_focal, batch, lambda_dice=0.0), at(focal, batch))
    same(at(dice_focal, batch, lambda_dice=0.0, gamma=0.7, alpha=0.8), at(focal, batch, gamma=0.7, alpha=0.8))
    expected = 0.25 * at(dice, batch) + 4 * at(focal, batch, gamma=3.0)
    same(at(dice_focal, batch, lambda_dice=0.25, lambda_focal=4.0, gamma=3.0), expected)


@BATCHES
def test_dice_topk_contains_its_parts(batch):
    same(at(dice_topk, batch, lambda_topk=0.0), at(dice, batch))
    same(at(dice_topk, batch, lambda_dice=0.0), at(topk_cross_entropy, batch, k=0.1))
    expected = 0.25 * at(dice, batch) + 4 * at(topk_cross_entropy, batch, k=0.3)
    same(at(dice_topk, batch, lambda_dice=0.25, lambda_topk=4.0, k=0.3), expected)


@BATCHES
@pytest.mark.parametrize(
    "options", [{"classes": "foreground"}, {"scope": "image"}, {"absent": "smooth", "smooth": 2.0}, {"smooth": 0.5}]
)
def test_options_reach_the_parts(batch, options):
    scope = {"scope": options.get("scope", "batch")}
    region = at(dice, batch, **options)
    same(at(dice_focal, batch, **options), region + at(focal, batch))
    same(at(dice_topk, batch, **options), region + at(topk_cross_entropy, batch, k=0.1, **scope))
    assert region != at(dice, batch)


@BATCHES
def test_order_of_the_second_parts(batch):
    region, ce = at(dice, batch), at(cross_entropy, batch)
    assert at(dice_focal, batch) <= region + ce <= at(dice_topk, batch)
