from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.report import statistics
from sweeper.report.statistics import Array, draw, interval, over_seeds, pool, ratio, score, stretch


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


def test_equal_seeds_vary_with_images_alone():
    one = generator().uniform(1, 50, (1, 30, 1, 4))
    same = np.repeat(one, 4, axis=0)
    resample = draw(4, 30, rng=generator(1))
    alone = statistics.Resample(seeds=np.ones((2000, 1)), images=resample.images)
    actual, drawn = pool(same, resample)
    found = interval(score(actual, "iou"), score(drawn, "iou"), resample.seeds)
    actual, drawn = pool(one, alone)
    assert (found.low, found.high) == pytest.approx(np.quantile(score(drawn, "iou"), [0.025, 0.975]))


def test_same_generator_same_interval_and_another_one_another():
    values = generator().uniform(0, 1, (3, 12, 2, 4))

    def found(seed: int) -> tuple[float, float]:
        resample = draw(3, 12, rng=generator(seed))
        one = statistics.difference(values, values[::-1], "f1", resample)
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
    alone = interval(score(actual, "recall"), score(drawn, "recall"), resample.seeds)
    assert paired.excludes_zero
    assert paired.mean == pytest.approx(0.05 / 0.90 * alone.mean)
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_a_family_does_not_differ_from_itself(seeds: int, images: int, seed: int):
    counts = generator(seed).uniform(0, 9, (seeds, images, 2, 4))
    found = statistics.difference(counts, counts, "iou", draw(seeds, images, rng=generator(), reps=20))
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert not found.excludes_zero


def test_nothing_defined_gives_nan_and_no_warning():
    counts = np.zeros((2, 3, 1, 4))
    resample = draw(2, 3, rng=generator(), reps=50)
    actual, drawn = pool(counts, resample)
    found = interval(score(actual, "iou"), score(drawn, "iou"), resample.seeds)
    assert np.isnan([found.mean, found.low, found.high]).all()


def made_counts(rng: np.random.Generator, seeds: int, images: int, luck: tuple[float, float, float]) -> Array:
    """Counts with a luck of the image, of the seed and of both, on a logit scale."""
    logit = (
        0.5
        + rng.normal(0, luck[0], (1, images))
        + rng.normal(0, luck[1], (seeds, 1))
        + rng.normal(0, luck[2], (seeds, images))
    )
    size = rng.integers(50, 400, images)
    tp = size / (1 + np.exp(-logit))
    return np.stack([tp, 0 * tp, size - tp, 4096 - size + 0 * tp], axis=-1)[:, :, None]


@pytest.mark.parametrize("luck", [(1.0, 0.05, 0.1), (0.2, 0.5, 0.2)], ids=["images matter", "seeds matter"])
def test_intervals_hold_what_they_promise_with_three_seeds(luck: tuple[float, float, float]):
    rng = generator(3)
    truth = (1 / (1 + np.exp(-(0.5 + rng.normal(0, np.linalg.norm(luck), 400_000))))).mean()
    hits = afresh = 0
    for _ in range(200):
        counts = made_counts(rng, 3, 24, luck)
        resample = draw(3, 24, rng=rng, reps=300)
        actual, drawn = pool(counts, resample)
        found = interval(score(actual, "recall"), score(drawn, "recall"), resample.seeds)
        hits += found.low <= truth <= found.high
        # The tempting alternative: images drawn afresh within each seed, and no widening.
        own = rng.multinomial(24, np.full(24, 1 / 24), size=(300, 3)).astype(float)
        nested = score(np.einsum("rsn,snck->rsck", own, counts), "recall")
        low, high = np.quantile((nested * resample.seeds).sum(axis=1) / 3, [0.025, 0.975])
        afresh += low <= truth <= high
    assert hits >= 0.89 * 200
    assert afresh < 0.87 * 200
