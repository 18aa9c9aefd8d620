from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sweeper.report.inference.trend import reading, trend

RISING = [0.10, 0.20, 0.35, 0.30, 0.50, 0.60, 0.70, 0.90]
VALUES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=12))
def test_one_level_gives_spearmans_correlation(pairs: list[tuple[int, int]]):
    values, scores = zip(*pairs, strict=True)
    found = trend(values, scores, [0.97] * len(pairs)).correlation
    if len(set(values)) == 1 or len(set(scores)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(values, scores).statistic)


def test_chance_is_that_of_all_orders():
    # Of the 24 orders of four values two are as strong as the perfect one; of the 120 of five also two.
    assert trend([1, 2, 3, 4], [1, 2, 3, 4], [0] * 4).chance == pytest.approx(2 / 24, abs=0.012)
    assert trend([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [0] * 5).chance == pytest.approx(2 / 120, abs=0.006)


def test_levels_are_not_mixed_up():
    # Within each level the score rises; across levels the higher values were tried where scores are low.
    values, scores, levels = [1, 2, 3, 4, 5, 6, 7, 8], [6, 7, 8, 9, 1, 2, 3, 4], [0.9] * 4 + [0.99] * 4
    assert stats.spearmanr(values, scores).statistic < 0
    found = trend(values, scores, levels)
    assert found.correlation == pytest.approx(1)
    assert found.readable


def frame(scores: list[float], *, measure: str = "recall", stopped: int = 0) -> pd.DataFrame:
    status = ["completed"] * (len(scores) - stopped) + ["stopped"] * stopped
    return pd.DataFrame(
        {"value": VALUES[: len(scores)], "score": scores, "level": 0.97, "status": status, "measure": measure}
    )


def test_a_reading_names_direction_strength_and_number():
    rows = pd.concat([frame(RISING), frame(RISING[::-1], measure="precision")])
    assert reading(rows, "β", ("recall", "precision")) == (
        "Over 8 trials, recall rises with β (rank correlation +0.98) and precision falls with β "
        "(rank correlation −0.98)."
    )


def test_no_direction_is_read_from_noise_a_constant_or_four_trials():
    noise = [0.3, 0.5, 0.2, 0.6, 0.4, 0.3]
    rows = pd.concat([frame(noise), frame(noise[::-1], measure="precision")])
    assert reading(rows, "β", ("recall", "precision")) == (
        "Over 6 trials, no direction of recall or precision with β can be read (rank correlations +0.06 and −0.06)."
    )
    assert "recall does not move with β" in reading(frame([0.0] * 6), "β", ("recall",))
    assert "no direction of recall" in reading(frame(RISING[:2] + RISING[4:6]), "β", ("recall",))
    assert reading(frame(RISING[:3]), "β", ("recall",)) == ""


def test_trials_of_several_levels_are_said_to_be_so():
    rows = pd.concat([frame(RISING), frame(RISING).assign(level=0.99)])
    assert reading(rows, "β", ("recall",)) == (
        "Over 16 trials at 2 levels, recall rises with β (rank correlation +0.98)."
    )


def test_stopped_trials_are_read_only_where_those_that_ended_are_too_few():
    enough = frame([0.1, 0.2, 0.3, 0.4, 0.5, 0.01, 0.02, 0.03], stopped=3)
    assert reading(enough, "β", ("recall",)).startswith("Over 5 trials, recall rises")
    few = frame(RISING, stopped=4)
    assert reading(few, "β", ("recall",)).startswith("Over 8 trials (4 of them stopped early, and so trained less),")
