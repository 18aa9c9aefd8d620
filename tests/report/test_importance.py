from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import optuna
import pandas as pd
import pytest

from sweeper.domains import Choice, Int, LogUniform, Uniform
from sweeper.report.search.importance import LEAST, _against_shuffles, _ranks, importance

from .synthetic import synthetic


def by_name(frame: pd.DataFrame, family: str) -> pd.DataFrame:
    return frame[frame["family"] == family].set_index("hyperparameter")


def test_what_moves_the_score_is_clear_of_noise_and_what_does_not_is_not():
    found = importance(synthetic(["focal", "combo", "dice"], levels=(0.97,), trials=60, images=2))
    focal, combo = by_name(found, "focal"), by_name(found, "combo")
    # In the synthetic study gamma and beta move the score; alpha of focal and the weight of combo do nothing.
    assert focal["clear"].to_dict() == {"gamma": True, "alpha": False}
    assert combo["clear"].to_dict() == {"weight": False, "beta": True}
    assert focal["share"].sum() == pytest.approx(1)
    assert (found["chance"] >= 0.01).all()
    assert set(found["family"]) == {"focal", "combo"}


def test_values_are_those_of_optuna():
    results = synthetic(["combo"], levels=(0.97,), trials=60, images=2)
    rows = results.trials.to_pandas()
    rows = rows[(rows["stage"] == "search") & (rows["status"] != "failed")].sort_values("number")
    distributions = {
        "weight": optuna.distributions.FloatDistribution(0.01, 1.0, log=True),
        "beta": optuna.distributions.FloatDistribution(0.1, 0.9),
    }
    study = optuna.create_study(direction="maximize")
    for row in rows.itertuples():
        # Stopped trials were judged worse, so they come after all that ended.
        value = row.objective - (row.status == "stopped")
        setting = json.loads(row.hyperparameters)
        study.add_trial(optuna.trial.create_trial(params=setting, distributions=distributions, value=value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.1), normalize=False
        )
    ours = by_name(importance(results), "combo")["importance"]
    assert ours.to_dict() == pytest.approx(theirs)


def test_few_trials_say_nothing():
    found = importance(synthetic(["focal"], levels=(0.97,), trials=LEAST, images=2))
    # One of them failed.
    assert found["trials"].tolist() == [LEAST - 1] * 2
    assert found["importance"].isna().all()
    assert not found["clear"].any()


def test_ranks_are_within_a_level_and_stopped_trials_come_last():
    trials = pd.DataFrame(
        {
            "level": [0.9, 0.9, 0.9, 0.99, 0.99],
            "status": ["completed", "stopped", "completed", "completed", "completed"],
            "objective": [0.5, 0.9, 0.6, 0.1, 0.2],
        }
    )
    assert _ranks(trials).tolist() == pytest.approx([2 / 3, 1 / 3, 1, 1 / 2, 1])


def test_noise_is_clear_about_once_in_20_times():
    clear = 0
    for study in range(60):
        rng = np.random.default_rng(study)
        settings = [{"a": float(one)} for one in rng.uniform(size=30)]
        ranks = (rng.permutation(30) + 1) / 30
        found, null = _against_shuffles(settings, {"a": Uniform(0, 1)}, ranks, np.zeros(30), study)
        clear += np.mean([*(null["a"] >= found["a"]), True]) <= 0.05
    # Binomial(60, 0.05): 9 or more once in 300 times.
    assert clear <= 8


@pytest.mark.parametrize("domain", [LogUniform(1e-4, 1.0), Int(1, 9), Choice(("a", "b", "c")), Choice((1, 2, 3, 4))])
def test_every_kind_of_domain_can_be_judged(domain):
    rng = np.random.default_rng(0)
    values = {
        LogUniform: lambda: float(np.exp(rng.uniform(np.log(1e-4), 0))),
        Int: lambda: int(rng.integers(1, 10)),
        Choice: lambda: domain.values[rng.integers(len(domain.values))],
    }[type(domain)]
    settings = [{"x": values()} for _ in range(30)]
    order = {value: rank for rank, value in enumerate(sorted({one["x"] for one in settings}, key=str))}
    ranks = np.array([order[one["x"]] + rng.uniform() for one in settings])
    found, null = _against_shuffles(settings, {"x": domain}, ranks.argsort().argsort() / 30, np.zeros(30), 0)
    assert found["x"] > np.quantile(null["x"], 0.95)


def test_it_is_quiet_and_leaves_optunas_voice_as_it_was(capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        importance(synthetic(["focal"], levels=(0.97,), trials=30, images=2))
        assert capfd.readouterr() == ("", "")
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)


def test_a_failing_family_and_an_empty_study_have_no_rows():
    results = synthetic(["focal"], levels=(0.97,), trials=8, images=2, failing=["focal"])
    assert importance(results).empty
    assert importance(synthetic(["dice"], levels=(0.97,), images=2)).empty


def test_equal_seeds_give_equal_tables():
    results = synthetic(["focal"], levels=(0.97,), trials=30, images=2)
    pd.testing.assert_frame_equal(importance(results, seed=3), importance(results, seed=3))


def test_importing_it_loads_no_optuna():
    code = "import sys, sweeper.report.search.importance; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
