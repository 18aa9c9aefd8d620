from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sweeper.report.comparisons import Headline, headline
from sweeper.report.evidence import Counts, Evidence, Key, gather
from sweeper.report.inference.statistics import Array
from sweeper.report.plane.falls import Fall, decades, falls, measured_levels, slope_weights, table
from sweeper.results.results import Results
from sweeper.results.schema import MINORITY

from .synthetic import SHAPES, synthetic

RECALL = Headline("recall", MINORITY)


def fall(results: Results, family: str) -> Fall:
    return falls(results, gather(results), headline(results))[family, "argmax"]


def at_levels(results: Results, found: dict[float, float]) -> Results:
    """Replace the background fractions that the trials measured on test."""
    measured = pa.array([found[level] for level in results.trials["level"].to_pylist()], pa.float64())
    index = results.trials.schema.get_field_index("level_test")
    return Results(results.trials.set_column(index, "level_test", measured), results.scores, results.meta)


def test_a_decade_is_ten_times_less_foreground():
    assert decades([0.9, 0.99, 0.97]) == pytest.approx([1, 2, -np.log10(0.03)])


def test_slope_weights_are_those_of_polyfit():
    x, y = np.array([1.0, 1.3, 1.5, 2.0]), np.array([0.7, 0.61, 0.6, 0.2])
    assert slope_weights(x) @ y == pytest.approx(np.polyfit(x, y, 1)[0])


def test_the_fall_is_polyfits_slope_through_the_recorded_scores():
    results = synthetic(["cross_entropy", "tversky"])
    frame = results.scores.to_pandas().merge(results.trials.to_pandas(), on="key")
    for family in ("cross_entropy", "tversky"):
        for point in ("argmax", "shifted"):
            # The pooled scores of the tables, worked out by the synthetic study in plain Python.
            own = frame[
                (frame["family"] == family) & frame["is_tuned"] & (frame["split"] == "test") & frame["image"].isna()
                & (frame["point"] == point) & (frame["metric"] == "iou") & (frame["class"] == MINORITY)
            ].groupby("level")["value"].mean()  # fmt: skip
            slope, _ = np.polyfit(-np.log10(1 - own.index.to_numpy()), own.to_numpy(), 1)
            found = falls(results, gather(results), headline(results))[family, point]
            assert found.interval.mean == pytest.approx(-slope)
            assert found.interval.low < -slope < found.interval.high
            assert found.scores == pytest.approx(own.to_numpy())
            line = np.polyval(np.polyfit(found.decades, found.scores, 1), found.decades)
            assert found.bend == pytest.approx(np.abs(found.scores - line).max())


def test_two_levels_make_a_difference_quotient_and_lie_on_the_line():
    found = fall(synthetic(["dice"], levels=(0.9, 0.99)), "dice")
    assert found.interval.mean == pytest.approx(found.scores[0] - found.scores[1])
    assert found.bend == pytest.approx(0, abs=1e-12)


def test_levels_stand_where_they_were_measured():
    results = synthetic(["dice"], levels=(0.9, 0.99))
    moved = at_levels(results, {0.9: 0.9, 0.99: 0.999})
    assert measured_levels(moved) == {0.9: 0.9, 0.99: 0.999}
    # The same scores, twice as far apart.
    assert fall(moved, "dice").interval.mean == pytest.approx(fall(results, "dice").interval.mean / 2)


def test_levels_that_turn_out_in_another_order_are_put_right():
    results = synthetic(["dice"], levels=(0.9, 0.95, 0.99))
    found = fall(at_levels(results, {0.9: 0.96, 0.95: 0.9, 0.99: 0.99}), "dice")
    assert found.levels == (0.95, 0.9, 0.99)
    assert (np.diff(found.decades) > 0).all()


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ({"levels": (0.97,)}, 0),
        ({"confirm": False}, 0),
        ({"failing": ["dice"]}, 0),
        ({"absent": "curve 1"}, 2),
        ({"missing": [("dice", 0.9)]}, 2),
    ],
)
def test_odd_studies(case: dict[str, Any], found: int):
    results = synthetic(["dice"], **case)
    frame = table(falls(results, gather(results), headline(results)))
    assert len(frame) == found
    assert frame["fall"].notna().all()
    assert set(frame["levels"]) <= {3 if "missing" in case else 4}


def test_levels_measured_at_one_place_have_no_slope():
    results = synthetic(["dice"], levels=(0.9, 0.99))
    assert falls(at_levels(results, {0.9: 0.95, 0.99: 0.95}), gather(results), headline(results)) == {}


def test_one_picture_under_one_seed_has_no_interval():
    found = fall(synthetic(["dice"], seeds=1, images=1), "dice").interval
    assert found.mean > 0
    assert np.isnan([found.low, found.high]).all()


def test_a_family_that_ran_out_of_room_at_any_level_is_marked():
    assert fall(synthetic(["dice"], collapsing=["dice"]), "dice").floor
    assert not fall(synthetic(["dice"]), "dice").floor
    steep = {"dice": dataclasses.replace(SHAPES["dice"], slope=0.2)}
    found = fall(synthetic(steep, levels=(0.9, 0.97, 0.995)), "dice")
    assert found.scores[0] > 0.5
    assert found.scores[-1] < 0.05
    assert found.floor


def made(rng: np.random.Generator, seeds: int, images: int, x: Array, slope: float, luck: Array) -> Evidence:
    """Recall that falls linearly; luck: spread of the slopes of images, of seeds, and of every single score."""
    own = slope + rng.normal(0, luck[0], (1, images)) + rng.normal(0, luck[1], (seeds, 1))
    size = rng.uniform(50, 400, images)
    hard = rng.normal(0, 0.05, images)
    counts = {}
    for level in x:
        recall = 0.8 + hard - own * (level - x[0]) + rng.normal(0, luck[2], (seeds, images))
        tp = size * recall
        values = np.stack([tp, 0 * tp, size - tp, 4096 - size + 0 * tp], axis=-1)[:, :, None]
        counts[Key("one", 1 - 10**-level)] = Counts(
            tuple(map(str, range(seeds))), tuple(range(seeds)), tuple(f"{i:03}" for i in range(images)), values
        )
    return Evidence(counts=counts, classes=("thing",), minority=("thing",))


def reach(evidence: Evidence, x: Array) -> Fall:
    results = synthetic(1, confirm=False)
    meta = {**results.meta, "families": {"one": {}}, "levels": [1 - 10**-level for level in x]}
    return falls(Results(results.trials.slice(0, 0), results.scores, meta), evidence, RECALL)["one", "argmax"]


@pytest.mark.parametrize(
    ("seeds", "images", "luck"),
    [(3, 24, (0.2, 0.02, 0.03)), (3, 24, (0.05, 0.06, 0.02)), (5, 40, (0.1, 0.04, 0.03)), (10, 12, (0.1, 0.05, 0.05))],
)
def test_intervals_hold_a_known_slope(seeds: int, images: int, luck: tuple[float, ...]):
    rng, x, hits, number = np.random.default_rng(5), np.array([1.0, 1.3, 1.6, 2.0]), 0, 120
    for _ in range(number):
        found = reach(made(rng, seeds, images, x, 0.3, np.array(luck)), x).interval
        hits += found.low <= 0.3 <= found.high
    # Of 120 studies, a true coverage of 95 % shows as 91 % or more in all but 3 % of runs. Over 1000 studies each, the
    # four cases had 96.8, 96.2, 96.8 and 94.5 %.
    assert hits / number >= 0.91


def test_what_a_picture_loses_at_every_level_alike_does_not_widen_the_interval():
    rng, x = np.random.default_rng(1), np.array([1.0, 2.0])
    evidence = made(rng, 3, 30, x, 0.3, np.array([0.0, 0.0, 0.0]))
    found = reach(evidence, x).interval
    # Pictures differ by 0.05 in recall; unpaired, the ends would be about 0.05 / sqrt(30) * sqrt(2) * 1.96 away.
    assert found.high - found.low < 1e-9
    first = evidence.scores(Key("one", 0.9), ("recall",), (MINORITY,))[MINORITY, "recall"]
    assert first.high - first.low > 0.02
