from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import (
    Array,
    draw,
    effective,
    interval,
    intervals,
    mean_intervals,
    over_seeds,
    pool,
    ratio,
    score,
    stretch,
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_ratios_worked_by_hand():
    # tp 6, fp 2, fn 4, tn 88
    counts = np.array([6.0, 2.0, 4.0, 88.0])
    assert ratio(counts, "iou") == pytest.approx(6 / 12)
    assert ratio(counts, "f1") == pytest.approx(12 / 18)
    assert ratio(counts, "precision") == pytest.approx(6 / 8)
    assert ratio(counts, "recall") == pytest.approx(6 / 10)
    assert ratio(counts, "specificity") == pytest.approx(88 / 90)


def test_an_absent_class_has_no_score_and_an_unpredicted_one_no_precision():
    absent, unpredicted = np.array([0.0, 5.0, 0.0, 95.0]), np.array([0.0, 0.0, 5.0, 95.0])
    assert all(np.isnan(ratio(absent, metric)) for metric in ("iou", "f1", "precision", "recall", "specificity"))
    assert np.isnan(ratio(unpredicted, "precision"))
    assert ratio(unpredicted, "iou") == ratio(unpredicted, "recall") == 0.0


def test_a_mean_over_classes_leaves_out_the_absent_one():
    counts = np.array([[[6.0, 2.0, 4.0, 88.0], [0.0, 5.0, 0.0, 95.0]]])
    assert score(counts, "iou") == pytest.approx([0.5])


def test_resampling_is_the_same_as_repeating_images_one_by_one():
    counts = generator().uniform(1, 50, (3, 5, 2, 4))
    resample = draw(3, 5, rng=generator(1), reps=7)
    _, drawn = pool(counts, resample)
    for rep in range(7):
        images = np.repeat(np.arange(5), resample.images[rep].astype(int))
        assert len(images) == 5
        for seed in range(3):
            slowly = sum(counts[seed, image] for image in images)
            assert drawn[rep, seed] == pytest.approx(slowly)


def test_interval_of_two_seeds_worked_by_hand():
    # Drawn means are 0.4, 0.5 or 0.6; both tails hold a quarter, so the ends are those of one seed drawn twice,
    # 0.1 from the mean, widened by sqrt(2 / 1) * 12.7062 / 1.95996 = 9.168.
    found = over_seeds(np.array([0.4, 0.6]), draw(2, 1, rng=generator()))
    assert found.mean == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - 0.1 * 9.168, abs=1e-3)
    assert found.high == pytest.approx(0.5 + 0.1 * 9.168, abs=1e-3)


def test_stretch_is_students_factor_and_fades():
    assert stretch(3) == pytest.approx((3 / 2) ** 0.5 * 4.30265 / 1.95996, rel=1e-5)
    assert stretch(1) == 1.0
    assert stretch(2) > stretch(3) > stretch(10) > stretch(1000) > 1
    assert stretch(1000) == pytest.approx(1, abs=0.01)


def test_stretch_of_a_number_that_is_not_whole_lies_between_its_neighbors():
    assert stretch(3) > stretch(3.5) > stretch(4)


def test_equal_seeds_vary_with_images_alone():
    one = generator().uniform(1, 50, (1, 30, 1, 4))
    same = np.repeat(one, 4, axis=0)
    resample = draw(4, 30, rng=generator(1))
    actual, drawn = pool(same, resample)
    found = interval(score(actual, "iou"), score(drawn, "iou"), resample)
    alone = score(pool(one, resample)[1], "iou")[:, 0]
    expected = found.mean + stretch(30) * (np.quantile(alone, [0.025, 0.975]) - alone.mean())
    assert (found.low, found.high) == pytest.approx(expected)


def test_equal_images_vary_with_seeds_alone():
    counts = np.repeat(generator().uniform(1, 50, (4, 1, 1, 4)), 9, axis=1)
    resample = draw(4, 9, rng=generator(1))
    actual, drawn = pool(counts, resample)
    found = interval(score(actual, "iou"), score(drawn, "iou"), resample)
    alone = over_seeds(score(actual, "iou"), resample)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))


def test_what_a_seed_makes_of_single_images_is_counted_once():
    # Nothing but interaction: seeds then differ as much as their images let them, and that is all there is.
    values = generator(2).normal(0.5, 0.1, (1, 5, 400))
    resample = draw(5, 400, rng=generator(3))
    found = mean_intervals(values, resample).one(0)
    once = over_seeds(values[0].mean(axis=-1), resample)
    assert found.high - found.low == pytest.approx(once.high - once.low, rel=0.15)


def test_single_units_have_no_interval_of_their_own():
    counts = generator().uniform(1, 50, (3, 8, 1, 4))

    def found(seeds: int, images: int) -> statistics.Interval:
        resample = draw(seeds, images, rng=generator(1))
        actual, drawn = pool(counts[:seeds, :images], resample)
        return interval(score(actual, "iou"), score(drawn, "iou"), resample)

    assert found(1, 8).low < found(1, 8).mean < found(1, 8).high
    assert found(3, 1).low < found(3, 1).mean < found(3, 1).high
    assert np.isnan([found(1, 1).low, found(1, 1).high]).all()
    assert found(1, 1).mean == found(1, 1).mean


def test_an_undefined_seed_is_left_out_of_its_interval():
    values = np.array([0.4, np.nan, 0.6])
    found = interval(values, np.broadcast_to(values, (2000, 3)), draw(3, 1, rng=generator()))
    # Two seeds are left: of all draws, those of one of them alone lie 0.1 off, widened as for two.
    assert found.mean == pytest.approx(0.5)
    assert found.high - found.mean == pytest.approx(0.1 * stretch(2), abs=1e-9)


def test_quantiles_are_those_of_numpy_with_and_without_gaps():
    rng = generator(5)
    actual, resample = rng.normal(size=(6, 4)), draw(4, 20, rng=rng, reps=999)
    drawn = actual[..., None] + rng.normal(size=(6, 4, 999))
    kept = np.arange(999) % 7 > 0
    gaps = np.where(kept, drawn, np.nan)
    for found, used in (
        (intervals(actual, drawn, resample), np.full(999, True)),
        (intervals(actual, gaps, resample), kept),
    ):
        values = drawn[:, :, used]
        moved = values.mean(axis=1)
        total = moved.var(axis=-1)
        part = np.clip((4 * total - values.var(axis=-1).mean(axis=1)) / 3 / total, 0, 1)
        means = (moved - moved.mean(axis=-1, keepdims=True)) * np.sqrt(part)[:, None] * stretch(20)
        centre = actual.mean(axis=1, keepdims=True)
        means += centre + stretch(4) * (actual - centre) @ resample.seeds[used].T / 4
        assert found.low == pytest.approx(np.quantile(means, 0.025, axis=-1))
        assert found.high == pytest.approx(np.quantile(means, 0.975, axis=-1))


def test_means_over_runs_are_pooled_scores_of_images_of_equal_size():
    # A share of pixels found is a mean over images where all are of one size: two ways to the same interval.
    found = generator(4).uniform(0, 1, (5, 40))
    counts = np.stack([found, 0 * found, 1 - found, 0 * found], axis=-1)[:, :, None]
    resample = draw(5, 40, rng=generator(1))
    actual, drawn = pool(counts, resample)
    pooled = interval(score(actual, "recall"), score(drawn, "recall"), resample)
    plain = mean_intervals(found[None], resample).one(0)
    assert (plain.mean, plain.low, plain.high) == pytest.approx((pooled.mean, pooled.low, pooled.high), abs=2e-3)


def test_an_image_without_a_value_is_left_out_of_a_mean():
    values = generator(4).uniform(0, 1, (1, 3, 20))
    values[:, :, 5] = np.nan
    resample = draw(3, 20, rng=generator(1))
    found = mean_intervals(values, resample).one(0)
    assert found.mean == pytest.approx(np.delete(values, 5, axis=-1).mean())
    assert found.low < found.mean < found.high
    assert np.isnan(mean_intervals(np.full((1, 3, 20), np.nan), resample).one(0).mean)


def test_effective_images_worked_by_hand():
    assert effective(np.full((7, 1), 3.0)) == pytest.approx(7)
    # (4 + 2 + 2)² / (16 + 4 + 4)
    assert effective(np.array([[4.0], [2.0], [2.0], [0.0]])) == pytest.approx(64 / 24)
    assert effective(np.array([[4.0, 1.0], [2.0, 1.0], [2.0, 1.0]])) == pytest.approx(64 / 24)
    assert effective(np.array([[5.0], [0.0], [0.0]])) == 2
    assert effective(np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])) == pytest.approx(3)
    assert effective(np.zeros((5, 1))) == 5


def test_same_generator_same_interval_and_another_one_another():
    values = generator().uniform(1, 9, (1, 12, 2, 4)) * generator(1).uniform(0.9, 1.1, (3, 1, 1, 4))

    def found(seed: int) -> tuple[float, float]:
        resample = draw(3, 12, rng=generator(seed))
        one = statistics.difference(values, values**2, "f1", resample)
        return one.low, one.high

    assert found(7) == found(7)
    assert found(7) != found(8)


def test_a_difference_is_free_of_what_both_share():
    rng = generator()
    hard = rng.uniform(0.2, 1.0, (1, 40, 1))
    size = rng.uniform(50, 400, (1, 40, 1))

    def family(found: float) -> Array:
        tp = size * np.clip(hard * found, 0, 1) * np.ones((3, 1, 1))
        return np.stack([tp, np.zeros_like(tp), size - tp, 4096 - size + 0 * tp], axis=-1)

    resample = draw(3, 40, rng=rng)
    first, second = family(0.90), family(0.85)
    paired = statistics.difference(first, second, "recall", resample)
    actual, drawn = pool(first, resample)
    alone = interval(score(actual, "recall"), score(drawn, "recall"), resample)
    assert paired.excludes_zero
    assert paired.mean == pytest.approx(0.05 / 0.90 * alone.mean)
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_a_family_does_not_differ_from_itself(seeds: int, images: int, seed: int):
    counts = generator(seed).uniform(0, 9, (seeds, images, 2, 4))
    found = statistics.difference(counts, counts, "iou", draw(seeds, images, rng=generator(), reps=20))
    assert found.mean == 0
    assert np.isnan(found.low) if seeds == images == 1 else (found.low, found.high) == (0, 0)
    assert not found.excludes_zero


def test_nothing_defined_gives_nan_and_no_warning():
    counts = np.zeros((2, 3, 1, 4))
    resample = draw(2, 3, rng=generator(), reps=50)
    actual, drawn = pool(counts, resample)
    found = interval(score(actual, "iou"), score(drawn, "iou"), resample)
    assert np.isnan([found.mean, found.low, found.high]).all()
