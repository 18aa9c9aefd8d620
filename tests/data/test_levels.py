"""Level weights: worked values, properties over random pools, and the figures known of CrackForest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from sweeper.data.levels import level_weights, mixture_reach, reachable
from sweeper.errors import LevelError

from .shelves import real

BINARY = {"background": 0, "minority": (1,)}


def table(*rows: tuple[int, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def test_mixture_worked_by_hand():
    # One patch 60 of 100 background, one all background: (60 a + 100 c) / (100 a + 100 c) = 0.9, so 30 a = 10 c.
    # a : c = 1 : 3 with mean 1 gives 0.5 and 1.5; effective (2)² / (0.25 + 2.25) = 1.6.
    got = level_weights(table((60, 40), (100, 0)), **BINARY, level=0.9)
    assert got.method == "mixture"
    assert got.weights == pytest.approx([0.5, 1.5])
    assert got.effective == pytest.approx(1.6)
    assert got.measured == pytest.approx(0.9, abs=1e-12)


def test_mixture_counts_pixels_not_patches():
    # The background patch is padded to half: 50 valid pixels. (60 a + 50 c) / (100 a + 50 c) = 0.9, so 30 a = 5 c.
    got = level_weights(table((60, 40), (50, 0)), **BINARY, level=0.9)
    assert got.weights[1] / got.weights[0] == pytest.approx(6)


def test_tilt_worked_by_hand():
    # No minority-free patch: 0.5 and 0.9 background. Level 0.6 needs weights 3 : 1 whatever their form.
    got = level_weights(table((50, 50), (90, 10)), **BINARY, level=0.6)
    assert got.method == "tilt"
    assert got.weights == pytest.approx([1.5, 0.5])


def test_tilt_is_exponential_in_the_foreground_fraction():
    got = level_weights(table((50, 50), (70, 30), (90, 10), (100, 0)), **BINARY, level=0.62)
    logs = np.log(got.weights)
    slopes = np.diff(logs) / np.diff([0.5, 0.3, 0.1, 0.0])
    assert slopes == pytest.approx([slopes[0]] * 3)
    assert slopes[0] > 0


def test_a_level_above_what_all_patches_with_minority_show_tilts_the_other_way():
    got = level_weights(table((50, 50), (70, 30), (90, 10)), **BINARY, level=0.85)
    assert got.method == "tilt"
    assert got.weights[0] < got.weights[1] < got.weights[2]


def test_the_natural_level_needs_no_weights():
    got = level_weights(table((50, 50), (90, 10)), **BINARY, level=0.7)
    assert (got.weights == 1).all()
    assert got.effective == pytest.approx(2)


def test_classes_that_are_neither_background_nor_minority_are_no_background():
    # Class 2 is not minority: the second patch is minority-free, yet its background fraction is 0.8.
    counts = table((60, 40, 0), (80, 0, 20))
    assert mixture_reach(counts, background=0, minority=(1,)) == pytest.approx((0.6, 0.8))
    got = level_weights(counts, background=0, minority=(1,), level=0.75)
    assert got.method == "mixture"
    assert got.weights == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize("level", [0.5, 0.3, 0.95, 1.0])
def test_out_of_reach_names_split_and_range(level):
    with pytest.raises(LevelError, match=r"val: level .* strictly between 0\.5000 and 0\.9000"):
        level_weights(table((50, 50), (90, 10)), **BINARY, level=level, split="val")


def test_printed_range_lies_inside_the_true_one():
    with pytest.raises(LevelError, match=r"between 0\.6667 and 0\.8888"):  # 2/3 rounded up, 8/9 rounded down
        level_weights(table((60, 30), (80, 10)), **BINARY, level=0.2)


def test_no_minority_pixel_is_named():
    with pytest.raises(LevelError, match="test: no patch holds a pixel of a minority class"):
        reachable(table((50, 0, 50), (90, 0, 10)), background=0, minority=(1,), split="test")


def test_close_to_the_ends_of_the_reach_stays_exact():
    counts = table((50, 50), (51, 49), (90, 10), (91, 9))
    for level in (0.5 + 1e-9, 0.91 - 1e-9):
        got = level_weights(counts, **BINARY, level=level)
        assert got.measured == pytest.approx(level, abs=1e-12)
        assert np.isfinite(got.weights).all()


@st.composite
def pools(draw):
    """Patches of up to 4096 valid pixels in three classes, some without minority pixels, and a level in reach."""
    count = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    valid = rng.integers(1, 4097, count)
    share = rng.random((count, 2)) * draw(st.sampled_from([0.05, 0.3, 1.0]))
    rare = np.floor(valid * share[:, 0] * (rng.random(count) > draw(st.floats(0, 0.9)))).astype(np.int64)
    other = np.floor((valid - rare) * share[:, 1] * draw(st.sampled_from([0, 1]))).astype(np.int64)
    counts = np.stack([valid - rare - other, rare, other], axis=1)
    minority = draw(st.sampled_from([(1,), (1, 2)]))
    assume(counts[:, list(minority)].sum() > 0)
    low, high = reachable(counts, background=0, minority=minority)
    assume(high - low > 1e-6)
    return counts, minority, low + (high - low) * draw(st.floats(0.001, 0.999))


@settings(max_examples=300, deadline=None)
@given(pools())
def test_every_level_in_reach_is_reached(pool):
    counts, minority, level = pool
    got = level_weights(counts, background=0, minority=minority, level=level)
    assert (got.weights >= 0).all()
    assert got.weights.mean() == pytest.approx(1)
    weighted = (got.weights[:, None] * counts).sum(axis=0)
    assert weighted[0] / weighted.sum() == pytest.approx(level, abs=1e-9)
    assert got.measured == pytest.approx(level, abs=1e-9)
    assert 1 - 1e-9 <= got.effective <= len(counts) + 1e-9


@settings(max_examples=300, deadline=None)
@given(pools())
def test_mixture_keeps_each_group_as_it_is_and_tilt_comes_only_when_needed(pool):
    counts, minority, level = pool
    got = level_weights(counts, background=0, minority=minority, level=level)
    holds = counts[:, list(minority)].sum(axis=1) > 0
    low, high = mixture_reach(counts, background=0, minority=minority)
    if low + 1e-9 < level < high - 1e-9:
        assert got.method == "mixture"
    if got.method == "mixture":
        for group in (got.weights[holds], got.weights[~holds]):
            assert len(set(group.tolist())) <= 1
        assert low - 1e-9 <= level <= high + 1e-9


@settings(max_examples=100, deadline=None)
@given(pools(), st.integers(0, 2**32 - 1))
def test_no_other_weights_of_that_level_have_more_entropy_than_the_tilt(pool, seed):
    """Move the tilt along a random direction that keeps both its sum and its level: entropy may only fall."""
    counts, minority, level = pool
    got = level_weights(counts, background=0, minority=minority, level=level)
    assume(got.method == "tilt" and len(counts) > 3)
    share = got.weights * counts.sum(axis=1)  # the maximum is over pixels: a padded patch counts for its valid ones
    base = counts.sum(axis=1) / counts.sum()
    share /= share.sum()
    assume(share.min() > 1e-6)
    background = counts[:, 0] / counts.sum(axis=1)
    direction = np.random.default_rng(seed).normal(size=len(share)) * share
    constraints = np.stack([np.ones_like(share), background])
    direction -= constraints.T @ np.linalg.lstsq(constraints.T, direction, rcond=None)[0]
    step = 0.1 * share.min() / np.abs(direction).max()

    def relative_entropy(p):
        return float((p * np.log(p / base)).sum())

    assert relative_entropy(share + step * direction) >= relative_entropy(share) - 1e-12


def test_crackforest_whole_tiles():
    masks = sorted((real("crackforest") / "masks").glob("*.png"))
    counts = []
    for path in masks:
        crack = np.asarray(Image.open(path))[:320, :448].reshape(5, 64, 7, 64).sum(axis=(1, 3)).ravel()
        counts.append(np.stack([4096 - crack, crack], axis=1))
    counts = np.concatenate(counts).astype(np.int64)
    assert len(counts) == 4130
    assert counts[:, 0].sum() / counts.sum() == pytest.approx(0.983, abs=5e-4)
    assert mixture_reach(counts, **BINARY)[0] < 0.95
    assert level_weights(counts, **BINARY, level=0.95).method == "mixture"
    tilt = level_weights(counts, **BINARY, level=0.90)
    assert tilt.method == "tilt"
    assert round(tilt.effective) == 147
