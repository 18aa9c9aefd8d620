from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from sweeper.report.answer import Answer, answer
from sweeper.report.comparisons import against, headline, survival, tuned_vs_default
from sweeper.report.decision import NOTHING, decision_map
from sweeper.report.evidence import Key, gather
from sweeper.report.searched import tunable
from sweeper.report.statistics import Interval
from sweeper.results.results import Results

from .synthetic import SHAPES, synthetic

TWINS = {"cross_entropy": SHAPES["dice"], "other_family_": SHAPES["dice"], "third_family_": SHAPES["dice"]}


def words(results: Results) -> Answer:
    return answer(results, gather(results))


def everything(found: Answer) -> str:
    return " ".join([found.summary, *(f"{one.title} {one.text}" for one in found.findings), *found.cautions])


def test_equal_families_are_not_told_apart():
    found = words(synthetic(TWINS, levels=(0.95, 0.99)))
    assert "nothing is separable" in found.summary
    assert "ahead" not in everything(found)
    assert "no family separates" in everything(found)
    assert all(len(ranking.tied) == 2 for ranking in found.rankings)


def test_a_family_that_is_better_everywhere_is_named_with_its_difference():
    found = words(synthetic(TWINS, levels=(0.95, 0.99), gain={"third_family_": 0.15}))
    assert found.summary.startswith("At 99\u00a0% background, third_family_ is ahead of every other family")
    assert "The same family has the highest value at every level" in everything(found)
    assert "higher: third_family_ (+0.0" in everything(found)
    assert "not separable: other_family_" in everything(found)


def test_recall_and_iou_can_have_different_winners():
    found = words(synthetic())
    recall = next(one for one in found.findings if one.title.startswith("If a miss costs more"))
    assert recall.text.startswith("tversky has the highest recall at 99\u00a0%")
    assert found.rankings[0].leader.family != found.rankings[-1].leader.family


@pytest.mark.parametrize(
    ("argmax", "shifted", "expected"),
    [
        (Interval(0.1, 0.05, 0.2), Interval(0.1, 0.01, 0.2), "survives"),
        (Interval(0.1, 0.05, 0.2), Interval(0.0, -0.1, 0.1), "no longer separable once thresholds are tuned alike"),
        (Interval(0.0, -0.1, 0.1), Interval(0.1, 0.05, 0.2), "separable only once thresholds are tuned alike"),
        (Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05), "turns round once thresholds are tuned alike"),
        (Interval(0.0, -0.1, 0.1), Interval(0.0, -0.1, 0.1), "not separable at either point"),
    ],
)
def test_what_becomes_of_a_difference(argmax, shifted, expected):
    assert survival(argmax, shifted) == expected


def test_few_seeds_are_called_rough_and_one_is_called_one():
    assert "With 2 seeds the intervals are rough" in everything(words(synthetic(2, seeds=2)))
    assert "single seed" in everything(words(synthetic(2, seeds=1)))
    assert "rough" not in everything(words(synthetic(2, seeds=3)))


def test_cells_that_are_missing_are_named():
    found = everything(words(synthetic(3, missing=[("dice", 0.99)])))
    assert "incomplete: 1 of 12" in found
    assert "dice at 99\u00a0% (0 of 3 seeds)" in found


def test_without_confirm_trials_nothing_is_ranked():
    found = words(synthetic(confirm=False))
    assert found.summary.startswith("Nothing is confirmed yet")
    assert found.rankings == ()
    assert found.findings == ()


def test_when_all_failed_it_says_so():
    found = words(synthetic(2, failing=["cross_entropy", "focal"]))
    assert "trials failed" in found.summary


def test_a_family_without_scores_is_named_and_left_out():
    found = words(synthetic(failing=["focal"]))
    assert "in no comparison: focal" in everything(found)
    assert all(standing.family != "focal" for ranking in found.rankings for standing in ranking.standings)


def test_one_family_is_not_compared():
    assert "is the only family with confirmed scores" in words(synthetic(["tversky"])).summary


def test_mean_iou_as_the_search_metric_ranks_by_it():
    results = synthetic(3)
    results.meta["study"]["search"]["metric"] = "mean_iou"
    assert headline(results).label == "mean IoU over all classes"
    assert "mean IoU over all classes" in words(results).summary


def test_differences_from_the_baseline_have_its_sign():
    results = synthetic(TWINS, levels=(0.97,), gain={"third_family_": 0.15})
    frame = against(gather(results), results, "cross_entropy", headline(results)).set_index("family")
    assert frame.at["third_family_", "argmax_low"] > 0
    assert frame.at["other_family_", "argmax_difference"] == 0
    assert frame.at["third_family_", "reading"] == "survives"


def test_what_tuning_gained_leaves_out_families_with_nothing_to_tune():
    results = synthetic(["dice", "combo"], levels=(0.97,), trials=12, seed=1)
    frame = tuned_vs_default(gather(results), results, headline(results)).set_index("family")
    assert set(frame.index) == {"combo"}
    assert frame.at["combo", "difference"] == pytest.approx(frame.at["combo", "tuned"] - frame.at["combo", "default"])
    assert "Nothing to tune: dice." in everything(words(results))


def test_a_search_that_chose_the_default_says_so():
    results = synthetic(["combo"], levels=(0.97,), trials=1)
    frame = tuned_vs_default(gather(results), results, headline(results)).set_index("family")
    assert frame.at["combo", "reading"] == "the search chose the default"
    assert frame.at["combo", "difference"] == 0
    assert "the search chose the default: combo" in everything(words(results))


def test_a_family_has_something_to_tune_if_any_domain_has_two_values():
    results = synthetic(["focal", "dice", "tversky", "combo"])
    families = results.meta["families"]
    families["focal"]["hyperparameters"]["gamma"]["domain"] = {"choice": [2.0]}
    families["focal"]["hyperparameters"]["alpha"]["domain"] = None
    families["combo"]["hyperparameters"] = {"mode": {"domain": {"choice": ["a", "b"]}}}
    assert tunable(results) == (["tversky", "combo"], ["focal", "dice"])
    results.meta["study"]["training"]["lr"] = {"log_uniform": [1e-4, 1e-2]}
    assert tunable(results) == (["focal", "dice", "tversky", "combo"], [])


def test_least_cost_worked_by_hand():
    results = synthetic(["cross_entropy", "tversky"], levels=(0.97,), images=4)
    evidence = gather(results)
    frame = decision_map(evidence, ["cross_entropy", "tversky"], [0.97]).set_index("ratio")

    def cost(family: str, ratio: float) -> float:
        seeds = evidence.counts[Key(family, 0.97)].values.sum(axis=(1, 2))
        return sum((ratio * fn + fp) / (tp + fn) for tp, fp, fn, _ in seeds) / len(seeds)

    for ratio in (0.5, 20.0):
        best = min(("cross_entropy", "tversky"), key=lambda family: cost(family, ratio))
        assert frame.at[ratio, "family"] == best
        assert frame.at[ratio, "cost"] == pytest.approx(cost(best, ratio))
    assert frame.at[0.5, "family"] == "cross_entropy"
    assert frame.at[20.0, "family"] == "tversky"


def test_predicting_nothing_is_cheapest_when_every_family_raises_more_alarms_than_it_saves():
    noisy = {"cross_entropy": dataclasses.replace(SHAPES["dice"], precision=0.2)}
    frame = decision_map(gather(synthetic(noisy, levels=(0.97,))), ["cross_entropy"], [0.97]).set_index("ratio")
    assert frame.at[0.5, "family"] == NOTHING
    assert frame.at[0.5, "cost"] == 0.5
    assert frame.at[20.0, "family"] == "cross_entropy"


def test_a_threshold_at_the_end_of_those_tried_is_a_caution():
    results = synthetic(families=("cross_entropy", "dice"), levels=(0.9, 0.97))
    assert "lower bound" not in everything(words(results))
    trials = results.trials.to_pylist()
    for trial in trials:
        trial["offset_at_limit"] = trial["family"] == "dice" and trial["level"] == 0.97
    changed = dataclasses.replace(results, trials=pa.Table.from_pylist(trials, schema=results.trials.schema))
    assert "The threshold of dice at 97\u00a0% was best at the last offset tried" in everything(words(changed))
