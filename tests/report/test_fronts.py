from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sweeper.report.search.dials import searches
from sweeper.report.search.fronts import leading, leading_dial, points

from .synthetic import synthetic


def test_points_are_the_trials_that_ran_to_the_end_with_their_front():
    results = synthetic(["tversky", "focal", "dice"], levels=(0.97,), trials=12, images=2)
    rows = points(searches(results), 0.97)
    assert set(rows["family"]) == {"tversky", "focal"}
    trials = results.trials.to_pandas()
    ended = trials[(trials["stage"] == "search") & (trials["status"] == "completed")]
    for family, own in rows.groupby("family"):
        assert set(own["number"]) == set(ended.loc[ended["family"] == family, "number"])
        for row in own.itertuples():
            beaten = (
                (own["recall"] >= row.recall)
                & (own["precision"] >= row.precision)
                & ((own["recall"] > row.recall) | (own["precision"] > row.precision))
            )
            assert row.front == (not beaten.any())
            assert row.f1 == pytest.approx(2 * row.recall * row.precision / (row.recall + row.precision))
    assert points(searches(results), 0.5).empty


def test_the_leading_dial_is_the_one_recall_follows():
    results = synthetic(["combo"], levels=(0.97,), trials=20, images=2)
    (search,) = searches(results)
    # In the synthetic study beta moves recall, and the weight moves nothing.
    rows = np.flatnonzero(search.trials["status"] == "completed")
    assert search.dials[leading(search, rows)].name == "beta"
    frame = points([search], 0.97)
    assert leading_dial(search, frame).name == "beta"
    assert frame["place"].tolist() == pytest.approx(((frame["value"] - 0.1) / 0.8).tolist())


def test_without_recorded_recall_there_are_no_points():
    results = synthetic(["tversky"], levels=(0.97,), trials=6, images=2, confirm=False)
    (search,) = searches(type(results)(results.trials, results.scores.slice(0, 0), results.meta))
    assert search.trials["recall"].isna().all()
    assert isinstance(points([search], 0.97), pd.DataFrame)
    assert points([search], 0.97).empty
