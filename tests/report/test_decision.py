from __future__ import annotations

import dataclasses
import itertools
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import vl_convert

from sweeper.report import page
from sweeper.report.charts.decision import SURE, sure
from sweeper.report.charts.decision import decision_map as draw_map
from sweeper.report.choice import costs, decision_words
from sweeper.report.choice.costs import Configuration, Mistakes, best_offsets, mistakes
from sweeper.report.choice.decision import NOTHING, RATIOS, ROUND, SEPARABLE, TIE, UNKNOWN, UNSURE, decision_map
from sweeper.report.choice.territories import regions, runs
from sweeper.report.document import Document
from sweeper.report.evidence import gather
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.writing import whole
from sweeper.report.sections.decision import decision
from sweeper.results.margins import BINS, OFFSETS
from sweeper.results.results import Results

from .parts import without_pictures
from .synthetic import synthetic
from .weighed import Scorer, weighed

ZERO = int(np.flatnonzero(OFFSETS == 0)[0])
FEW = (0.1, 1.0, 4.0)
STEADY, KEEN = Scorer(1.0, -6.0, 2.5), Scorer(4.5, -2.0, 0.8)
"""The cheapest where false alarms are dear, and where misses are."""
NASTY = "</script><b>'\"&‮🙂" + "x" * 190


def mapped(results: Results, ratios=RATIOS, seed: int = 0) -> pd.DataFrame:
    return decision_map(mistakes(results, gather(results), ratios), seed=seed)


def split(results: Results, name: str) -> list[dict]:
    return [row for row in results.margins.to_pylist() if row["split"] == name]


def errors(row: dict, offset: float) -> tuple[float, float]:
    """Misses and false alarms at an offset, bin by bin: bin j holds the margins in (offset j−1, offset j]."""
    lower = [-np.inf, *OFFSETS]
    found = sum(count for count, edge in zip(row["found"], lower, strict=True) if edge >= offset)
    alarms = sum(count for count, edge in zip(row["alarms"], lower, strict=True) if edge >= offset)
    return row["target"] - found, alarms


def by_hand(results: Results, level: float, ratio: float) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Cost, misses and false alarms per million pixels of every configuration, with loops."""
    tests, vals = split(results, "test"), {row["key"]: row for row in split(results, "val")}
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for trial in results.trials.to_pylist():
        if trial["stage"] != "confirm" or trial["level"] != level:
            continue
        own = [row for row in tests if row["key"] == trial["key"]]
        priced = []
        for offset in OFFSETS:
            missed, alarmed = errors(vals[trial["key"]], offset)
            priced.append((ratio * missed + alarmed, abs(offset), offset))
        offset = min(priced)[2]
        pairs = [errors(row, offset) for row in own]
        pixels = sum(row["pixels"] for row in own) / 1e6
        missed, alarmed = (sum(column) / pixels for column in zip(*pairs, strict=True))
        name = (trial["family"], "tuned" if trial["is_tuned"] else "default")
        found.setdefault(name, []).append((ratio * missed + alarmed, missed, alarmed))
    return {name: tuple(np.mean(values, axis=0)) for name, values in found.items()}


@pytest.fixture(scope="module")
def study():
    return weighed({"cross_entropy": STEADY, "tversky": KEEN}, seeds=3, images=6)


def test_costs_are_those_of_a_loop_over_bins_and_images(study):
    (first, _) = mistakes(study, gather(study), FEW)
    total = first.pixels.sum() / 1e6
    for index, ratio in enumerate(FEW):
        expected = by_hand(study, 0.95, ratio)
        assert set(expected) == {(one.family, one.setting) for one in first.configurations}
        assert len(expected) == 3
        for column, one in enumerate(first.configurations):
            missed, alarmed = (
                part[index, :, column].sum(axis=0).mean() / total for part in (first.misses, first.alarms)
            )
            assert (ratio * missed + alarmed, missed, alarmed) == pytest.approx(
                expected[one.family, one.setting], rel=1e-5
            )


def test_the_winner_is_the_cheapest_of_a_loop(study):
    frame = mapped(study, ROUND)
    for row in frame.itertuples():
        expected = by_hand(study, row.level, row.ratio)
        silence = row.ratio * sum(r["target"] for r in split(study, "test") if r["key"] == key_at(study, row.level))
        everything = {name: found[0] for name, found in expected.items()} | {(NOTHING, ""): silence * 1e6 / (6 * 4096)}
        best = min(everything, key=lambda name: everything[name])
        assert (row.family, row.setting) == best
        assert row.cost == pytest.approx(everything[best], rel=1e-5)
        assert row.nothing == pytest.approx(everything[NOTHING, ""], rel=1e-9)
        others = {name: cost for name, cost in everything.items() if name[0] != best[0]}
        second = min(others, key=lambda name: others[name])
        assert (row.runner_up, row.runner_up_setting) == second
        assert row.difference == pytest.approx(others[second] - everything[best], rel=1e-4)
    assert frame["family"].nunique() > 1


def key_at(results: Results, level: float) -> str:
    trials = results.trials.to_pylist()
    return next(one["key"] for one in trials if one["stage"] == "confirm" and one["level"] == level)


def test_at_offset_0_and_even_costs_it_is_misses_and_false_alarms_of_the_scores(monkeypatch):
    results = synthetic(["cross_entropy", "tversky"], levels=(0.97,), images=5)
    monkeypatch.setattr(costs, "best_offsets", lambda found, *_: np.full((len(found), 1), ZERO))
    (found,) = mistakes(results, gather(results), (1.0,))
    assert (found.offsets == 0).all()
    scores = results.scores.to_pandas()
    scores = scores[(scores["point"] == "argmax") & scores["image"].notna() & scores["metric"].isin(["fp", "fn"])]
    expected = scores.groupby(["key", "image"])["value"].sum()
    for column, one in enumerate(found.configurations):
        for nth, key in enumerate(one.trials):
            for row, image in enumerate(found.images):
                cost = found.misses[0, row, column, nth] + found.alarms[0, row, column, nth]
                assert cost == pytest.approx(expected[key, image], rel=1e-5)


def test_offsets_are_those_of_validation_and_nearest_to_0_among_equals(study):
    hits, alarms = np.zeros((1, BINS)), np.zeros((1, BINS))
    hits[0, BINS // 2 + 4], alarms[0, BINS // 2 - 6] = 10, 10
    # Every offset between the alarms and the hits costs nothing; 0 is among them.
    assert OFFSETS[best_offsets(hits, alarms, FEW)].tolist() == [[0.0] * 3]
    # All hits lie below 0: the least of the offsets in size that finds them is the one below their bin.
    hits = np.roll(hits, -8, axis=1)
    (chosen,) = best_offsets(hits, alarms, FEW)
    assert {int(np.flatnonzero(hits[0])[0]) - 1} == set(chosen.tolist())
    # Validation that knows no alarms wants everything found, whatever that costs on test.
    rows = study.margins.to_pylist()
    careless = [row | {"alarms": [0.0] * BINS} if row["split"] == "val" else row for row in rows]
    changed = dataclasses.replace(study, margins=pa.Table.from_pylist(careless, schema=study.margins.schema))
    (found, _) = mistakes(changed, gather(changed), (0.1,))
    (before, _) = mistakes(study, gather(study), (0.1,))
    assert (found.offsets < before.offsets).all()
    assert found.alarms.sum() > 10 * before.alarms.sum()


def test_shares_and_intervals_are_those_of_the_bootstrap_done_one_by_one(study):
    (found, _) = mistakes(study, gather(study), FEW)
    frame = mapped(study, FEW, seed=3)
    resample = statistics.draw(3, 6, rng=np.random.default_rng(3))
    for index, ratio in enumerate(FEW):
        row = frame[(frame["level"] == 0.95) & (frame["ratio"] == ratio)].iloc[0]
        drawn = {}
        for column, one in enumerate(found.configurations):
            cost = ratio * found.misses[index, :, column] + found.alarms[index, :, column]
            drawn[one.family, one.setting] = (resample.images @ cost) / (resample.images @ found.pixels)[:, None] * 1e6
        silence = ratio * (resample.images @ found.target) / (resample.images @ found.pixels) * 1e6
        means = {name: statistics.repetitions(each, resample.seeds) for name, each in drawn.items()}
        means[NOTHING, ""] = silence
        cheapest = [min(means, key=lambda name: means[name][rep]) for rep in range(statistics.REPS)]
        assert row["share"] == pytest.approx(np.mean([name == (row["family"], row["setting"]) for name in cheapest]))
        assert row["family_share"] == pytest.approx(np.mean([name[0] == row["family"] for name in cheapest]))
        drawn[NOTHING, ""] = np.repeat(silence[:, None], 3, axis=1)
        first, second = (row["family"], row["setting"]), (row["runner_up"], row["runner_up_setting"])
        resting = statistics.effective(found.target[:, None])
        actual = {
            (one.family, one.setting): ratio * found.misses[index, :, k].sum(axis=0)
            + found.alarms[index, :, k].sum(axis=0)
            for k, one in enumerate(found.configurations)
        } | {(NOTHING, ""): np.full(3, ratio * found.target.sum())}
        actual = {name: each / found.pixels.sum() * 1e6 for name, each in actual.items()}
        cost = statistics.interval(actual[first], drawn[first], resample, resting)
        assert [row["cost"], row["cost_low"], row["cost_high"]] == pytest.approx([cost.mean, cost.low, cost.high])
        behind = statistics.interval(actual[second] - actual[first], drawn[second] - drawn[first], resample, resting)
        assert [row["difference_low"], row["difference_high"]] == pytest.approx([behind.low, behind.high])
        assert row["separable"] == behind.excludes_zero


def test_the_seed_of_the_resampling_is_used(study):
    assert mapped(study, FEW, seed=1).equals(mapped(study, FEW, seed=1))
    assert not mapped(study, FEW, seed=1).equals(mapped(study, FEW, seed=2))


def test_predicting_nothing_wins_where_alarms_cost_more_than_they_save():
    results = weighed({"cross_entropy": Scorer(1.0, -1.0)}, levels=(0.97,))
    frame = mapped(results).set_index("ratio")
    assert frame.at[1 / 20, "family"] == NOTHING
    assert frame.at[1 / 20, "cost"] == frame.at[1 / 20, "nothing"]
    assert frame.at[1 / 20, "alarms"] == 0
    assert frame.at[20.0, "family"] == "cross_entropy"
    section = decision(Document(results))
    assert "predicting nothing at 97\u00a0% background where a miss costs" in str(section.words["where"])
    advice = section.words["finder"].advice[0][0]
    assert advice.misses.endswith("which is all of them")
    assert advice.threshold == "none: no minority pixel is predicted"


def test_a_family_that_never_predicts_is_not_cheaper_than_predicting_nothing():
    results = weighed({"dice": STEADY}, levels=(0.97,), images=3)
    # Everything in the lowest bin, below every offset.
    rows = [
        row | {name: [sum(row[name]), *[0.0] * (BINS - 1)] for name in ("found", "alarms")}
        for row in results.margins.to_pylist()
    ]
    mute = dataclasses.replace(results, margins=pa.Table.from_pylist(rows, schema=results.margins.schema))
    frame = mapped(mute, ROUND)
    assert set(frame["family"]) == {NOTHING}
    assert (frame["share"] == 1).all()
    assert not frame["separable"].any()


def test_equal_families_share_the_map_and_are_not_told_apart():
    twin = weighed({"dice": STEADY, "lovasz_softmax": STEADY}, levels=(0.97,), images=5, noise=0.0)
    frame = mapped(twin, (1.0,))
    assert frame.at[0, "family"] == "dice"
    assert frame.at[0, "runner_up"] == "lovasz_softmax"
    assert frame.at[0, "share"] == pytest.approx(0.5)
    assert frame.at[0, "difference"] == 0
    assert not frame.at[0, "separable"]


def made_up(costs_per_image: np.ndarray, ratio: float = 1.0) -> Mistakes:
    """Mistakes of K configurations given as false alarms (N, K, S) alone; missing everything would cost far more."""
    images, number, seeds = costs_per_image.shape
    every = tuple(Configuration(f"family {k}", "tuned", "{}", tuple("abcdefghij"[:seeds]), tuple(range(seeds)))
                  for k in range(number))  # fmt: skip
    return Mistakes(0.97, (ratio,), every, (), tuple(range(seeds)), tuple(map(str, range(images))),
                    np.zeros((1, *costs_per_image.shape)), costs_per_image[None], np.zeros((1, number, seeds)),
                    np.full(images, 1e4), np.full(images, 1e6), True)  # fmt: skip


def test_equal_families_are_called_separable_in_at_most_one_study_of_twenty():
    rng = np.random.default_rng(0)
    studies, called = 300, 0
    for number in range(studies):
        of_image, of_seed = rng.normal(0, 20, (25, 1, 1)), rng.normal(0, 5, (1, 3, 4))
        found = made_up(200 + of_image + of_seed + rng.normal(0, 5, (25, 3, 4)))
        called += bool(decision_map([found], seed=number).at[0, "separable"])
    # Two standard errors of a share of 5 % in 300 studies are 2.5 points.
    assert called / studies <= 0.075


def test_a_clear_winner_is_called_so():
    rng = np.random.default_rng(0)
    counts = 200 + rng.normal(0, 5, (25, 3, 4))
    counts[:, 1] -= 40
    frame = decision_map([made_up(counts)], seed=0)
    assert frame.at[0, "family"] == "family 1"
    assert frame.at[0, "separable"]
    assert frame.at[0, "share"] == 1


def test_results_without_margins_are_weighed_at_argmax():
    results = synthetic(["cross_entropy", "tversky"], levels=(0.97,), images=4, extras=False)
    assert results.margins.num_rows == 0
    evidence = gather(results)
    (found,) = mistakes(results, evidence, FEW)
    assert not found.tuned
    scores = results.scores.to_pandas()
    scores = scores[(scores["point"] == "argmax") & scores["image"].notna()]
    summed = scores.groupby(["key", "metric"])["value"].sum()
    for column, one in enumerate(found.configurations):
        for index in range(len(FEW)):
            for nth, key in enumerate(one.trials):
                assert found.misses[index, :, column, nth].sum() == pytest.approx(summed[key, "fn"])
                assert found.alarms[index, :, column, nth].sum() == pytest.approx(summed[key, "fp"])
    frame = decision_map([found], seed=0)
    assert frame["offset"].isna().all()
    section = decision(Document(results))
    assert "no decision margins" in str(section.words["policy"])
    assert section.words["finder"].first.threshold == "argmax"


def test_least_cost_worked_by_hand_at_argmax():
    results = synthetic(["cross_entropy", "tversky"], levels=(0.97,), images=4, extras=False)
    frame = mapped(results, ROUND).set_index("ratio")
    evidence = gather(results)
    settings = {(key.family, key.setting): cell for key, cell in evidence.counts.items() if key.point == "argmax"}

    def cost(name: tuple[str, str], ratio: float) -> float:
        seeds = settings[name].values.sum(axis=(1, 2))
        return float(np.mean([ratio * fn + fp for _, fp, fn, _ in seeds]))

    for ratio in (1 / 2, 20.0):
        best = min(settings, key=lambda name: cost(name, ratio))
        assert (frame.at[ratio, "family"], frame.at[ratio, "setting"]) in {best, (best[0], "tuned")}
    assert frame.at[1 / 2, "family"] == "cross_entropy"
    assert frame.at[20.0, "family"] == "tversky"


def without(results: Results, keys: list[str]) -> Results:
    kept = pc.invert(pc.is_in(results.margins["key"], pa.array(keys)))
    return dataclasses.replace(results, margins=results.margins.filter(kept))


def keys_of(results: Results, family: str, seeds: set[int], level: float = 0.95) -> list[str]:
    return [one["key"] for one in results.trials.to_pylist() if one["stage"] == "confirm"
            and (one["family"], one["level"]) == (family, level) and one["seed"] in seeds]  # fmt: skip


def test_configurations_are_compared_over_the_seeds_and_images_they_share(study):
    fewer = without(study, keys_of(study, "tversky", {1000}))
    (found, full) = mistakes(fewer, gather(fewer), FEW)
    assert found.seeds == (1001, 1002)
    assert full.seeds == (1000, 1001, 1002)
    assert all(one.seeds == (1001, 1002) for one in found.configurations if one.family == "tversky")
    (whole, _) = mistakes(study, gather(study), FEW)
    assert np.array_equal(found.misses, whole.misses[..., 1:])
    begun = without(study, keys_of(study, "tversky", {1000, 1001}))
    (found, _) = mistakes(begun, gather(begun), FEW)
    assert found.seeds == (1000, 1001, 1002)
    assert {one.family for one in found.left_out} == {"tversky"}
    (said,) = (said for said in decision(Document(begun)).words["limits"] if "Left out" in said)
    assert said.startswith("Left out at 95\u00a0%, with decision margins for less than half of the seeds of others: ")
    assert "tversky" in said
    mute = without(study, keys_of(study, "tversky", {1000, 1001, 1002}))
    (said,) = (said for said in decision(Document(mute)).words["limits"] if "Left out" in said)
    assert said.startswith("Left out at 95\u00a0%, without decision margins: tversky (tuned)")
    rows = [row for row in study.margins.to_pylist() if row["image"] != "log_02" or row["key"] != key_at(study, 0.95)]
    (found, _) = mistakes(changed := dataclasses.replace(
        study, margins=pa.Table.from_pylist(rows, schema=study.margins.schema)), gather(changed), FEW)  # fmt: skip
    assert found.images == ("log_00", "log_01", "log_03", "log_04", "log_05")
    assert np.array_equal(found.alarms, whole.alarms[:, [0, 1, 3, 4, 5]])


def test_the_order_of_rows_does_not_matter(study):
    order = np.random.default_rng(0).permutation(study.margins.num_rows)
    shuffled = dataclasses.replace(study, margins=study.margins.take(pa.array(order)))
    pd.testing.assert_frame_equal(mapped(shuffled, FEW), mapped(study, FEW))


def test_batches_do_not_change_anything(study, monkeypatch):
    before = mapped(study, FEW)
    monkeypatch.setattr(costs, "_BATCH", 7)
    assert mapped(study, FEW).equals(before)


def test_one_seed_and_one_image_leave_nothing_to_resample():
    frame = mapped(weighed({"dice": STEADY, "tversky": KEEN}, levels=(0.97,), seeds=1, images=1), ROUND)
    empty = frame[["share", "family_share", "cost_low", "cost_high", "difference_low", "difference_high"]]
    assert empty.isna().all(axis=None)
    assert not frame["separable"].any()
    assert frame["cost"].notna().all()
    results = weighed({"dice": STEADY, "tversky": KEEN}, levels=(0.97,), seeds=1, images=6)
    section = decision(Document(results))
    assert any("single seed" in said for said in section.words["limits"])
    assert "single seed" in section.words["finder"].first.sure
    frame = section.tables["decision"].frame
    assert (frame["difference_low"] > 0).any()
    assert not frame["separable"].any()
    assert set(frame["verdict"]) <= {UNKNOWN, TIE}
    assert "includes 0" not in section.words["where"]
    assert "Everywhere on the map it is not known" in section.words["where"]
    assert "a single seed." in section.words["where"]
    assert "≈" not in str(section.tables["decision"].grid)
    figure = section.figures["decision_map"]
    assert {row["sure"] for row in drawn(figure.chart)} == {SURE[3]}
    assert "single seed" in figure.caption


def test_with_a_single_test_image_nothing_is_called_sure():
    results = weighed({"dice": STEADY, "tversky": KEEN}, levels=(0.97,), seeds=4, images=1)
    section = decision(Document(results))
    frame = section.tables["decision"].frame
    assert (frame["difference_low"] > 0).any()
    assert not frame["separable"].any()
    assert "a single test image." in section.words["where"]
    assert "a single test image" in section.words["finder"].first.sure
    assert any("single test image" in said for said in section.words["limits"])
    assert {row["sure"] for row in drawn(section.figures["decision_map"].chart)} == {SURE[3]}


def drawn(chart) -> list[dict]:
    """The cells of a map."""
    return [row for rows in chart.to_dict(validate=True)["datasets"].values() for row in rows if "shown" in row]


def test_a_tie_with_predicting_nothing_is_neither_sure_nor_luck():
    """Where false alarms are dear, validation silences the only family: the same cost by construction."""
    results = weighed({"dice": Scorer(-2.0, -2.0)}, levels=(0.97,))
    frame = mapped(results, (0.05, 0.1))
    assert (frame["family"] == NOTHING).all()
    assert (frame["verdict"] == TIE).all()
    assert frame[["difference", "difference_low", "difference_high"]].to_numpy().tolist() == [[0.0] * 3] * 2
    section = decision(Document(results))
    said = section.words["where"]
    assert "predicting nothing at 97\u00a0% background" in said
    assert "no family does better than predicting nothing" in said
    (row,) = [row for row in section.tables["decision"].grid.rows if row[0].text == "1/20"]
    assert row[1] == (NOTHING, TIE)
    assert section.words["finder"].advice[0][0].runner_up.startswith("dice, tuned: costs the same")
    # Counted apart: not among the cells whose name may be luck, and those that remain have their share.
    said = decision_words.where(cells("abcc", separable="b", a=TIE))
    assert "In 25\u00a0% of the map no family does better" in said
    assert "In 50\u00a0% of the map the winner cannot be told" in said
    assert "a at 90\u00a0% background where a miss costs 1 (25\u00a0% of the map, everywhere as dear" in said
    said = decision_words.where(cells("ab", separable="b", a=TIE))
    assert "Everywhere else the winner is separable" in said
    assert "luck" not in said


def test_a_residue_of_single_precision_is_no_miss():
    results = weighed({"dice": STEADY}, levels=(0.97,), images=3)
    rows = results.margins.to_pylist()
    # Everything is found at any offset, but for a few parts in ten million.
    for row in rows:
        row["found"] = [0.0] * (BINS - 1) + [row["target"]]
        row["target"] *= 1 + 5e-7
    found = dataclasses.replace(results, margins=pa.Table.from_pylist(rows, schema=results.margins.schema))
    (one,) = mistakes(found, gather(found), (20.0,))
    assert (one.misses == 0).all()
    missing = [row | {"target": row["target"] * (1 + 1e-5)} for row in rows]
    real = dataclasses.replace(results, margins=pa.Table.from_pylist(missing, schema=results.margins.schema))
    (one,) = mistakes(real, gather(real), (20.0,))
    assert (one.misses > 0).all()


def test_the_end_of_the_offsets_is_not_printed_as_a_threshold():
    results = weighed({"dice": STEADY}, levels=(0.97,), images=3)
    shifted = []
    for row in results.margins.to_pylist():
        last = row["key"] == keys_of(results, "dice", {1000, 1001}, 0.97)[0]
        # All alarms in the last bin but one: only the greatest offset is above them.
        alarms = [0.0] * (BINS - 2) + [sum(row["alarms"]), 0.0]
        found = [0.0] * (BINS - 1) + [sum(row["found"])]
        shifted.append(row | {"alarms": alarms, "found": found} if last else row)
    results = dataclasses.replace(results, margins=pa.Table.from_pylist(shifted, schema=results.margins.schema))
    section = decision(Document(results))
    frame = section.tables["decision"].frame.set_index("ratio")
    here = frame.loc[20.0]
    assert (here["family"], here["setting"]) == ("dice", "tuned")
    assert here["at_limit"] == pytest.approx(1 / 3)
    assert here["offset_most"] == 32
    threshold = section.words["finder"].advice[0][-1].threshold
    assert "to ≥ +32.00; for 33\u00a0% of the seeds beyond every offset tried" in threshold
    (cell,) = {row[4] for row in section.tables["decision"].tidy.rows if row[1].text == "20"}
    assert cell.range.endswith("≥ +32.00]")
    assert any("may lie beyond" in said for said in section.words["limits"])
    assert decision_words.offset(-32.0) == "≤ −32.00"
    assert decision_words.offset(float(OFFSETS[-2])) == "+28.51"


def test_pixels_of_made_up_studies_are_found_or_alarms():
    results = synthetic(["dice", "tversky"], levels=(0.97,), images=4, collapsing=["tversky"])
    zero = ZERO + 1
    for row in results.margins.to_pylist():
        assert sum(row["found"]) + sum(row["alarms"]) == pytest.approx(row["pixels"], rel=1e-6)
        assert sum(row["found"]) == pytest.approx(row["target"], rel=1e-6)
        if row["key"].startswith("tversky"):
            assert sum(row["found"][zero:]) == sum(row["alarms"][zero:]) == 0
    frame = mapped(results, (1 / 20,))
    assert frame.at[0, "family"] == NOTHING


def test_a_class_confusion_is_priced_in_words(study):
    assert "costs one more than a miss" in str(decision(Document(study)).words["policy"])


def test_ratios_are_even_steps_from_a_twentieth_to_twenty():
    assert (RATIOS[0], RATIOS[-1]) == (1 / 20, 20)
    assert set(ROUND) <= set(RATIOS)
    steps = [after / before for before, after in itertools.pairwise(RATIOS)]
    assert min(steps) > 1.1
    assert max(steps) < 1.15
    assert [decision_words.times(ratio) for ratio in ROUND] == ["1/20", "1/10", "1/5", "1/2", "1", "2", "5", "10", "20"]


def cells(*levels: str, separable: str = "", **verdicts: str) -> pd.DataFrame:
    """A map drawn with letters, a row per level from 0.9 on, a column per ratio 1, 2, 3, …"""
    rows = [
        {"level": 0.9 + 0.01 * row, "ratio": float(column + 1), "family": letter, "setting": "tuned",
         "hyperparameters": "{}", "misses": column, "alarms": -column, "offset": 0.0, "at_limit": column / 10,
         "family_share": 0.5 + column / 10, "separable": letter in separable, "seeds": 3, "images": 9,
         "verdict": "separable" if letter in separable else verdicts.get(letter, "not separable")}
        for row, line in enumerate(levels) for column, letter in enumerate(line)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_regions_are_neighbors_with_one_winner():
    found = regions(cells("aabb", "abbb", "aabc", separable="a"))
    assert [(one.family, one.levels, one.spans) for one in found] == [
        ("b", (0.9, 0.91, 0.92), ((3, 4), (2, 4), (3, 3))),
        ("a", (0.9, 0.91, 0.92), ((1, 2), (1, 1), (1, 2))),
        ("c", (0.92,), ((4, 4),)),
    ]
    assert [one.size for one in found] == pytest.approx([6 / 12, 5 / 12, 1 / 12])
    assert [one.separable for one in found] == [0, 1, 0]
    # The same family in two places that do not touch, but for a corner, is two regions.
    assert [one.family for one in regions(cells("ab", "ba"))] == ["a", "a", "b", "b"]


def test_runs_are_neighboring_ratios_of_one_level():
    found = runs(cells("aabb", "abab"))
    assert [tuple(row) for row in found[["level", "ratio_from", "ratio_to", "family"]].itertuples(index=False)] == [
        (0.9, 1, 2, "a"), (0.9, 3, 4, "b"), (0.91, 1, 1, "a"), (0.91, 2, 2, "b"), (0.91, 3, 3, "a"), (0.91, 4, 4, "b"),
    ]  # fmt: skip
    assert found.loc[1, ["misses_from", "misses_to", "alarms_from", "alarms_to"]].tolist() == [2, 3, -2, -3]
    assert found.loc[1, ["share_least", "share_most"]].tolist() == pytest.approx([0.7, 0.8])


def test_which_family_wins_where_in_words():
    sure = "separable from the next family in 100\u00a0% of that"
    assert decision_words.where(cells("aab", "aab", separable="ab")) == (
        "A miss costing 1 to 3 false alarms, least is paid by a at every level where a miss costs 2 or less "
        f"(67\u00a0% of the map, {sure}); b at every level where a miss costs 3 (33\u00a0% of the map, {sure}). "
        "Everywhere the winner is separable from the cheapest of the other families."
    )
    said = decision_words.where(cells("aaa", "aab", "abb", separable="b"))
    assert (
        "a at every level, at any of these costs at 90\u00a0% and where a miss costs 1 at 92\u00a0% (67\u00a0%" in said
    )
    assert (
        "b at 91\u00a0% and 92\u00a0% background, where a miss costs 3 at 91\u00a0% and where a miss costs 2 or more"
        in said
    )
    assert "In 67\u00a0% of the map the winner cannot be told from the cheapest of the other families" in said
    crowd = decision_words.where(cells("abcdefgh"))
    assert "2 smaller regions, 25\u00a0% of the map, are in the table" in crowd
    assert "Nowhere on the map can the winner be told from" in crowd
    assert decision_words.where(cells("a").iloc[:0]) == ""


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        ([], []),
        ([(0.9, 0, 0, 0)], []),
        (
            [(0.9, 6, 0, 0), (0.95, 6, 0, 2)],
            ["no two tuned families are separable at any level", "in 2 of 12 comparisons they are interchangeable",
             "for the others there is not enough evidence"],
        ),
        ([(0.9, 6, 0, 0)], ["for none of 6 comparisons is it shown that they are interchangeable"]),
        ([(0.9, 6, 1, 0), (0.95, 6, 5, 0)], ["separate already at the mildest level, 90\u00a0% (1 of 6 pairs)"]),
        (
            [(0.8, 0, 0, 0), (0.9, 6, 0, 6), (0.95, 1, 1, 0)],
            ["no two tuned families are separable at 90\u00a0% background: in all 6 comparisons they are "
             "interchangeable, their difference within ±0.02. They first separate at 95\u00a0% (1 of 1 pair)."],
        ),
        ([(0.9, 6, 1, 0), (0.95, 6, 0, 6)], ["At 95\u00a0% background no two are: in all 6 comparisons"]),
    ],
)  # fmt: skip
def test_from_which_level_on_families_differ(compared, expected):
    said = decision_words.apart([decision_words.Compared(*one) for one in compared], "minority IoU", 0.02)
    assert bool(said) == bool(expected)
    for part in expected:
        assert part in said


def test_the_level_of_first_separation_is_that_of_the_comparisons():
    results = synthetic(["cross_entropy", "dice"], levels=(0.90, 0.99), images=12, seeds=5)
    document = Document(results)
    first = document.contests.first_separable
    assert first == 0.99
    assert "They first separate at 99\u00a0% (1 of 1 pair)" in str(decision(document).words["apart"])


def test_the_words_of_a_place_are_those_of_the_table(study):
    document = Document(study)
    section = decision(document)
    finder = section.words["finder"]
    frame = section.tables["decision"].frame
    assert len(finder.advice) == 2
    assert all(len(row) == len(RATIOS) for row in finder.advice)
    for (level, row), ratio in itertools.product(enumerate(finder.advice), (0, 26, 52)):
        here = frame[(frame["level"] == (0.95, 0.99)[level]) & (frame["ratio"] == RATIOS[ratio])].iloc[0]
        assert row[ratio].family == here["family"]
        assert row[ratio].alarms == f"{decision_words.per_million(here['alarms'])} per million pixels"
        assert decision_words.per_million(here["misses"]) in row[ratio].misses
        there = sum(row["target"] for row in split(study, "test") if row["key"] == key_at(study, here["level"]))
        written = decision_words.per_million(there / (6 * 4096) * 1e6)
        assert row[ratio].misses.endswith(
            "all of them" if here["family"] == NOTHING else f"of {written} that are there"
        )
        if here["family"] == "tversky":
            values = json.loads(here["hyperparameters"])
            assert row[ratio].setting == f"{here['setting']}: α = {values['alpha']:.4g}, β = {values['beta']:.4g}"
            assert decision_words.offset(here["offset"]) in row[ratio].threshold
            ends = [decision_words.offset(here[f"offset_{end}"]) for end in ("least", "most")]
            assert ends[0] == ends[1] or f"the median of seeds from {ends[0]} to {ends[1]}" in row[ratio].threshold
        assert row[ratio].spoken.startswith(f"{here['family']}: {decision_words.per_million(here['misses'])} misses")
    assert finder.levels[finder.level] == "95\u00a0%"
    assert finder.ratios[finder.ratio] == "a missed minority pixel costs as much as a false alarm"
    assert finder.ticks[0] == (0.0, "1/20")
    assert finder.ticks[4] == (0.5, "1")


def test_numbers_per_million():
    assert [decision_words.per_million(value) for value in (0, 1e-9, 0.000519, 0.04761, 9.123, 12.6, 12345.6)] == [
        "0", "under 0.0001", "0.0005", "0.0476", "9.12", "13", "12,346"
    ]  # fmt: skip
    measured = [Interval(3.21, 3.02, 4.1), Interval(0, 0, 0), Interval(16823.989, 16000.2, 17000.7),
                Interval(0.4, -300, 400), Interval(12, -0.2, 20), Interval(5, float("nan"), float("nan"))]  # fmt: skip
    assert [" ".join(decision_words.measured(one)).strip() for one in measured] == [
        "3.21 [3.02, 4.10]", "0 [0, 0]", "16,824 [16,000, 17,001]", "0 [−300, 400]", "12 [0, 20]", "5.00"
    ]  # fmt: skip


def test_no_share_is_rounded_to_none_or_all():
    assert [whole(share) for share in (0, 0.004, 0.5, 0.999, 1, float("nan"))] == [
        "0\u00a0%", "under 1\u00a0%", "50\u00a0%", "over 99\u00a0%", "100\u00a0%", "–"
    ]  # fmt: skip


def test_sure_has_classes():
    assert [sure(share) for share in (1.0, 0.95, 0.94, 0.75, 0.2, float("nan"))] == [
        SURE[0], SURE[0], SURE[1], SURE[1], SURE[2], SURE[3]
    ]  # fmt: skip


def test_every_class_is_drawn_as_faint_as_it_is_sure(study):
    """As drawn, not as asked for: a scale of another type spaces the classes evenly."""
    frame = mapped(study, ROUND).iloc[[0, 1, 2]].assign(ratio=[1.0, 2.0, 4.0], level=0.95, family="tversky")
    for shares, verdict, opacities in (
        ([0.99, 0.8, 0.3], SEPARABLE, ["1", "0.6", "0.28"]),
        ([0.99, 0.99, 0.3], UNSURE, ["1", "1", "0.28"]),
        ([0.99, 0.99, 0.99], UNKNOWN, ["0.6"] * 3),
    ):
        chart = draw_map(frame.assign(family_share=shares, verdict=verdict), {}, ROUND)
        drawing = vl_convert.vegalite_to_svg(chart.to_dict())
        cells = re.findall(r'<path aria-label="[^"]*background: 95[^"]*"[^>]*>', drawing)
        assert len(cells) == 3
        assert [(re.findall(r' opacity="([^"]+)"', cell) or ["1"])[0] for cell in cells] == opacities
        assert all(' stroke="#5c636e"' in cell for cell in cells)


def test_families_without_a_color_are_grey_and_named(study):
    frame = mapped(study, ROUND)
    spec = draw_map(frame, {}, ROUND).to_dict(validate=True)
    rows = [row for rows in spec["datasets"].values() for row in rows]
    shown = [row for row in rows if "shown" in row]
    assert {row["shown"] for row in shown} <= {"other families", NOTHING}
    spans = sorted({(row["low"], row["high"]) for row in shown})
    for (low, high), ratio in zip(spans, ROUND, strict=True):
        assert low < ratio < high
        assert {row["price"] for row in shown if row["low"] == low} == {decision_words.times(ratio)}
    for (_, before), (after, _) in itertools.pairwise(spans):
        assert before == after
    assert {"tversky, tuned", "cross_entropy, tuned"} <= {row["winner"] for row in shown}


ODD = {
    "one family": {"families": ["tversky"], "levels": (0.97,)},
    "all failed": {"families": ["focal", "dice"], "failing": ["focal", "dice"]},
    "one failed": {"families": ["focal", "dice"], "failing": ["focal"]},
    "class absent": {"families": ["focal", "dice"], "absent": "curve 2"},
    "no confirm": {"families": ["focal", "dice"], "confirm": False},
    "cells missing": {"families": ["focal", "dice"], "missing": [("dice", 0.97), ("focal", 0.97)]},
    "one seed, one image": {"families": ["focal", "dice"], "seeds": 1, "images": 1},
    "no margins": {"families": ["focal", "dice"], "extras": False},
    "hostile": {"families": ["focal", "dice"], "rename": {"focal": NASTY}},
    "many families": {"families": 20},
}


@pytest.mark.parametrize("case", ODD)
def test_no_study_is_too_odd(case, monkeypatch):
    without_pictures(monkeypatch)
    document = Document(synthetic(**{"levels": (0.95, 0.97), "images": 3, "trials": 3, **ODD[case]}))
    section = decision(document)
    for figure in section.figures.values():
        if figure is not None:
            assert figure.chart.to_dict(validate=True)
    monkeypatch.setattr(page, "build_sections", lambda _: [section])
    files = page.render(document)
    text, plain = files["report.html"].decode(), files["report.md"].decode()
    assert ("No map:" in plain) == (case in ("all failed", "no confirm"))
    words = text.split('<section id="decision"')[1].split("</section>")[0]
    for written in (words, plain):
        assert not any(f" {name}" in written.replace("\u00a0", " ") for name in ("nan", "None", "inf"))
    if case == "cells missing":
        assert "No map at 97\u00a0% background" in words
    if case == "hostile":
        assert "</script><b>" not in text
        assert "&lt;/script&gt;&lt;b&gt;" in words


def test_a_test_set_without_minority_pixels_has_no_map():
    results = weighed({"dice": STEADY}, levels=(0.97,), images=3)
    rows = [row | {"target": 0.0, "found": [0.0] * BINS} for row in results.margins.to_pylist()]
    silent = dataclasses.replace(results, margins=pa.Table.from_pylist(rows, schema=results.margins.schema))
    assert list(mistakes(silent, gather(silent), FEW)) == []


def test_a_difference_within_rounding_is_none():
    counts = np.full((25, 2, 3), 200.0) + np.random.default_rng(0).normal(0, 5, (25, 1, 3))
    counts[:, 1] -= 1e-6
    frame = decision_map([made_up(counts)], seed=0)
    assert frame.loc[0, ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    assert frame.at[0, "verdict"] == UNSURE


def test_costs_are_never_below_nothing_whatever_the_seeds():
    counts = np.zeros((25, 1, 3)) + np.array([0.0, 0.0, 900.0])
    frame = decision_map([made_up(counts)], seed=0)
    assert frame.at[0, "cost"] == pytest.approx(300)
    assert frame.at[0, "cost_low"] == 0
    assert frame.at[0, "cost_high"] > 600


def test_the_offset_shown_is_the_median_over_seeds(study):
    found = list(mistakes(study, gather(study), RATIOS))
    frame = decision_map(found, seed=0)
    wide = 0
    for row in frame[frame["family"] != NOTHING].itertuples():
        one = found[0] if row.level == 0.95 else found[1]
        column = [(each.family, each.setting) for each in one.configurations].index((row.family, row.setting))
        offsets = sorted(one.offsets[RATIOS.index(row.ratio), column])
        assert row.offset == offsets[1]
        wide += bool(offsets[1] < offsets[2])
    assert wide
