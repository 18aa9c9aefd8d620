from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from sweeper.report.search.dials import Dial, FamilySearch, searches
from sweeper.results.results import Results

from .synthetic import synthetic


def with_settings(results: Results, change) -> Results:
    """Return the results with every trial's hyperparameters passed through `change(number, setting)`."""
    column = results.trials.schema.get_field_index("hyperparameters")
    rows = results.trials.to_pylist()
    values = [json.dumps(change(row["number"], json.loads(row["hyperparameters"]))) for row in rows]
    trials = results.trials.set_column(column, results.trials.schema.field(column), pa.array(values))
    return Results(trials, results.scores, results.meta)


def only(results: Results) -> FamilySearch:
    (search,) = searches(results)
    return search


def test_a_complement_is_no_dial_of_its_own_but_named_beside_it():
    search = only(synthetic(["tversky", "dice"], levels=(0.97,), trials=8, images=2))
    (dial,) = search.dials
    assert (dial.name, dial.symbol, dial.low, dial.high, dial.log, dial.default) == (
        "beta", "β", 0.05, 0.95, False, 0.7
    )  # fmt: skip
    assert dial.label == "β (beta), α = 1 − β"


def test_trials_carry_what_the_study_recorded():
    results = synthetic(["focal"], levels=(0.95, 0.97), trials=8, images=2, searched="all")
    search = only(results)
    rows = {(row["level"], row["number"]): row for row in results.trials.to_pylist() if row["stage"] == "search"}
    scored = [row for row in rows.values() if row["status"] != "failed"]
    assert len(search.trials) == len(search.values) == len(search.settings) == len(scored)
    assert search.levels == [0.95, 0.97]
    recalls = {
        row["key"]: row["value"]
        for row in results.scores.to_pylist()
        if (row["split"], row["metric"]) == ("val", "recall")
    }
    for trial, values in zip(search.trials.itertuples(), search.values, strict=True):
        row = rows[trial.level, trial.number]
        setting = json.loads(row["hyperparameters"])
        assert (trial.score, trial.status, trial.epochs) == (row["objective"], row["status"], row["epochs"])
        assert trial.recall == recalls[row["key"]]
        assert list(values) == [setting["gamma"], setting["alpha"]]


def test_a_tuned_training_hyperparameter_is_a_dial_of_every_family():
    results = synthetic(["dice", "cross_entropy"], levels=(0.97,))
    results.meta["study"]["training"]["lr"] = {"log_uniform": [1e-4, 1e-2]}
    # Without a dial of its own a family of this study has one trial; the learning rate gives it several.
    trials = pa.concat_tables([results.trials] * 6)
    rates = np.geomspace(1e-4, 1e-2, trials.num_rows)
    column = trials.schema.get_field_index("hyperparameters")
    values = [json.dumps({"training.lr": float(rate)}) for rate in rates]
    trials = trials.set_column(column, trials.schema.field(column), pa.array(values))
    found = searches(Results(trials, results.scores, results.meta))
    assert [search.family for search in found] == ["dice", "cross_entropy"]
    for search in found:
        (dial,) = search.dials
        assert (dial.name, dial.log, dial.default) == ("training.lr", True, None)
        assert search.moved == (0,)
        assert search.still == ()
        assert len(np.unique(search.values)) == 6


def test_a_dial_with_one_value_is_still():
    results = synthetic(["focal"], levels=(0.97,), trials=8, images=2)
    search = only(with_settings(results, lambda number, setting: {**setting, "alpha": 0.25}))
    assert [search.dials[index].name for index in search.moved] == ["gamma"]
    assert [dial.name for dial in search.still] == ["alpha"]


def test_a_trial_without_the_hyperparameter_has_no_value():
    results = synthetic(["focal"], levels=(0.97,), trials=8, images=2)
    search = only(with_settings(results, lambda number, setting: {} if number == 1 else setting))
    assert np.isnan(search.values[1]).all()
    assert np.isfinite(np.delete(search.values, 1, axis=0)).all()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"uniform": [0, 5]}, (0.0, 5.0, False, ())),
        ({"log_uniform": [1e-4, 1e-2]}, (1e-4, 1e-2, True, ())),
        ({"int": [1, 4]}, (1.0, 4.0, False, (1.0, 2.0, 3.0, 4.0))),
        ({"int": [1, 400]}, (1.0, 400.0, False, ())),
        ({"choice": [3, 1, 2]}, (1.0, 3.0, False, (1.0, 2.0, 3.0))),
        ({"choice": [1e-4, 1e-3, 1e-2]}, (1e-4, 1e-2, True, (1e-4, 1e-3, 1e-2))),
        ({"choice": ["a", "b"]}, None),
        ({"choice": [True, False]}, None),
        ({"choice": [2]}, None),
        (0.5, None),
    ],
)
def test_every_numeric_domain_gives_a_scale(spec, expected):
    results = synthetic(["tversky"], levels=(0.97,), trials=3, images=2)
    results.meta["families"]["tversky"]["hyperparameters"]["beta"]["domain"] = spec
    found = searches(results)
    if expected is None:
        assert found == []
    else:
        (dial,) = found[0].dials
        assert (dial.low, dial.high, dial.log, dial.listed) == expected


def test_places_on_the_scale_and_back():
    log = Dial("lr", "", "", 1e-4, 1e-2, True, (), None)
    assert log.unit(np.array([1e-4, 1e-3, 1e-2])) == pytest.approx([0, 0.5, 1])
    assert log.values(np.array([0, 0.5, 1])) == pytest.approx([1e-4, 1e-3, 1e-2])
    linear = Dial("gamma", "γ", "", 1, 5, False, (), None)
    assert linear.unit(np.array([1.0, 2.0])) == pytest.approx([0, 0.25])
    assert linear.values(np.array([0, 0.25])) == pytest.approx([1, 2])


def test_no_trial_and_no_scored_trial_give_no_search():
    results = synthetic(["focal"], levels=(0.97,), trials=4, images=2, failing=["focal"])
    assert searches(results) == []
    assert searches(Results(results.trials.slice(0, 0), results.scores, results.meta)) == []
