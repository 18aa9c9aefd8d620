from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sweeper.report.search.dials import Dial, FamilySearch
from sweeper.report.search.explored import Explored, edge_words, edges
from sweeper.report.search.responses import CELLS, LEAST, MOST, Curve, edges_of, respond

from .synthetic import synthetic

BETA = Dial("beta", "β", "", 0.0, 1.0, False, (), 0.5)
RATE = Dial("training.lr", "lr", "", 1e-4, 1e-2, True, (), None)


def made(
    truth: Callable[..., np.ndarray],
    dials: Sequence[Dial] = (BETA,),
    *,
    trials: int = 20,
    noise: float = 0.01,
    stopped: int = 0,
    seed: int = 0,
) -> FamilySearch:
    """Make a search whose score is `truth` of the dials' places in their domains; the last `stopped` were stopped."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(size=(trials, len(dials)))
    status = ["completed"] * (trials - stopped) + ["stopped"] * stopped
    frame = pd.DataFrame(
        {
            "level": 0.97,
            "number": range(trials),
            "status": status,
            "epochs": np.where(np.array(status) == "stopped", 3, 27),
            "planned": 27,
            "score": np.clip(truth(*places.T) + rng.normal(0, noise, trials), 0, 1),
        }
    )
    frame["recall"] = frame["precision"] = frame["score"]
    values = np.column_stack([dial.values(places[:, index]) for index, dial in enumerate(dials)])
    return FamilySearch("tversky", tuple(dials), (), frame, values, tuple({} for _ in range(trials)))


def test_a_curve_follows_the_scores():
    response = respond(made(lambda at: 0.6 - (at - 0.3) ** 2), 0.97)
    assert response is not None
    curve = response.curves[0]
    assert curve.mean == pytest.approx(0.6 - (curve.values - 0.3) ** 2, abs=0.03)
    assert (curve.low <= curve.mean).all()
    assert (curve.mean <= curve.high).all()
    (low, high) = curve.regions[0]
    assert 0.0 <= low < 0.3 < high < 0.6


def test_a_logarithmic_dial_is_smooth_over_its_logarithm():
    response = respond(made(lambda at: 0.3 + 0.3 * at, [RATE]), 0.97)
    assert response is not None
    curve = response.curves[0]
    assert curve.values[[0, 16, 32]] == pytest.approx([1e-4, 1e-3, 1e-2])
    assert curve.mean[[0, 16, 32]] == pytest.approx([0.3, 0.45, 0.6], abs=0.03)


def test_a_curve_is_the_average_over_the_other_dial():
    def truth(beta, rate):
        return 0.2 + 0.3 * beta + 0.3 * rate

    response = respond(made(truth, [BETA, RATE], trials=40), 0.97)
    assert response is not None
    mean_rate = RATE.unit(response.search.values[response.rows, 1]).mean()
    assert response.curves[0].mean[[0, 32]] == pytest.approx([0.2 + 0.3 * mean_rate, 0.5 + 0.3 * mean_rate], abs=0.05)
    # Its band is that of an average, not of one setting.
    assert (response.curves[0].high - response.curves[0].low).max() < 0.1


def test_a_map_has_its_highest_place_where_both_dials_are_best():
    def truth(beta, rate):
        return 0.7 - (beta - 0.25) ** 2 - (rate - 0.75) ** 2

    response = respond(made(truth, [BETA, RATE], trials=40), 0.97)
    assert response is not None
    found = response.sheet(0, 1)
    first, second = np.unravel_index(found.mean.argmax(), found.mean.shape)
    assert found.first[first] == pytest.approx(0.25, abs=0.12)
    assert found.second[second] == pytest.approx(RATE.values(np.array(0.75)), rel=0.7)
    assert found.mean.shape == found.sd.shape == (CELLS, CELLS)
    assert found.best[first, second]
    assert 0 < found.best.mean() < 0.3
    # Over the same two dials the other way round it is the same map.
    turned = response.sheet(1, 0)
    assert turned.mean == pytest.approx(found.mean.T)


def test_too_few_trials_are_not_smoothed():
    assert respond(made(lambda at: at, trials=LEAST), 0.97) is not None
    assert respond(made(lambda at: at, trials=LEAST - 1), 0.97) is None
    assert respond(made(lambda at: at, trials=12, stopped=12 - LEAST + 1), 0.97) is None
    assert respond(made(lambda a, b, c: a, [BETA, RATE, BETA], trials=7), 0.97) is None
    assert respond(made(lambda at: at), 0.5) is None


def test_a_curve_is_that_of_trials_that_ran_to_the_end():
    """Trials stopped after a ninth of their epochs score 0.3 less, all over the domain."""
    search = made(lambda at: 0.4 + 0.3 * at, trials=30, stopped=12)
    late = search.trials["status"] == "stopped"
    search.trials.loc[late, "score"] -= 0.3
    response = respond(search, 0.97)
    assert response is not None
    assert response.ended == 18
    assert response.curves[0].mean == pytest.approx(0.4 + 0.3 * response.curves[0].values, abs=0.03)
    # Were they taken for full trials, the curve would run between the two.
    search.trials["status"] = "completed"
    mixed = respond(search, 0.97)
    assert mixed is not None
    assert mixed.curves[0].mean.mean() < response.curves[0].mean.mean() - 0.05


def test_a_dial_that_did_not_move_there_is_not_smoothed():
    search = made(lambda a, b: a, [BETA, RATE])
    search.values[:, 1] = 1e-3
    response = respond(search, 0.97)
    assert response is not None
    assert response.moved == (0,)
    assert list(response.curves) == [0]
    search.values[:, 0] = 0.5
    assert respond(search, 0.97) is None


def test_many_trials_are_thinned_evenly():
    response = respond(made(lambda at: at, trials=3 * MOST), 0.97)
    assert response is not None
    assert (len(response.rows), response.scored) == (MOST, 3 * MOST)
    assert response.rows[0] == 0
    assert response.rows[-1] == 3 * MOST - 1
    assert set(np.diff(response.rows)) <= {2, 3, 4}


def test_the_best_region_is_where_the_band_reaches_the_highest_mean():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    high = np.array([0.5, 0.7, 0.55, 0.6, 0.61])
    curve = Curve(values, np.array([0.4, 0.6, 0.5, 0.5, 0.5]), np.zeros(5), high)
    assert curve.best.tolist() == [False, True, False, True, True]
    assert curve.regions == [(2.0, 2.0), (4.0, 5.0)]


def found_edges(search: FamilySearch) -> list[tuple[str, bool, bool]]:
    return [(edge.end, edge.near, edge.rising) for edge in edges_of(search, 0.97, respond(search, 0.97))]


def test_a_score_that_still_rises_at_an_end_is_an_edge():
    rising = made(lambda at: 0.2 + 0.5 * at, trials=30)
    ((end, _, rises),) = found_edges(rising)
    assert (end, rises) == ("upper", True)
    ((end, _, rises),) = found_edges(made(lambda at: 0.7 - 0.5 * at, trials=30))
    assert (end, rises) == ("lower", True)
    assert found_edges(made(lambda at: 0.6 - (at - 0.5) ** 2, trials=30)) == []


def test_a_rise_at_an_end_that_stays_below_the_best_is_no_edge():
    # Highest at 0, lowest near 0.6, and climbing again from there to the upper end.
    search = made(lambda at: 0.5 + 0.2 * np.cos(5.4 * at), trials=60)
    response = respond(search, 0.97)
    assert response is not None
    assert not response.rising(0, 1.0)
    half = search.values[:, 0] > 0.6
    upper = replace(BETA, low=0.6)
    some = replace(
        search, dials=(upper,), trials=search.trials[half].reset_index(drop=True), values=search.values[half]
    )
    alone = respond(some, 0.97)
    assert alone is not None
    assert alone.rising(0, 1.0)
    assert not alone.rising(0, 0.0)


def test_a_best_trial_at_an_end_is_an_edge_also_where_nothing_can_be_smoothed():
    search = made(lambda at: 0.6 - (at - 0.5) ** 2, trials=4)
    search.values[2, 0], search.trials.loc[2, "score"] = 0.98, 0.9
    assert found_edges(search) == [("upper", True, False)]
    search.values[2, 0] = 0.96
    assert found_edges(search) == []
    # A trial that was stopped is never chosen.
    search.values[2, 0] = 0.98
    search.trials.loc[2, "status"] = "stopped"
    assert found_edges(search) == []


def test_a_dial_of_few_values_has_no_edge():
    few = Dial("beta", "β", "", 0.0, 1.0, False, (0.0, 0.5, 1.0), None)
    search = made(lambda at: at, [few])
    search.values[:, 0] = search.values[:, 0].round()
    assert found_edges(search) == []


def test_noise_seldom_looks_like_a_rise_at_an_edge():
    flagged = [
        any(rising for _, _, rising in found_edges(made(lambda at: 0 * at + 0.5, noise=0.05, seed=seed)))
        for seed in range(60)
    ]
    assert np.mean(flagged) <= 0.1


def test_edges_of_a_study_are_said_in_words():
    results = synthetic(["focal", "tversky"], levels=(0.97,), trials=40, images=2)
    # The score is best near 0.6: the search of a domain that ends at 0.5.
    results.meta["families"]["tversky"]["hyperparameters"]["beta"]["domain"] = {"uniform": [0.05, 0.5]}
    settings = [json.loads(row["hyperparameters"]) for row in results.trials.to_pylist()]
    kept = [setting.get("beta", 0) <= 0.5 for setting in settings]
    narrowed = type(results)(results.trials.filter(kept), results.scores, results.meta)
    found = edges(narrowed)
    assert [(edge.family, edge.dial.name, edge.end, edge.rising) for edge in found] == [
        ("tversky", "beta", "upper", True)
    ]
    text = edge_words(found[0])
    assert text.startswith("tversky at 97\u00a0%: ")
    assert text.endswith("towards it." if found[0].near else "towards the upper end of its domain (0.05 to 0.5).")
    assert Explored(narrowed).edges == found


def test_levels_shown_are_the_reference_and_the_hardest_that_were_searched():
    results = synthetic(["focal"], levels=(0.9, 0.95, 0.97, 0.99), trials=8, images=2, searched="all")
    explored = Explored(results)
    assert explored.levels(explored.searches[0]) == [0.97, 0.99]
    reference = Explored(synthetic(["focal"], levels=(0.95, 0.97), trials=8, images=2))
    assert reference.levels(reference.searches[0]) == [0.97]
