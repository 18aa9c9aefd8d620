from __future__ import annotations

from itertools import permutations, product
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweeper.report.inference.ranks import (
    APPROXIMATE,
    DRAWN,
    DRAWS,
    EXACT,
    FEW,
    cliques,
    critical_difference,
    pairwise,
    ranks,
    separable,
)

# The ranks of table 6 of Demšar 2006: C4.5, with m, with cf, with both, over 14 data sets.
DEMSAR = np.array(
    [[4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
     [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3],
     [3, 1, 4, 2]]
)  # fmt: skip


def test_the_example_of_demsar():
    found = ranks(-DEMSAR)
    assert found.mean == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.blocks == 14
    assert found.critical == pytest.approx(1.25, abs=5e-3)
    # His chi-square is 9.28; ties, which he does not correct for, lift it.
    assert 12 * 14 / 20 * ((found.mean - 2.5) ** 2).sum() == pytest.approx(9.28, abs=5e-3)
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).statistic)


HAND = -np.array([[1, 2, 3], [1, 3, 2], [2, 1, 3], [1, 2, 3.0]])
"""Rank sums 5, 8, 11: Friedman's statistic is 12 / (4 · 3 · 4) · (25 + 64 + 121) − 3 · 4 · 4 = 4.5."""


def test_friedman_worked_by_hand_without_ties():
    found = ranks(HAND)
    assert found.statistic == pytest.approx(4.5)
    # The exact chance for three competitors over four blocks, as in Friedman's own table: 0.125.
    assert (found.p, found.way) == (pytest.approx(0.125, abs=5e-4), EXACT)


def test_iman_davenport_worked_by_hand_where_blocks_are_many():
    # Eight times the same: 36; F = 31 · 36 / (32 · 2 − 36) with 2 and 62 degrees of freedom.
    found = ranks(np.tile(HAND, (8, 1)))
    assert found.statistic == pytest.approx(36)
    assert (found.p, found.way) == (pytest.approx(stats.f.sf(31 * 36 / 28, 2, 62)), APPROXIMATE)


def brute(values: np.ndarray) -> float:
    """The share of all orders of all blocks whose rank sums spread as far."""
    places = stats.rankdata(-values, axis=1)
    spread = (places.sum(axis=0) ** 2).sum()
    orders = list(product(*(list(permutations(row)) for row in places)))
    return sum((np.sum(one, axis=0) ** 2).sum() >= spread - 1e-9 for one in orders) / len(orders)


@given(st.sampled_from([(2, 2), (2, 6), (3, 2), (3, 4), (4, 3)]), st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_few_blocks_have_the_p_of_all_their_orders(shape, values, seed):
    k, blocks = shape
    drawn = np.random.default_rng(seed).integers(0, values, (blocks, k)).astype(float)
    found = ranks(drawn)
    assert found.way == EXACT
    assert found.p == pytest.approx(brute(drawn))


def test_random_orders_come_near_the_p_of_all_orders_and_depend_on_their_seed_alone():
    # Eight competitors over three blocks have 1.6 thousand million orders.
    blocks = np.random.default_rng(3).normal(size=(3, 8)) + np.linspace(0, 2.5, 8)
    found, again, other = ranks(blocks), ranks(blocks), ranks(blocks, seed=1)
    assert found.way == DRAWN
    assert found.p == again.p != other.p
    # An independent draw of the same chance.
    rng = np.random.default_rng(11)
    places = stats.rankdata(-blocks, axis=1)
    sums = np.array([sum(rng.permutation(row) for row in places) for _ in range(20_000)])
    expected = ((sums**2).sum(axis=1) >= (places.sum(axis=0) ** 2).sum()).mean()
    assert 0.01 < expected < 0.5
    assert found.p == pytest.approx(expected, abs=4 * (2 * expected / 20_000) ** 0.5)


@pytest.mark.parametrize(
    ("k", "quantile"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_differences_are_those_of_demsars_table_5(k, quantile):
    assert critical_difference(20, k) == pytest.approx(quantile * (k * (k + 1) / 120) ** 0.5, rel=1e-3)


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(2, 12), st.integers(0, 99))
def test_as_scipy_with_ties(k, blocks, seed):
    values = np.random.default_rng(seed).integers(0, 4, (blocks, k)).astype(float)
    found = ranks(values)
    assert found.mean.sum() == pytest.approx(k * (k + 1) / 2)
    if k > 2 and (np.ptp(values, axis=1) > 0).any():
        assert found.statistic == pytest.approx(stats.friedmanchisquare(*values.T).statistic)
    assert 0 <= found.p <= 1


def test_agreement_everywhere_and_nowhere():
    same = ranks(np.tile([0.9, 0.5, 0.7], (6, 1)))
    assert same.mean.tolist() == [1, 3, 2]
    assert same.p == pytest.approx(1 / factorial(3) ** 5)
    assert ranks(np.tile([0.9, 0.5], (6, 1))).p == pytest.approx(2 * 0.5**6)
    # Of random orders none agrees as much; the one at hand is one of them.
    assert ranks(np.tile(np.arange(8.0), (6, 1))).p == 1 / (DRAWS + 1)
    for blocks, k in ((6, 8), (FEW + 1, 2), (2, 9), (400, 12)):
        found = ranks(np.tile(np.arange(k, dtype=float), (blocks, 1)))
        assert found.p > 0
        assert np.log(found.p) >= -(blocks - 1) * np.log(factorial(k)) or found.way == APPROXIMATE
    level = ranks(np.full((6, 3), 0.5))
    assert level.mean.tolist() == [2, 2, 2]
    assert (level.statistic, level.p) == (0, 1)


def test_a_block_that_someone_missed_is_left_out():
    blocks = np.array([[0.9, 0.5], [np.nan, 0.5], [0.2, 0.5], [0.9, 0.1]])
    found = ranks(blocks)
    assert found.blocks == 3
    assert found.mean == pytest.approx([4 / 3, 5 / 3])


@pytest.mark.parametrize("blocks", [np.empty((0, 3)), np.ones((1, 3)), np.ones((4, 1)), np.full((3, 2), np.nan)])
def test_too_little_to_test(blocks):
    found = ranks(blocks)
    assert np.isnan([found.statistic, found.p, found.critical]).all()
    assert found.mean.shape == (blocks.shape[1],)


def test_pairs_are_tested_by_wilcoxon_and_holm():
    rng = np.random.default_rng(0)
    blocks = rng.normal(size=(30, 3)) * 0.1 + [0.0, 0.05, 0.3]
    found = pairwise(blocks)
    raw = [stats.wilcoxon(blocks[:, a] - blocks[:, b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))]
    order = np.argsort(raw)
    expected = np.maximum.accumulate(np.array(raw)[order] * [3, 2, 1])
    assert [found[0, 1], found[0, 2], found[1, 2]] == pytest.approx(expected[np.argsort(order)].tolist())
    assert found == pytest.approx(found.T)
    apart = separable(found)
    assert apart(0, 2)
    assert not apart(0, 0)
    assert pairwise(np.empty((0, 3))).tolist() == np.ones((3, 3)).tolist()


def test_cliques_are_the_largest_runs_that_hold_together():
    apart = {(0, 2), (0, 3), (1, 3), (3, 4)}

    def told(one: int, other: int) -> bool:
        return (min(one, other), max(one, other)) in apart

    assert cliques(range(4), told) == [(0, 1), (1, 2), (2, 3)]
    assert cliques(range(5), told) == [(0, 1), (1, 2), (2, 3)]
    assert cliques([4, 0, 1], told) == [(0, 2)]
    assert cliques(range(3), lambda one, other: True) == []
    assert cliques([], told) == []
