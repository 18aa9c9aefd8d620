from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweeper.report.inference.multiplicity import holm
from sweeper.report.inference.signed_rank import EXACT, least_p, signed_rank


def brute(differences: list[float]) -> float:
    """The share of all assignments of signs whose rank sum is as far from the middle as the one at hand."""
    values = np.array([one for one in differences if one != 0])
    ranks = stats.rankdata(np.abs(values))
    middle = ranks.sum() / 2
    seen = abs(ranks[values > 0].sum() - middle)
    sums = [sum(rank for rank, up in zip(ranks, ups, strict=True) if up)
            for ups in itertools.product((False, True), repeat=len(ranks))]  # fmt: skip
    return float(np.mean([abs(one - middle) >= seen - 1e-9 for one in sums]))


def test_worked_by_hand():
    # Ranks 1 to 5, the smallest one negative: rank sum 1 of 15, as extreme as 2 of 32 assignments on either side.
    found = signed_rank(np.array([[-0.1, 0.2, 0.3, 0.4, 0.5]]))
    assert found.p[0] == pytest.approx(4 / 32)
    assert found.direction[0] == 1
    assert found.number[0] == 5


@pytest.mark.parametrize("number", [3, 8, 20, EXACT])
def test_exact_as_scipy_without_ties(number):
    rng = np.random.default_rng(number)
    rows = rng.normal(0.3, 1, (5, number))
    found = signed_rank(rows)
    for row, p in zip(rows, found.p, strict=True):
        assert p == pytest.approx(stats.wilcoxon(row, method="exact").pvalue)


def test_normal_approximation_as_scipy_beyond():
    rng = np.random.default_rng(1)
    rows = rng.normal(0.1, 1, (4, 200)).round(1)
    found = signed_rank(rows)
    for row, p in zip(rows, found.p, strict=True):
        assert p == pytest.approx(stats.wilcoxon(row, method="approx", correction=True).pvalue)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_exact_with_ties_and_zeros_over_all_signs(values):
    found = signed_rank(np.array([values], dtype=float))
    if any(values):
        assert found.p[0] == pytest.approx(min(1.0, brute(values)))
    else:
        assert found.p[0] == 1
        assert found.direction[0] == 0


def test_rows_do_not_meet_and_gaps_are_left_out():
    row = np.array([0.3, -0.1, 0.2, 0.5, 0.4])
    gaps = np.array([0.3, np.nan, -0.1, 0.2, np.nan, 0.5, 0.4])
    found = signed_rank(np.stack([gaps, -gaps, np.full(7, np.nan)]))
    assert found.p[:2] == pytest.approx(signed_rank(row[None]).p[[0, 0]])
    assert found.direction[:2].tolist() == [1, -1]
    assert np.isnan(found.p[2])
    assert found.number.tolist() == [5, 5, 0]


def test_numbers_added_up_in_another_order_tie():
    assert 0.1 + 0.2 != 0.3
    found = signed_rank(np.array([[0.1 + 0.2 - 0.3, 0.5, 0.2]]))
    assert found.p[0] == signed_rank(np.array([[0.5, 0.2]])).p[0]


def test_least_p_is_that_of_differences_of_one_sign():
    for number in (1, 4, 9):
        assert signed_rank(np.arange(1.0, number + 1)[None]).p[0] == pytest.approx(least_p(number))
    assert least_p(0) == 1


def test_holm_worked_by_hand():
    # 0.01 × 4; 0.015 × 3 = 0.045; 0.03 × 2 = 0.06; 0.04 × 1 = 0.04, raised to the one before.
    found = holm(np.array([0.04, 0.01, 0.03, 0.015]))
    assert found == pytest.approx([0.06, 0.04, 0.06, 0.045])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_as_its_definition(values):
    p = np.array(values)
    order = np.argsort(p, kind="stable")
    expected, highest = np.empty(len(p)), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        expected[index] = highest
    assert holm(p) == pytest.approx(expected)
    assert (holm(p) >= p).all()


def test_a_test_that_could_not_be_made_counts_as_one():
    found = holm(np.array([0.01, np.nan, 0.02]))
    assert found[[0, 2]] == pytest.approx([0.03, 0.04])
    assert np.isnan(found[1])
