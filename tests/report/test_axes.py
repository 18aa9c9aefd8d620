from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sweeper.report.comparisons import headline
from sweeper.report.evidence import Shared, gather
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Array
from sweeper.report.plane import contradictions, placing
from sweeper.report.plane.axes import Axes, axes
from sweeper.report.plane.contradictions import AWARE, PIXEL, SYMMETRIC, TUNABLE, groups, of_overlap, of_tradeoff
from sweeper.report.plane.falls import Fall
from sweeper.report.plane.spans import Span
from sweeper.results.results import Results

from .synthetic import SHAPES, synthetic


def measured(results: Results, **options: Any) -> Axes:
    return axes(results, gather(results), headline(results), **{"rope": 0.01, **options})


def made(name: str, falls: Array, resample: statistics.Resample, *, mildest: float = 0.8) -> Fall:
    """A fall over one decade, given that of every seed and picture (S, N)."""
    seeds, images = falls.shape
    own = falls.mean(axis=1)
    return Fall(
        family=name, point="argmax", levels=(0.9, 0.99), decades=np.array([1.0, 2.0]),
        shared=Shared(tuple(range(seeds)), tuple(map(str, range(images)))),
        actual=np.stack([np.full(seeds, mildest), mildest - own], axis=1),
        drawn=falls @ resample.images.T / images, resample=resample, resting=float(images),
    )  # fmt: skip


def drawn(
    rng: np.random.Generator, slopes: Mapping[str, float], *, seeds: int = 5, images: int = 40, noise: float = 0.1
) -> list[Fall]:
    """Falls of some families over the same pictures, which are hard for all alike in part."""
    resample = statistics.draw(seeds, images, rng=rng, reps=400)
    shared = rng.normal(0, noise, (1, images))
    return [
        made(name, slope + shared + rng.normal(0, noise, (1, images)) + rng.normal(0, noise / 4, (seeds, 1))
             + rng.normal(0, noise / 2, (seeds, images)), resample)
        for name, slope in slopes.items()
    ]  # fmt: skip


def label(name: str) -> str:
    return AWARE if name.startswith("a") else PIXEL


def judged(found: list[Fall]) -> list[str]:
    pair = groups(found, {fall.family: label(fall.family) for fall in found})
    assert pair is not None
    return [one.family for one in of_overlap(pair)]


APART = {"a1": 0.15, "a2": 0.2, "a3": 0.15, "p1": 0.4, "p2": 0.45, "p3": 0.4}


def test_the_difference_of_the_labels_is_that_of_their_medians_and_paired():
    rng = np.random.default_rng(0)
    found = drawn(rng, APART)
    pair = groups(found, {fall.family: label(fall.family) for fall in found})
    assert pair is not None
    means = {fall.family: fall.interval.mean for fall in found}
    expected = np.median([means[f"p{i}"] for i in (1, 2, 3)]) - np.median([means[f"a{i}"] for i in (1, 2, 3)])
    assert pair.difference.mean == pytest.approx(expected)
    assert pair.difference.low < expected < pair.difference.high
    assert pair.as_promised
    # What pictures take from all families alike is no difference.
    widest = max(fall.interval.high - fall.interval.low for fall in found)
    assert pair.difference.high - pair.difference.low < widest


def test_a_family_on_the_other_labels_side_is_pointed_out_and_no_other():
    rng = np.random.default_rng(1)
    assert judged(drawn(rng, APART)) == []
    assert judged(drawn(rng, {**APART, "a3": 0.42})) == ["a3"]
    assert judged(drawn(rng, {**APART, "p2": 0.15})) == ["p2"]


def test_a_family_on_its_own_side_of_the_middle_is_left_alone():
    # Worse than its label, yet nearer to its own kind: 0.22 where the middle is at 0.29.
    assert judged(drawn(np.random.default_rng(2), {**APART, "a3": 0.22})) == []


def test_where_the_labels_do_not_hold_only_what_is_beyond_the_others_is_pointed_out():
    slopes = {"a1": 0.6, "a2": 0.3, "a3": 0.3, "p1": 0.3, "p2": 0.3, "p3": 0.3}
    found = drawn(np.random.default_rng(3), slopes)
    pair = groups(found, {fall.family: label(fall.family) for fall in found})
    assert pair is not None
    assert not pair.as_promised
    (one,) = of_overlap(pair)
    assert one.family == "a1"
    assert "more than the per-pixel families (median 0." in one.text


def test_the_only_family_of_its_label_is_held_against_the_others_but_not_they_against_it():
    slopes = {"a1": 0.6, "p1": 0.3, "p2": 0.3}
    assert judged(drawn(np.random.default_rng(4), slopes)) == ["a1"]
    assert judged(drawn(np.random.default_rng(4), {**slopes, "a1": 0.3})) == []


def test_what_cannot_fall_further_is_not_robust():
    rng = np.random.default_rng(5)
    found = drawn(rng, APART)
    sunk = made("p4", np.full((5, 40), 0.01) + rng.normal(0, 0.001, (5, 40)), found[0].resample, mildest=0.02)
    high = made("p4", np.full((5, 40), 0.01) + rng.normal(0, 0.001, (5, 40)), found[0].resample, mildest=0.8)
    assert judged([*found, sunk]) == []
    assert judged([*found, high]) == ["p4"]


def test_with_a_single_seed_nothing_is_judged():
    found = drawn(np.random.default_rng(6), {**APART, "a3": 0.6}, seeds=1)
    assert groups(found, {fall.family: label(fall.family) for fall in found}) is None


def test_equal_families_are_rarely_accused():
    rng = np.random.default_rng(7)
    slopes = dict.fromkeys([*(f"a{i}" for i in range(6)), *(f"p{i}" for i in range(6))], 0.3)
    accused = sum(bool(judged(drawn(rng, slopes, seeds=3))) for _ in range(200))
    assert accused <= 0.05 * 200


def test_a_noisy_family_does_not_raise_the_bar_for_others():
    rng = np.random.default_rng(8)
    found = drawn(rng, {**APART, "a3": 0.5})
    pair = groups(found, {fall.family: label(fall.family) for fall in found})
    assert pair is not None
    assert [one.family for one in of_overlap(pair)] == ["a3"]
    noisy = made("a9", 0.2 + rng.normal(0, 3, (5, 40)), found[0].resample)
    assert "a3" in [one.family for one in of_overlap(dataclasses.replace(pair, aware=(*pair.aware, noisy)))]


def span(name: str, **values: Any) -> Span:
    usual = {"near": 5, "span": 0.2, "half": 0.1, "double": 0.3, "without_one": 0.15, "luck": 0.04}
    return Span(name, 0.97, "dial", 20, 20, 16, **{**usual, "status": "measured", **values})


@pytest.mark.parametrize(
    ("tradeoff", "values", "accused"),
    [
        (SYMMETRIC, {}, True),
        (SYMMETRIC, {"without_one": 0.04}, False),
        (SYMMETRIC, {"luck": 0.25}, False),
        (SYMMETRIC, {"luck": float("nan")}, False),
        (SYMMETRIC, {"status": "too few trials"}, False),
        ("class-weighted", {}, False),
        (TUNABLE, {}, False),
        (TUNABLE, {"span": 0.01, "double": 0.02}, True),
        (TUNABLE, {"span": 0.01, "double": 0.08}, False),
        (TUNABLE, {"span": 0.01, "double": 0.02, "completed": 9}, False),
    ],
)
def test_when_a_trade_off_label_is_contradicted(tradeoff: str, values: dict[str, Any], accused: bool):
    one = dataclasses.replace(span("one"), **values)
    assert [found.family for found in of_tradeoff([one], {"one": tradeoff})] == (["one"] if accused else [])


@pytest.fixture(scope="module")
def mislabelled() -> Axes:
    """The survey's families, but dice falls as steeply as cross-entropy does, and is still called overlap-aware."""
    steep = {"dice": 0.13, "focal": 0.12}
    shapes = {name: dataclasses.replace(shape, slope=steep.get(name, shape.slope)) for name, shape in SHAPES.items()}
    return measured(synthetic(shapes, trials=20))


def test_a_study_with_a_mislabelled_family_names_it(mislabelled: Axes):
    assert [(one.family, one.label) for one in mislabelled.contradictions] == [("dice", AWARE)]
    (text,) = placing.verdicts(mislabelled)
    assert text.startswith("dice is called overlap-aware, yet it falls by 0.")
    assert "nearer to the per-pixel families" in text
    frame = mislabelled.frame.set_index("family")
    assert frame["contradicts"].to_dict() == {name: AWARE if name == "dice" else "" for name in frame.index}


def test_a_study_whose_labels_fit_says_so_and_what_it_could_judge():
    found = measured(synthetic(trials=20))
    (text,) = placing.verdicts(found)
    assert text.startswith("No family's measured place contradicts its label")
    assert "cross_entropy" in text
    assert "as the labels promise" in placing.overlap_reading(found)


def test_labels_that_are_turned_round_are_called_that():
    shapes = {
        name: dataclasses.replace(shape, overlap={AWARE: PIXEL, PIXEL: AWARE}.get(shape.overlap, shape.overlap))
        for name, shape in SHAPES.items()
    }
    found = measured(synthetic(shapes, trials=5))
    assert "the opposite of what the labels promise" in placing.overlap_reading(found)
    assert {one.family for one in found.contradictions} >= {"cross_entropy"}


def test_families_on_unequal_terms_are_not_compared_and_named():
    found = measured(synthetic(trials=5, missing=[("dice", 0.99)]))
    assert "dice" not in {fall.family for fall in found.comparable}
    assert found.falls["dice", "argmax"].levels == (0.90, 0.95, 0.97)
    assert any("not compared: dice" in text for text in placing.left_out(found))


def test_sunk_families_are_named():
    assert any(
        "floor" in text and "dice" in text for text in placing.left_out(measured(synthetic(collapsing=["dice"])))
    )


def test_a_searched_learning_rate_takes_trade_off_labels_out_of_judgment(monkeypatch: pytest.MonkeyPatch):
    results = synthetic(["tversky", "dice"], trials=20)
    results.meta["study"]["training"]["lr"] = {"log_uniform": [1e-4, 1e-2]}
    found = measured(results)
    assert found.training == ("lr",)
    assert "lr" in placing.tradeoff_reading(found)
    everyone = [contradictions.Contradiction("tversky", TUNABLE, "")]
    monkeypatch.setattr(contradictions, "of_tradeoff", lambda *_: everyone)
    assert found.contradictions == ()
    assert measured(synthetic(["tversky", "dice"], trials=20)).contradictions == tuple(everyone)


def test_the_reference_decides_whose_spans_are_shown():
    assert measured(synthetic(["tversky"], searched="all", levels=(0.95, 0.97, 0.99))).level == 0.97


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"levels": (0.97,)}, "two levels"),
        ({"confirm": False}, "two levels"),
        ({"seeds": 1}, "single seed"),
        ({"families": ["dice", "tversky"]}, "called per-pixel"),
        ({"families": ["combo"]}, "called overlap-aware or per-pixel"),
    ],
)
def test_why_overlap_cannot_be_judged_is_said(case: dict[str, Any], words: str):
    found = measured(synthetic(**{"trials": 3, **case}))
    assert words in placing.overlap_reading(found)
    assert found.contradictions == ()
