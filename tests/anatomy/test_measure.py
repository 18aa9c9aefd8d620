"""Measurements against closed forms, and what is read off them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from sweeper.anatomy.contestants import Contestant, contestants
from sweeper.anatomy.measure import LEVELS, deformations, gradient_shares, profiles
from sweeper.anatomy.scenes import GROWTH, OBJECTS, SIDE, disk_of_share, grown, logits_of, shifted
from sweeper.anatomy.summary import findings, relative, summary
from sweeper.losses.family import Family


def chosen(*names):
    return contestants(names)[0]


def of_area(charge):
    """A loss of the predicted and the true foreground's pixels."""

    def area(logits, target, *, ignore_index=-100):
        return charge(logits.softmax(1)[:, 1].sum(), target.sum())

    return Contestant(
        "area",
        Family(
            function=area,
            title="",
            level="region",
            overlap="mixed",
            tradeoff="symmetric",
            formula="",
            source="",
        ),
        {},
    )


def test_objects_are_what_they_are_called():
    areas = {name: mask.sum() for name, mask in OBJECTS.items()}
    assert areas["small disk"] < 0.005 * SIDE**2 < areas["thin curve"] < areas["large disk"]
    assert all(mask.sum() > 0 and mask.dtype == bool for mask in OBJECTS.values())
    assert (OBJECTS["thin curve"].sum(axis=1) >= 3).all()


def test_moving_the_edge_inwards_only_misses_and_outwards_only_alarms():
    for mask in OBJECTS.values():
        for pixels in GROWTH:
            predicted = grown(mask, pixels)
            if pixels < 0:
                assert not (predicted & ~mask).any()
            elif pixels > 0:
                assert not (mask & ~predicted).any()
        assert not grown(mask, min(GROWTH)).any()
        assert (grown(mask, 0) == mask).all()
        assert (shifted(mask, 0) == mask).all()


def test_logits_hold_the_confidence_asked_for():
    mask = OBJECTS["small disk"]
    prob = logits_of(mask, 0.9).softmax(1)[0, 1].numpy()
    np.testing.assert_allclose(prob, np.where(mask, 0.9, 0.1), atol=1e-12)


def test_a_disk_has_the_share_asked_for():
    for level in LEVELS:
        assert disk_of_share(1 - level).sum() == round((1 - level) * SIDE**2)


def test_cross_entropy_over_confidence_is_its_formula():
    rows = profiles(chosen("cross_entropy"))
    np.testing.assert_allclose(rows["value"], -np.log(rows["p"]), rtol=1e-9)
    np.testing.assert_allclose(rows["gradient"], 1 - rows["p"], rtol=1e-9)


def test_focal_over_confidence_is_its_formula():
    rows = profiles(chosen("focal(gamma=3)"))
    p = rows["p"].to_numpy()
    np.testing.assert_allclose(rows["value"], -((1 - p) ** 3) * np.log(p), rtol=1e-9)
    slope = -3 * (1 - p) ** 2 * np.log(p) + (1 - p) ** 3 / p
    np.testing.assert_allclose(rows["gradient"], slope * p * (1 - p), rtol=1e-9)


def test_cross_entropy_charges_by_the_pixel():
    costs = relative(deformations(chosen("cross_entropy")))
    pixels = costs["missed"] + costs["alarms"]
    np.testing.assert_allclose(costs["cost"], pixels / OBJECTS["large disk"].sum(), atol=1e-9)


@pytest.mark.parametrize("beta", [0.3, 0.5, 0.9])
def test_tverskys_price_of_a_miss_against_an_alarm_is_its_formula(beta):
    losses = chosen(f"tversky(beta={beta})")
    table = summary(losses, relative(deformations(losses)), gradient_shares(losses, repeats=1))
    large = OBJECTS["large disk"]
    whole, missed = large.sum(), (large & ~grown(large, -3)).sum()
    miss = beta * missed / (whole - missed + beta * missed)
    alarm = (1 - beta) * missed / (whole + (1 - beta) * missed)
    # Alarms are interpolated between whole pixels of growth, the charge is not quite linear between them.
    assert table["miss_over_alarm"][0] == pytest.approx(miss / alarm, rel=0.01)
    assert table["small"][0] == pytest.approx(1.0, abs=0.01)


def test_cross_entropy_shares_its_gradient_by_area():
    rows = gradient_shares(chosen("cross_entropy")).set_index(["state", "level"])["share"]
    for level in LEVELS:
        f = disk_of_share(1 - level).mean()
        assert rows["untrained", level] == pytest.approx(f, rel=0.05)
        assert rows["all background", level] == pytest.approx(0.98 * f / (0.98 * f + 0.02 * (1 - f)), rel=1e-6)


def test_a_loss_without_a_gradient_has_no_share():
    loss = of_area(lambda predicted, true: 0 * predicted)
    assert gradient_shares([loss], repeats=1)["share"].isna().all()


def test_turning_back_is_noticed_where_it_happens():
    # Charges for a wrong area: a shift changes nothing, so nothing falls there; a dilation beyond 300 px is waved on.
    loss = of_area(lambda predicted, true: torch.where(predicted > true + 300, 0.0, (predicted - true).abs()))
    table = summary([loss], relative(deformations([loss])), gradient_shares([loss], repeats=1))
    turns = table["turns"][0]
    assert "too large" in turns
    assert "too small" not in turns
    found = {finding.title: finding.text for finding in findings(table)}
    assert "area" in found["Where a worse prediction costs less"]


def test_a_loss_that_charges_nothing_for_a_miss_has_no_prices():
    loss = of_area(lambda predicted, true: 0 * predicted)
    costs = relative(deformations([loss]))
    assert costs["cost"].isna().all()
    table = summary([loss], costs, gradient_shares([loss], repeats=1))
    assert math.isnan(table["small"][0])
    assert table["turns"][0] == ""


def test_what_stands_out_is_said():
    losses = chosen("cross_entropy", "dice", "tversky(beta=0.9)")
    table = summary(losses, relative(deformations(losses)), gradient_shares(losses))
    found = {finding.title: finding.text for finding in findings(table)}
    assert found["Flat for a small object"].startswith("cross_entropy charges")
    assert "tversky(beta=0.9, alpha=0.1)" in found["Misses against false alarms"]
    assert "dice" not in found["Misses against false alarms"].split(".")[0]
    assert "gradient of tversky" in found["Who is heard at 99 % background"]


def test_equal_seeds_give_equal_shares():
    losses = chosen("dice")
    pd.testing.assert_frame_equal(gradient_shares(losses, seed=3), gradient_shares(losses, seed=3))
    assert not gradient_shares(losses, seed=3).equals(gradient_shares(losses, seed=4))
