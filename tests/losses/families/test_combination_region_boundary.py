"""Region + boundary: every pair is the sum of its parts, and the trainer is asked for the map of the chosen part."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.boundary.active_boundary import active_boundary
from sweeper.losses.families.boundary.boundary import boundary
from sweeper.losses.families.boundary.boundary_dou import boundary_dou
from sweeper.losses.families.boundary.boundary_f1 import boundary_f1
from sweeper.losses.families.boundary.hausdorff import hausdorff_dt
from sweeper.losses.families.boundary.region_wise import region_wise
from sweeper.losses.families.combination.dice_ce import dice_ce
from sweeper.losses.families.combination.region_boundary import REGION_BOUNDARY, region_boundary
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.region.dice import dice, generalized_dice
from sweeper.losses.families.region.tversky import focal_tversky, tversky
from sweeper.losses.families.structural.cldice import cldice
from sweeper.losses.primitives import prepare
from sweeper.losses.ramp import arguments
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED, random_batch

REGIONS = {
    "dice": dice,
    "generalized_dice": generalized_dice,
    "dice_ce": dice_ce,
    "tversky": tversky,
    "focal_tversky": focal_tversky,
    "cross_entropy": cross_entropy,
}
BOUNDARIES = {
    "boundary": (boundary, {}, "signed_distance"),
    "hausdorff_dt": (hausdorff_dt, {}, "signed_distance"),
    "active_boundary": (active_boundary, {}, "boundary_distance"),
    "boundary_f1": (boundary_f1, {}, "edge_band"),
    "region_wise": (region_wise, {}, "relative_depth"),
    "boundary_dou": (boundary_dou, {}, "outline"),
    "cldice": (cldice, {"a": 1.0}, "skeleton_level"),
}
BATCHES = [random_batch(classes, seed, side=8) for classes in (2, 3, 5) for seed in (0, 1)]


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def test_every_word_is_tried_here():
    dials = REGION_BOUNDARY.hyperparameters
    assert set(dials["region"].legal.values) == set(REGIONS)
    assert set(dials["boundary"].legal.values) == set(BOUNDARIES)


@pytest.mark.parametrize(("region", "second"), list(itertools.product(REGIONS, BOUNDARIES)))
def test_every_pair_is_the_sum_of_its_parts(region, second):
    loss, settings, _ = BOUNDARIES[second]
    for batch in BATCHES:
        of_region, of_boundary = at(REGIONS[region], batch), at(loss, batch, **settings)
        words = {"region": region, "boundary": second}
        same(at(region_boundary, batch, a=0.0, **words), of_region)
        same(at(region_boundary, batch, a=3.0, **words), of_region + 3 * of_boundary)
        same(at(region_boundary, batch, a=0.3, mix="convex", **words), 0.7 * of_region + 0.3 * of_boundary)


@pytest.mark.parametrize("region", ["tversky", "focal_tversky"])
def test_the_price_of_a_miss_reaches_the_region_part(region):
    for batch in BATCHES:
        expected = at(REGIONS[region], batch, alpha=0.8, beta=0.2)
        same(at(region_boundary, batch, a=0.0, region=region, region_beta=0.2), expected)


def test_the_power_of_distances_reaches_the_hausdorff_part():
    for batch in BATCHES:
        expected = at(dice, batch) + at(hausdorff_dt, batch, alpha=0.5)
        same(at(region_boundary, batch, a=1.0, boundary="hausdorff_dt", boundary_alpha=0.5), expected)


@pytest.mark.parametrize("second", BOUNDARIES)
def test_the_map_given_is_the_map_computed(second):
    name = BOUNDARIES[second][2]
    for logits, target in BATCHES:
        given = target_map(name, None, prepare(logits, target, IGNORED))
        value = region_boundary(logits, target, boundary=second, ignore_index=IGNORED)
        same(region_boundary(logits, target, boundary=second, ignore_index=IGNORED, **{name: given}), value)
        others = [
            region_boundary(logits, target, boundary=second, ignore_index=IGNORED, **{name: other})
            for other in (torch.zeros_like(given), given + 1.0)
        ]
        assert any(other != value for other in others), "the map given is not looked at"


@pytest.mark.parametrize("second", BOUNDARIES)
def test_a_setting_needs_the_map_of_its_boundary_part(second):
    assert REGION_BOUNDARY.needs_at({"boundary": second}) == (BOUNDARIES[second][2],)


def test_needs_are_the_maps_of_all_parts():
    assert set(REGION_BOUNDARY.needs) == {name for _, _, name in BOUNDARIES.values()}


def test_no_more_than_all_of_a_convex_mix():
    batch = BATCHES[0]
    with pytest.raises(LossError, match="at most 1: lower it, or set mix to 'added'"):
        at(region_boundary, batch, a=1.01, mix="convex")
    same(at(region_boundary, batch, a=1.0, mix="convex"), at(boundary, batch))
    # A tensor is not looked into.
    at(region_boundary, batch, a=torch.tensor(2.0), mix="convex")


@pytest.mark.parametrize(
    "words", [{"region": "dise"}, {"boundary": "edge"}, {"mix": "both"}], ids=lambda words: next(iter(words))
)
def test_unknown_words_are_refused(words):
    (name,) = words
    with pytest.raises(LossError, match=f"{name} is '"):
        at(region_boundary, BATCHES[0], **words)


def test_the_boundary_part_gains_weight_as_training_goes_on():
    settings = {"a": 0.8, "boundary": "cldice"}
    assert arguments(REGION_BOUNDARY, settings, 0.0) == {"a": 0.01, "boundary": "cldice"}
    assert arguments(REGION_BOUNDARY, settings, 0.5)["a"] == pytest.approx((0.01 + 0.8) / 2)
    assert arguments(REGION_BOUNDARY, settings, 1.0) == settings
    assert arguments(REGION_BOUNDARY, settings | {"a_ramp": 0.0}, 0.0) == settings
