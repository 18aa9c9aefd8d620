from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.report.plane import spans as module
from sweeper.report.plane.spans import (
    FEW,
    FIXED,
    MEASURED,
    Span,
    front,
    luck,
    own_dials,
    read,
    spans,
    table,
    without_one,
)
from sweeper.results.results import Results
from sweeper.results.schema import MINORITY, SCORES, TRIALS

from .synthetic import synthetic

# Recall, precision: D is beaten by B in both, C is the twin of B, F by A at equal recall.
A, B, C, D, E, F = (0.9, 0.5), (0.7, 0.7), (0.7, 0.7), (0.6, 0.65), (0.5, 0.9), (0.9, 0.4)


def points(*pairs: tuple[float, float]) -> Any:
    return np.array([(r, p, 2 * r * p / (r + p)) for r, p in pairs])


def study(
    trials: Mapping[str, Sequence[tuple[Any, ...]]],
    *,
    tradeoff: str = "tunable",
    confirm: Sequence[tuple[str, float, float]] = (),
    training: Mapping[str, Any] | None = None,
    domain: Any = None,
) -> Results:
    """Make a study: search trials (recall, precision[, status]) per family; confirm trials (family, dial, recall)."""
    base = synthetic(1, confirm=False)
    families = dict.fromkeys([*trials, *(family for family, *_ in confirm)])
    rows: list[dict[str, Any]] = []
    scores: list[tuple[Any, ...]] = []
    template = base.trials.slice(0, 1).to_pylist()[0]

    def add(family: str, stage: str, number: int | None, dial: float, status: str, values: dict[str, float]) -> None:
        key = f"{family} {stage} {len(rows)}"
        rows.append({**template, "key": key, "family": family, "stage": stage, "number": number, "status": status,
                     "hyperparameters": json.dumps({"dial": dial}), "seed": len(rows)})  # fmt: skip
        scores.extend((key, "val", "argmax", None, MINORITY, metric, value) for metric, value in values.items())

    for family, own in trials.items():
        for number, (recall, precision, *status) in reversed(list(enumerate(own))):
            f1 = 2 * recall * precision / (recall + precision)
            add(family, "search", number, number / 100, status[0] if status else "completed",
                {"recall": recall, "precision": precision, "f1": f1})  # fmt: skip
    for family, dial, recall in confirm:
        add(family, "confirm", None, dial, "completed", {"recall": recall})
    spec = {"uniform": [0.0, 1.0]} if domain is None else domain
    dials = {"dial": {"symbol": "δ", "effect": "", "domain": spec, "default": 0.5}}
    about = {"title": "", "overlap": "mixed", "tradeoff": tradeoff}
    meta = {
        **base.meta,
        "study": {**base.meta["study"], "training": {"lr": 0.001, **(training or {})}},
        "families": {name: {**about, "hyperparameters": {} if name == "plain" else dials} for name in families},
    }
    columns = {field.name: pa.array(column, field.type) for field, column
               in zip(SCORES, zip(*scores, strict=True), strict=True)}  # fmt: skip
    return Results(pa.Table.from_pylist(rows, schema=TRIALS), pa.table(columns, schema=SCORES), meta)


def only(results: Results, **options: Any) -> Span:
    (found,) = spans(results, rope=options.pop("rope", 0.01))
    return found


def test_a_front_made_by_hand():
    r, p = np.array([A, B, C, D, E, F]).T
    assert front(r, p).tolist() == [True, True, True, False, True, False]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_a_front_is_what_no_other_point_beats(pairs: list[tuple[int, int]]):
    def beaten(one: tuple[int, int]) -> bool:
        return any(q[0] >= one[0] and q[1] >= one[1] and q != one for q in pairs)

    r, p = np.array(pairs, float).T
    assert front(r, p).tolist() == [not beaten(one) for one in pairs]


def test_a_span_worked_by_hand():
    # F1: A 0.6429, B and C 0.7, E 0.6429, D 0.624; within 0.02 of 0.7 are B and C alone, within 0.06 also A and E.
    found = points(A, B, C, D, E, F)
    assert read(found, 0.02).span == 0
    assert read(found, 0.02).near == 2
    wide = read(found, 0.06)
    assert (wide.span, wide.low, wide.high, wide.near) == (pytest.approx(0.4), 0.5, 0.9, 4)
    assert (wide.whole, wide.best_f1) == (pytest.approx(0.4), pytest.approx(0.7))


def test_a_beaten_trial_does_not_stretch_the_span():
    # D has nearly the F1 of B and less of both.
    assert read(points(B, (0.68, 0.69), (0.72, 0.685)), 0.02).span == pytest.approx(0.02)


def test_where_the_best_f1_is_beaten_it_stands_in_for_the_front():
    # Means over classes: F1 need not follow from the means of precision and recall.
    found = np.array([(0.8, 0.8, 0.5), (0.6, 0.6, 0.7), (0.65, 0.6, 0.69)])
    assert (read(found, 0.02).low, read(found, 0.02).high) == (0.6, 0.65)


def test_the_smallest_span_without_a_trial_is_that_of_all_leave_one_outs():
    rng = np.random.default_rng(0)
    for _ in range(30):
        cloud = points(*rng.uniform(0.4, 0.8, (9, 2)).tolist())
        slowly = min(read(np.delete(cloud, i, axis=0), 0.05).span for i in range(9))
        assert without_one(cloud, 0.05) == slowly


def test_luck_is_the_range_that_equal_trainings_exceed_once_in_20():
    rng = np.random.default_rng(0)
    exceeded = 0
    for _ in range(2000):
        recalls = [rng.normal(mean, 0.03, 4) for mean in (0.5, 0.7)]
        exceeded += np.ptp(rng.normal(0.6, 0.03, 8)) > luck(recalls, 8)
    assert exceeded / 2000 == pytest.approx(0.05, abs=0.012)


def test_luck_takes_two_trainings_of_a_setting():
    assert np.isnan(luck([np.array([0.5]), np.array([0.7])], 8))
    assert luck([np.array([0.5, 0.6])], 1) == 0


def test_a_family_without_dials_has_no_span_by_definition():
    found = {span.family: span for span in spans(study({"dialed": [B] * 5, "plain": [B]}), rope=0.01)}
    assert (found["plain"].span, found["plain"].status) == (0, FIXED)
    assert (found["dialed"].span, found["dialed"].status) == (0, MEASURED)


def test_trials_that_did_not_end_are_no_points_and_few_are_too_few():
    stopped = (0.71, 0.695, "stopped")
    found = only(study({"one": [B, (0.68, 0.72), stopped, (0.9, 0.69, "failed"), D, D]}))
    assert (found.recorded, found.trials, found.completed, found.status) == (6, 6, 4, FEW)
    assert np.isnan(found.span)
    found = only(study({"one": [B, (0.68, 0.72), stopped, (0.9, 0.69, "failed"), D, D, D]}))
    assert (found.completed, found.status, found.span) == (5, MEASURED, pytest.approx(0.02))


def test_families_are_read_over_equally_many_of_their_first_trials():
    early, late = [(0.69, 0.71), B, D, D, D, D], [(0.66, 0.74), (0.74, 0.66)]
    found = {s.family: s for s in spans(study({"long": [*early, *late], "short": early}), rope=0.01)}
    assert (found["long"].recorded, found["long"].trials) == (8, 6)
    assert found["long"].span == found["short"].span == pytest.approx(0.01)
    alone = only(study({"long": [*early, *late]}))
    assert (alone.trials, alone.span) == (8, pytest.approx(0.08))


def test_one_that_hardly_ran_does_not_cut_the_others_short():
    found = {s.family: s for s in spans(study({"long": [B] * 9, "barely": [B] * 3}), rope=0.01)}
    assert (found["long"].trials, found["barely"].status) == (9, FEW)


def test_a_finite_space_is_complete_with_fewer_trials():
    trials = {"a": [B] * 9, "b": [B] * 6}
    found = spans(study(trials, domain={"choice": [1, 2, 3]}), rope=0.01)
    assert [span.trials for span in found] == [9, 6]


def test_equal_f1_is_twice_the_region_of_practical_equivalence():
    results = study({"one": [B, (0.8, 0.6), (0.6, 0.8), D, D]})
    # Both ends have F1 0.6857, 0.0143 below the best.
    assert only(results, rope=0.005).span == 0
    assert only(results, rope=0.0072).span == pytest.approx(0.2)
    assert only(results, rope=0.005).double == pytest.approx(0.2)
    assert only(results, rope=0.0072).half == 0


def test_the_luck_is_that_of_the_familys_own_confirm_trials():
    confirm = [("one", 0.1, 0.50), ("one", 0.1, 0.54), ("one", 0.9, 0.70), ("one", 0.9, 0.74), ("other", 0.1, 0.1),
               ("other", 0.1, 0.9)]  # fmt: skip
    found = {s.family: s for s in spans(study({"one": [B] * 5}, confirm=confirm), rope=0.01)}
    # Two settings of two seeds, 0.04 apart each: sd 0.0283 with two degrees of freedom.
    expected = module._studentized_range(5, 2) * np.sqrt(0.0008)
    assert found["one"].luck == pytest.approx(expected)


def test_dials_of_training_are_not_the_familys_own():
    results = study({"one": [B] * 5}, training={"lr": {"log_uniform": [1e-4, 1e-2]}})
    assert own_dials(results, "one") == ["dial"]
    assert own_dials(study({"plain": [B]}, training={"lr": {"log_uniform": [1e-4, 1e-2]}}), "plain") == []


def test_every_level_that_was_searched_has_its_own_span():
    results = synthetic(["tversky", "dice"], searched="all", levels=(0.95, 0.97), trials=12)
    frame = table(spans(results, rope=0.01))
    assert list(zip(frame["family"], frame["level"], strict=True)) == [
        ("tversky", 0.95), ("dice", 0.95), ("tversky", 0.97), ("dice", 0.97)]  # fmt: skip


def test_a_study_without_trials_knows_its_families_still():
    results = study({"one": [B]})
    empty = Results(TRIALS.empty_table(), SCORES.empty_table(), results.meta)
    assert [(span.family, span.level, span.status) for span in spans(empty, rope=0.01)] == [("one", 0.97, FEW)]
