from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from sweeper.report.answer import Answer, summary
from sweeper.report.comparisons import SAME, headline, rank, standings, survival, tuned_vs_default
from sweeper.report.document import Document
from sweeper.report.evidence import Key, gather
from sweeper.report.inference.statistics import Interval
from sweeper.report.inference.verdict import Verdict
from sweeper.report.output.writing import percent
from sweeper.report.pairs import Contests, Pair
from sweeper.report.search.searched import tunable
from sweeper.results.results import Results

from .synthetic import SHAPES, synthetic

TWINS = {"cross_entropy": SHAPES["dice"], "other_family_": SHAPES["dice"], "third_family_": SHAPES["dice"]}


def words(results: Results, **more: float) -> Answer:
    return Document(results, **more).answer


def everything(found: Answer) -> str:
    return " ".join([found.summary, *(f"{one.title} {one.text}" for one in found.findings), *found.cautions])


def test_equal_families_are_equivalent_and_nobody_is_ahead():
    found = words(synthetic(TWINS, levels=(0.95, 0.99)))
    assert "it does not matter which" in found.summary
    assert "equivalent to it, within 1 IoU point" in found.summary
    assert "better than every" not in everything(found)
    assert "equivalent (within 1 IoU point): other_family_ and third_family_" in everything(found)
    assert "At no level is any family better than any other" in everything(found)
    assert all(len(ranking.equivalent) == 2 and not ranking.trailing for ranking in found.rankings)


def test_without_a_region_of_equivalence_all_but_twins_are_open():
    narrow = words(synthetic(["dice", "lovasz_softmax"], levels=(0.9,), seeds=5, images=24), rope=0.0)
    wide = words(synthetic(["dice", "lovasz_softmax"], levels=(0.9,), seeds=5, images=24), rope=0.5)
    assert not narrow.rankings[0].equivalent
    assert [one.verdict for one in wide.rankings[0].standings[1:]] == [Verdict.EQUIVALENT]
    assert "within 50 IoU points" in wide.summary


def test_a_family_that_is_better_everywhere_is_named_with_its_difference():
    found = words(synthetic(TWINS, levels=(0.95, 0.99), gain={"third_family_": 0.15}))
    assert found.summary.startswith("At 99\u00a0% background, third_family_ is better than every other family")
    assert "The same family has the highest value at every level" in everything(found)
    assert "better: third_family_ (+0.0" in everything(found)
    assert "equivalent (within 1 IoU point): other_family_" in everything(found)


def test_too_few_images_to_call_anything_better_is_said_in_words():
    found = words(synthetic(TWINS, levels=(0.99,), gain={"third_family_": 0.15}, images=6))
    # 6 images of one sign have p 2/64; three pairs make it 0.094.
    assert "nothing is separable" in found.summary
    assert "with 6 test images that show a minority class and 3 pairs" in everything(found)
    assert "is 0.094 after correction, not below 0.05" in everything(found)
    enough = words(synthetic(TWINS, levels=(0.99,), gain={"third_family_": 0.15}, images=7))
    assert "no family can be called better" not in everything(enough)
    assert enough.rankings[0].trailing


def test_mixed_verdicts_are_all_named():
    results = synthetic(["cross_entropy", "dice", "lovasz_softmax"], levels=(0.99,))
    ranking = words(results).rankings[0]
    changed = dataclasses.replace(
        ranking,
        standings=tuple(
            dataclasses.replace(one, family=name, verdict=verdict)
            for one, name, verdict in zip(
                (*ranking.standings, *ranking.standings[:1]),
                "abcd",
                (Verdict.OPEN, Verdict.BETTER, Verdict.EQUIVALENT, Verdict.OPEN),
                strict=True,
            )
        ),
    )
    text = summary(changed, headline(results), "1 IoU point")
    assert (
        "It is better than b and equivalent (within 1 IoU point) to c; there is not enough evidence against d." in text
    )


def test_the_level_from_which_families_separate_is_named():
    document = Document(synthetic(["cross_entropy", "dice"], levels=(0.93, 0.97, 0.99)))
    apart = [level for level in document.contests.levels if document.contests.at(level).separable("dice", "cross_entropy")]  # noqa: E501 # fmt: skip
    assert apart
    assert apart[0] > 0.93
    assert document.contests.first_separable == apart[0]
    assert f"some are from {percent(apart[0])} on" in everything(document.answer)


def test_recall_and_iou_can_have_different_winners():
    found = words(synthetic())
    recall = next(one for one in found.findings if one.title.startswith("If a miss costs more"))
    assert recall.text.startswith("tversky has the highest recall at 99\u00a0%")
    assert found.rankings[0].leader.family != found.rankings[-1].leader.family


def judged(verdict: Verdict) -> Pair:
    nothing = Interval(0.0, 0.0, 0.0)
    return Pair("a", "b", nothing, nothing, 0.01, 0.02, 1, 3, 12, verdict)


@pytest.mark.parametrize(
    ("argmax", "shifted", "expected"),
    [
        (Verdict.BETTER, Verdict.BETTER, "survives"),
        (Verdict.WORSE, Verdict.WORSE, "survives"),
        (Verdict.BETTER, Verdict.OPEN, "no longer separable once thresholds are tuned alike"),
        (Verdict.WORSE, Verdict.EQUIVALENT, "no longer separable once thresholds are tuned alike"),
        (Verdict.OPEN, Verdict.BETTER, "separable only once thresholds are tuned alike"),
        (Verdict.BETTER, Verdict.WORSE, "turns round once thresholds are tuned alike"),
        (Verdict.OPEN, Verdict.EQUIVALENT, "not separable at either point"),
    ],
)
def test_what_becomes_of_a_difference(argmax, shifted, expected):
    assert survival(judged(argmax), judged(shifted)) == expected


def test_few_seeds_are_called_rough_and_one_is_called_one():
    assert "With 2 seeds the intervals are rough" in everything(words(synthetic(2, seeds=2)))
    alone = words(synthetic(2, seeds=1))
    assert "Everything rests on a single seed" in everything(alone)
    assert "nothing is separable" in alone.summary
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


def test_standings_hold_the_verdict_on_every_family():
    results = synthetic(TWINS, levels=(0.97,), gain={"third_family_": 0.15})
    frame = standings(words(results).rankings).set_index("family")
    assert frame["verdict"].to_dict() == {
        "third_family_": "",
        "cross_entropy": "better",
        "other_family_": "better",
    }
    assert frame.at["third_family_", "leads"] == 1
    assert frame.at["cross_entropy", "behind"] == pytest.approx(
        frame.at["third_family_", "score"] - frame.at["cross_entropy", "score"]
    )


def test_twins_share_the_lead():
    results = synthetic(TWINS, levels=(0.97,))
    contests = Contests(gather(results), tuple(TWINS), (0.97,), "iou")
    ranking = rank(contests, 0.97)
    assert ranking.leader.score == contests.evidence.score(Key(ranking.leader.family, 0.97, "tuned", "argmax"), "iou")
    assert [one.leads for one in rank(contests, 0.97).standings] == pytest.approx([1 / 3] * 3)


def test_what_tuning_gained_leaves_out_families_with_nothing_to_tune():
    results = synthetic(["dice", "combo"], levels=(0.97,), trials=12, seed=1)
    frame = tuned_vs_default(gather(results), results, headline(results)).set_index("family")
    assert set(frame.index) == {"combo"}
    assert frame.at["combo", "difference"] == pytest.approx(frame.at["combo", "tuned"] - frame.at["combo", "default"])
    assert "Nothing to tune: dice." in everything(words(results))


def test_a_search_that_chose_the_default_says_so():
    results = synthetic(["combo"], levels=(0.97,), trials=1)
    frame = tuned_vs_default(gather(results), results, headline(results)).set_index("family")
    assert frame.at["combo", "reading"] == SAME
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


def test_a_threshold_at_the_end_of_those_tried_is_a_caution():
    results = synthetic(families=("cross_entropy", "dice"), levels=(0.9, 0.97))
    assert "lower bound" not in everything(words(results))
    trials = results.trials.to_pylist()
    for trial in trials:
        trial["offset_at_limit"] = trial["family"] == "dice" and trial["level"] == 0.97
    changed = dataclasses.replace(results, trials=pa.Table.from_pylist(trials, schema=results.trials.schema))
    assert "The threshold of dice at 97\u00a0% was best at the last offset tried" in everything(words(changed))
