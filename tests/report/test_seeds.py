from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sweeper.report.inference.seeds import deviation, deviation_factors, over_seeds, proportion, tuned_seeds
from tests.report.synthetic import synthetic


def test_a_mean_over_seeds_leaves_out_what_is_undefined():
    found = over_seeds(np.array([0.4, np.nan, 0.6]), seed=0)
    assert found.mean == pytest.approx(0.5)
    assert found.low < 0.4 < 0.6 < found.high
    assert found == over_seeds(np.array([0.4, 0.6]), seed=0)


def test_one_seed_has_no_interval_and_none_no_mean():
    alone, nothing = over_seeds(np.array([0.4]), seed=0), over_seeds(np.array([np.nan]), seed=0)
    assert alone.mean == 0.4
    assert np.isnan([alone.low, alone.high, nothing.mean, nothing.low, nothing.high]).all()


def test_the_interval_of_a_deviation_worked_by_hand():
    # Of 1, 2, 3 the deviation is 1; chi-squared of 2 degrees of freedom is -2 ln(1 - p), 7.3778 and 0.050636 at the
    # ends, so sqrt(2 / 7.3778) = 0.52066 and sqrt(2 / 0.050636) = 6.2847.
    found = deviation(np.array([1.0, 2.0, np.nan, 3.0]))
    assert (found.mean, found.low, found.high) == pytest.approx((1.0, 0.52066, 6.2847), rel=1e-4)


def test_the_interval_of_a_deviation_holds_what_it_says():
    rng = np.random.default_rng(0)
    drawn = rng.normal(5, 2, (4000, 5))
    low, high = deviation_factors(5)
    spreads = drawn.std(axis=1, ddof=1)
    share = ((low * spreads <= 2) & (high * spreads >= 2)).mean()
    # 4000 studies: the share's own standard error is 0.0034.
    assert share == pytest.approx(0.95, abs=0.012)


def test_equal_seeds_have_a_deviation_without_interval_and_one_has_none():
    equal = deviation(np.array([0.1 + 0.2, 0.3, 0.3]))
    assert equal.mean == 0.0
    assert np.isnan([equal.low, equal.high]).all()
    assert np.isnan(deviation(np.array([0.3])).mean)


def test_a_share_has_wilsons_interval():
    # By Wilson's formula, z = 1.95996.
    count, total, z = 2, 12, stats.norm.ppf(0.975)
    share = count / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    found = proportion(count, total)
    assert (found.mean, found.low, found.high) == pytest.approx((share, centre - half, centre + half))
    assert proportion(0, 5).high == pytest.approx(0.4345, abs=1e-4)
    assert np.isnan(proportion(0, 0).mean)


def test_tuned_seeds_follow_the_study():
    results = synthetic(["tversky", "focal", "dice"], levels=(0.99, 0.95), seeds=2)
    found = tuned_seeds(results)
    assert list(dict.fromkeys(found["family"])) == ["tversky", "focal", "dice"]
    assert list(found["level"])[:4] == [0.95, 0.95, 0.99, 0.99]
    assert list(found["seed"])[:2] == [1000, 1001]
    assert found["is_tuned"].all()
