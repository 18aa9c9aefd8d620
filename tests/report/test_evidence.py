from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sweeper.report.evidence import ALL, Key, gather
from sweeper.report.measured import measured, select
from sweeper.results.results import Results
from sweeper.results.schema import COUNT_METRICS, MINORITY, POOLED_METRICS

from .synthetic import SHAPES, synthetic


def recorded_mean(results: Results, key: Key, klass: str, metric: str) -> float | None:
    """The pooled scores as the generator wrote them, averaged over seeds in plain Python: an oracle."""
    trials = [
        row["key"]
        for row in results.trials.to_pylist()
        if (row["stage"], row["family"], row["level"]) == ("confirm", key.family, key.level)
        and row["is_tuned" if key.setting == "tuned" else "is_default"]
    ]
    values = [
        row["value"]
        for row in results.scores.to_pylist()
        if row["key"] in trials
        and (row["split"], row["point"], row["image"]) == ("test", key.point, None)
        and (row["class"], row["metric"]) == (klass, metric)
    ]
    assert len(values) == 3
    return None if None in values else sum(values) / 3


@pytest.mark.parametrize("point", ["argmax", "shifted"])
@pytest.mark.parametrize("setting", ["tuned", "default"])
def test_means_pooled_from_counts_equal_the_recorded_scores(point, setting):
    results = synthetic(["focal", "dice"], levels=(0.95, 0.97), images=5)
    evidence = gather(results)
    key = Key("focal", 0.95, setting, point)
    found = evidence.scores(key, POOLED_METRICS, ["curve 1", "curve 2", MINORITY])
    for (klass, metric), interval in found.items():
        assert interval.mean == pytest.approx(recorded_mean(results, key, klass, metric))
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1


def test_a_class_absent_from_the_test_pictures_has_no_score_and_does_not_pull_the_mean_down():
    results = synthetic(["dice", "tversky"], levels=(0.97,), absent="curve 1")
    rows = select(measured(results, gather(results)), family="dice", setting="tuned", point="argmax", metric="iou")
    by_class = rows.set_index("class")
    assert np.isnan(by_class.loc["curve 1", ["mean", "low", "high"]].to_numpy(float)).all()
    assert by_class.at[MINORITY, "mean"] == by_class.at["curve 2", "mean"] > 0


def test_a_picture_missing_from_one_seed_is_left_out_of_all():
    results = synthetic(["dice"], levels=(0.97,), images=4)
    scores = results.scores
    key = next(row["key"] for row in results.trials.to_pylist() if row["stage"] == "confirm" and row["seed"] == 1001)
    drop = pc.and_kleene(pc.equal(scores["key"], key), pc.fill_null(pc.equal(scores["image"], "log_02"), False))
    evidence = gather(Results(results.trials, scores.filter(pc.invert(drop)), results.meta))
    assert evidence.counts[Key("dice", 0.97)].images == ("log_00", "log_01", "log_03")


def test_differences_use_the_seeds_both_have():
    results = synthetic(["dice", "tversky"], levels=(0.97,))
    lost = pc.and_(
        pc.and_(pc.equal(results.trials["family"], "dice"), pc.equal(results.trials["seed"], 1002)),
        pc.equal(results.trials["stage"], "confirm"),
    )
    fewer = Results(results.trials.filter(pc.invert(lost)), results.scores, results.meta)
    evidence = gather(fewer)
    assert evidence.counts[Key("dice", 0.97)].seeds == (1000, 1001)
    assert evidence.counts[Key("tversky", 0.97)].seeds == (1000, 1001, 1002)
    found = evidence.difference(Key("dice", 0.97), Key("tversky", 0.97), "iou")
    both = [gather(results).counts[Key(name, 0.97)].values[:2].sum(axis=1) for name in ("dice", "tversky")]
    ious = [pooled[..., 0] / pooled[..., :3].sum(axis=-1) for pooled in both]
    assert found is not None
    assert found.mean == pytest.approx((ious[0] - ious[1]).mean())


def test_the_order_of_rows_does_not_matter():
    results = synthetic(["dice", "focal"], levels=(0.95, 0.97), images=4)
    rng = np.random.default_rng(0)
    shuffled = Results(
        results.trials.take(rng.permutation(results.trials.num_rows)),
        results.scores.take(rng.permutation(results.scores.num_rows)),
        results.meta,
    )
    first, second = gather(results), gather(shuffled)
    assert list(first.counts) == list(second.counts)
    for key, cell in first.counts.items():
        other = second.counts[key]
        assert (cell.trials, cell.seeds, cell.images) == (other.trials, other.seeds, other.images)
        assert (cell.values == other.values).all()


def test_counts_are_where_they_belong():
    results = synthetic(["dice", "focal"], levels=(0.97,), images=4, absent="curve 2")
    evidence = gather(results)
    assert evidence.classes == ("curve 1", "curve 2")
    by_trial = {row["key"]: row for row in results.trials.to_pylist()}
    seen = 0
    for row in results.scores.to_pylist():
        trial = by_trial[row["key"]]
        if row["image"] is None or row["metric"] not in COUNT_METRICS or not trial["is_tuned"]:
            continue
        cell = evidence.counts[Key(trial["family"], 0.97, "tuned", row["point"])]
        assert cell.trials[cell.seeds.index(trial["seed"])] == row["key"]
        place = (cell.seeds.index(trial["seed"]), cell.images.index(row["image"]),
                 evidence.classes.index(row["class"]), COUNT_METRICS.index(row["metric"]))  # fmt: skip
        assert cell.values[place] == row["value"]
        seen += 1
    assert seen == sum(cell.values.size for key, cell in evidence.counts.items() if key.setting == "tuned")


def test_settings_that_are_the_same_trials_are_kept_once():
    evidence = gather(synthetic(["dice"], levels=(0.97,)))
    tuned, default = Key("dice", 0.97), Key("dice", 0.97, "default")
    assert evidence.same(tuned, default)
    assert evidence.counts[tuned] is evidence.counts[default]


def test_a_score_is_worked_out_once_however_many_pairs_ask():
    evidence = gather(synthetic(["dice", "focal"], levels=(0.97,)))
    key = Key("dice", 0.97)
    shared = evidence.shared([key, Key("focal", 0.97)])
    first = evidence.scored(key, "iou", MINORITY, shared)
    assert evidence.scored(key, "iou", MINORITY, shared) is first
    assert evidence.scored(key, "recall", MINORITY, shared) is not first


def test_one_score_is_that_among_many():
    evidence = gather(synthetic(["focal"], levels=(0.97,)))
    key = Key("focal", 0.97)
    many = evidence.scores(key, POOLED_METRICS, ["curve 1", MINORITY])
    for (klass, metric), found in many.items():
        one = evidence.score(key, metric, klass)
        assert (one.mean, one.low, one.high) == pytest.approx((found.mean, found.low, found.high))


def test_trials_without_an_image_in_common_are_not_pooled():
    results = synthetic(["dice"], levels=(0.97,), images=2, seeds=2)
    keys = [row["key"] for row in results.trials.to_pylist() if row["stage"] == "confirm"]
    scores = [
        row
        for row in results.scores.to_pylist()
        if row["image"] is None or (row["image"] == "log_00") == (row["key"] == keys[0])
    ]
    apart = Results(results.trials, pa.Table.from_pylist(scores, schema=results.scores.schema), results.meta)
    assert gather(apart).counts == {}


def test_lead_shares_are_shares_and_follow_a_clear_gain():
    twins = {"aa": SHAPES["dice"], "bb": SHAPES["dice"], "cc": SHAPES["dice"]}
    results = synthetic(twins, levels=(0.97,), gain={"bb": 0.1})
    keys = [Key(name, 0.97) for name in twins]
    shares = gather(results).lead_shares(keys, "recall")
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[keys[1]] == 1


def test_curve_errors_are_known_once_per_seed():
    results = synthetic(["dice"], levels=(0.97,), curves=True)
    rows = select(measured(results, gather(results)), setting="tuned", point="argmax").set_index(["class", "metric"])
    found = rows.loc["curve 1", "curve_mae"]
    assert found["mean"] == pytest.approx(0.03)
    assert found["low"] < 0.02
    assert found["high"] > 0.04
    assert (found["seeds"], found["images"]) == (3, 0)


def test_curve_scores_stay_within_what_they_can_be():
    results = synthetic(["dice"], levels=(0.97,), curves=True)
    rows = select(measured(results, gather(results)), setting="tuned", point="argmax").set_index(["class", "metric"])
    # 0, 0.4, 0.4 and 0.2, 0.3: widened for so few seeds, their intervals would reach below 0 and above 0.5.
    coverage, error = (rows.loc["curve 2", metric] for metric in ("curve_coverage", "curve_mae"))
    assert (coverage["low"], error["low"], error["high"]) == (0, 0, 0.5)
    assert coverage["mean"] == pytest.approx(0.8 / 3)


def test_a_seed_without_an_error_is_not_behind_its_mean():
    results = synthetic(["dice"], levels=(0.97,), curves=True)
    rows = select(measured(results, gather(results)), setting="tuned", point="argmax").set_index(["class", "metric"])
    error = rows.loc["curve 2", "curve_mae"]
    assert (error["mean"], error["seeds"]) == (pytest.approx(0.25), 2)
    alone = synthetic(["dice"], levels=(0.97,), curves=True, seeds=2)
    rows = select(measured(alone, gather(alone)), setting="tuned", point="argmax").set_index(["class", "metric"])
    error = rows.loc["curve 2", "curve_mae"]
    assert (error["mean"], error["seeds"]) == (pytest.approx(0.2), 1)
    assert np.isnan([error["low"], error["high"]]).all()


def test_all_classes_is_the_mean_over_every_class():
    results = synthetic(["dice"], levels=(0.97,))
    rows = select(measured(results, gather(results)), setting="tuned", point="argmax", metric="iou").set_index("class")
    single = rows.loc[["curve 1", "curve 2"], "mean"]
    assert rows.at[ALL, "mean"] == pytest.approx(single.mean())
