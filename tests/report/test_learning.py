from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from sweeper.report.cost import cost, devices
from sweeper.report.document import Document
from sweeper.report.learning import curves, histories, lost_seeds, middle, to_target
from sweeper.report.search.search_budget import LEAST, budget_curves, expected_best, last_third
from sweeper.report.sections.budget import budget
from sweeper.report.sections.learning import learning

from .synthetic import synthetic


def history(scores: dict[str, list[list[float]]]) -> pd.DataFrame:
    """One row per family, seed and epoch at 0.97."""
    rows = [
        (family, 0.97, seed, epoch, score)
        for family, seeds in scores.items()
        for seed, values in enumerate(seeds)
        for epoch, score in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["family", "level", "seed", "epoch", "score"])


def test_curves_are_means_with_students_interval():
    values = [[0.2, 0.5], [0.3, 0.6], [0.4, 0.9]]
    found = curves(history({"a": values})).set_index("epoch")
    expected = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem([0.2, 0.3, 0.4]))
    assert found.loc[1, ["mean", "low", "high"]].tolist() == pytest.approx([0.3, *expected])
    # Beyond 1 there is no score.
    assert found.loc[2, "high"] == 1.0
    single = curves(history({"a": [[0.2, 0.5]]}))
    assert single["low"].isna().all()
    assert single["mean"].tolist() == [0.2, 0.5]


def test_the_target_is_shared_and_those_who_never_get_there_are_slower_than_any():
    found = to_target(history({"a": [[0.1, 0.46, 0.5], [0.1, 0.2, 0.5], [0.5, 0.5, 0.5]],
                               "b": [[0.1, 0.1, 0.3], [0.1, 0.1, 0.46], [0.1, 0.1, 0.2]],
                               "c": [[0.45, 0.4, 0.3], [0.1, 0.45, 0.1], [0.0, 0.0, 0.0]]}))  # fmt: skip
    rows = found.set_index("family")
    assert rows["target"].tolist() == pytest.approx([0.45] * 3)
    assert rows.loc["a", ["median", "reached", "seeds"]].tolist() == [2.0, 3, 3]
    assert rows.loc["b", ["median", "reached"]].tolist() == [math.inf, 1]
    # Having been there counts, also where the score falls again.
    assert rows.loc["c", ["median", "reached"]].tolist() == [2.0, 2]


def test_a_median_among_the_never_is_infinite():
    assert middle(np.array([3.0, 1.0, 2.0])) == 2.0
    assert middle(np.array([1.0, 2.0])) == 1.5
    assert middle(np.array([1.0, np.inf])) == math.inf
    assert middle(np.array([np.inf, 1.0, 2.0])) == 2.0


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_the_expected_best_is_the_mean_over_all_draws(n):
    scores = np.random.default_rng(n).random(n)
    scores[-1] = scores[0]
    every = [np.mean([max(draw) for draw in itertools.combinations(scores, k)]) for k in range(1, n + 1)]
    assert expected_best(scores) == pytest.approx(every, abs=1e-12)


def test_the_expected_best_of_many_is_stable():
    found = expected_best(np.random.default_rng(0).random(2000))
    assert (np.diff(found) >= -1e-12).all()
    assert found[-1] == pytest.approx(np.random.default_rng(0).random(2000).max(), abs=1e-9)
    # Of k uniform numbers the best is k / (k + 1) on average.
    assert found[9] == pytest.approx(10 / 11, abs=0.01)


def test_the_search_is_read_in_the_order_tried_and_without_stopped_trials():
    results = synthetic(["tversky"], levels=(0.97,), trials=14)
    rows = [row for row in results.trials.to_pylist() if row["stage"] == "search" and row["status"] == "completed"]
    rows.sort(key=lambda row: row["number"])
    found = budget_curves(results)
    assert found["trials"].tolist() == list(range(1, len(rows) + 1))
    assert found["so_far"].tolist() == list(np.maximum.accumulate([row["objective"] for row in rows]))
    gain = last_third(found)
    assert gain["gain"].iloc[0] == pytest.approx(
        found["expected"].iloc[-1] - found["expected"].iloc[-1 - len(rows) // 3]
    )
    few = budget_curves(synthetic(["tversky"], levels=(0.97,), trials=LEAST))
    assert last_third(few)["gain"].isna().all()


def test_histories_are_those_of_tuned_confirmed_trials():
    results = synthetic(["tversky"], levels=(0.97,), trials=4, seeds=2)
    found = histories(results)
    keys = {row["seed"] for row in results.trials.to_pylist() if row["is_tuned"]}
    assert set(found["seed"]) == keys
    assert len(found) == 30 * len(keys)


def test_cost_is_counted_by_hand():
    results = synthetic(["cross_entropy", "tversky"], levels=(0.97,), trials=6, seeds=2, failing=["tversky"])
    results.meta["slot"] = {"cpu": 2, "gpu": 0.0}
    rows = cost(results).set_index("family")
    own = [row for row in results.trials.to_pylist() if row["family"] == "cross_entropy"]
    hours = sum(row["seconds"] for row in own) / 3600
    assert rows.loc["cross_entropy", "hours"] == pytest.approx(hours)
    assert rows.loc["cross_entropy", "core_hours"] == pytest.approx(2 * hours)
    assert math.isnan(rows.loc["cross_entropy", "gpu_hours"])
    assert rows.loc["cross_entropy", "relative"] == 1.0
    assert rows.loc["tversky", "trials"] == 6
    assert math.isnan(rows.loc["tversky", "trial_seconds"])
    assert devices(results) == ["cpu"]


def test_a_fraction_of_a_gpu_costs_a_fraction():
    results = synthetic(["cross_entropy"], levels=(0.97,), trials=1, seeds=2)
    at = results.trials.schema.get_field_index("device")
    field = results.trials.schema.field(at)
    gpu = results.trials.set_column(at, field, pa.array(["NVIDIA X"] * results.trials.num_rows))
    results = dataclasses.replace(results, trials=gpu)
    results.meta["slot"] = {"cpu": 2, "gpu": 0.25}
    (row,) = cost(results).to_dict("records")
    assert row["gpu_hours"] == pytest.approx(row["hours"] / 4)
    assert math.isnan(row["core_hours"])
    del results.meta["slot"]
    assert math.isnan(cost(results)["gpu_hours"].iloc[0])
    assert "not recorded" in str(budget(Document(results)).words["remarks"])


def test_the_section_says_whether_more_trials_would_help():
    section = learning(Document(synthetic(["tversky", "combo"], levels=(0.97,), trials=24)))
    assert section is not None
    figure = section.figures["search_budget"]
    assert figure is not None
    assert figure.reading.startswith(("More trials may still help: in ", "More trials would hardly help: in none"))
    few = learning(Document(synthetic(["tversky"], levels=(0.97,), trials=3)))
    assert few is not None
    assert few.figures["search_budget"] is not None
    assert "nothing can be said of more" in few.figures["search_budget"].reading


@pytest.mark.parametrize("more", [{"extras": False}, {"confirm": False}, {"failing": ["dice"]}, {"seeds": 1},
                                  {"collapsing": ["dice"]}])  # fmt: skip
def test_odd_studies_have_what_they_can(more):
    section = learning(Document(synthetic(["dice"], levels=(0.97,), **more)))
    for figure in section.figures.values() if section else ():
        assert figure is None or figure.chart.to_dict(validate=True)
    budget(Document(synthetic(["dice"], levels=(0.97,), **more)))


def test_seeds_that_failed_count_as_never_there():
    found = to_target(history({"a": [[0.5], [0.5]], "b": [[0.5]]}), {("b", 0.97): 2}).set_index("family")
    assert found.loc["b", ["median", "reached", "seeds"]].tolist() == [math.inf, 1, 3]
    assert found.loc["a", ["median", "reached", "seeds"]].tolist() == [1.0, 2, 2]
    results = synthetic(["tversky"], levels=(0.97,), trials=4, seeds=3)
    rows = results.trials.to_pylist()
    tuned = [row for row in rows if row["is_tuned"]]
    tuned[0]["status"] = "failed"
    lost = dataclasses.replace(results, trials=pa.Table.from_pylist(rows, schema=results.trials.schema))
    assert lost_seeds(lost) == {("tversky", 0.97): 1}


def test_a_trial_that_failed_before_it_began_costs_where_all_others_ran():
    results = synthetic(["cross_entropy"], levels=(0.97,), trials=1, seeds=2)
    rows = results.trials.to_pylist()
    for row in rows:
        row["device"] = "NVIDIA X"
    rows[0]["device"] = None
    results = dataclasses.replace(results, trials=pa.Table.from_pylist(rows, schema=results.trials.schema))
    results.meta["slot"] = {"cpu": 2, "gpu": 0.5}
    (row,) = cost(results).to_dict("records")
    assert row["gpu_hours"] == pytest.approx(row["hours"] / 2)
    rows[1]["device"] = "cpu"
    mixed = dataclasses.replace(results, trials=pa.Table.from_pylist(rows, schema=results.trials.schema))
    (row,) = cost(mixed).to_dict("records")
    seconds = [one["seconds"] for one in rows]
    assert row["core_hours"] == pytest.approx(2 * seconds[1] / 3600)
    assert row["gpu_hours"] == pytest.approx(0.5 * sum(seconds[2:]) / 3600)


def test_a_long_search_is_looked_at_in_places_and_says_the_same():
    scores = np.random.default_rng(1).random(900)
    some = np.array([1, 17, 600, 900])
    assert expected_best(scores, some) == pytest.approx(expected_best(scores)[some - 1])
