from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import calibration_curve

from sweeper.report import calibration as measures
from sweeper.report.calibration import Bins
from sweeper.report.document import Document
from sweeper.report.output.escaping import visible
from sweeper.report.sections.calibration import calibration
from sweeper.results.margins import PROBABILITY_BINS
from sweeper.results.schema import RELIABILITY
from tests.report.synthetic import synthetic

NOTHING = np.zeros(PROBABILITY_BINS)


def bins(*filled: tuple[int, float, float, float], seeds: int = 1) -> Bins:
    """Bins from (bin, pixels, probability, share), the same for every seed."""
    stacked = np.stack([NOTHING, NOTHING, NOTHING])
    for at, *values in filled:
        stacked[:, at] = values
    return Bins(tuple(range(seeds)), *(np.tile(each, (seeds, 1)) for each in stacked))


def joined(*seeds: Bins) -> Bins:
    """One seed after the other."""
    names = ("pixels", "probability", "share")
    return Bins(tuple(range(len(seeds))), *(np.concatenate([getattr(one, name) for one in seeds]) for name in names))


def binned(probability: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> Bins:
    """Bins as training fills them: equal ones over [0, 1]."""
    weight = np.ones(len(probability)) if weight is None else weight
    place = np.minimum((probability * PROBABILITY_BINS).astype(int), PROBABILITY_BINS - 1)
    pixels = np.bincount(place, weight, PROBABILITY_BINS)
    safe = np.maximum(pixels, 1e-300)
    mean = np.bincount(place, weight * probability, PROBABILITY_BINS) / safe
    share = np.bincount(place, weight * truth, PROBABILITY_BINS) / safe
    return Bins((0,), pixels[None], mean[None], share[None])


def replaced(results, cells):
    """Results whose reliability is that of `cells`: (family, level) -> Bins, by the order of seeds."""
    rows = []
    trials = results.trials.to_pandas()
    for (family, level), own in cells.items():
        chosen = trials[(trials["family"] == family) & (trials["level"] == level) & trials["is_tuned"]]
        for row, key in enumerate(chosen.sort_values("seed")["key"]):
            for at in range(PROBABILITY_BINS):
                empty = own.pixels[row, at] == 0
                rows.append({"key": key, "split": "test", "bin": at, "pixels": own.pixels[row, at],
                             "probability": None if empty else own.probability[row, at],
                             "share": None if empty else own.share[row, at]})  # fmt: skip
    return dataclasses.replace(results, reliability=pa.Table.from_pylist(rows, schema=RELIABILITY))


def test_errors_worked_by_hand():
    # 900 background pixels given 0.02 of which 18 are minority (kept), 60 given 0.3 with 30 minority, 40 given 0.9
    # with 24: gaps 0, 0.2 and 0.3.
    own = bins((0, 900.0, 0.02, 0.02), (6, 60.0, 0.3, 0.5), (18, 40.0, 0.9, 0.6))
    assert measures.expected_error(own) == pytest.approx([(60 * 0.2 + 40 * 0.3) / 1000])
    assert measures.minority_error(own) == pytest.approx([(30 * 0.2 + 24 * 0.3) / (18 + 30 + 24)])
    assert measures.promised(own) == pytest.approx([0.9])
    assert measures.kept(own) == pytest.approx([0.6])
    assert measures.expected_area(own) == pytest.approx([(18 + 18 + 36) / 72])


def test_a_family_that_keeps_every_promise_has_no_error():
    own = bins((0, 900.0, 0.01, 0.01), (10, 50.0, 0.52, 0.52), (19, 50.0, 0.98, 0.98))
    assert measures.expected_error(own) == pytest.approx([0.0])
    assert measures.minority_error(own) == pytest.approx([0.0])
    assert measures.expected_area(own) == pytest.approx([1.0])


def test_without_minority_pixels_their_error_is_undefined():
    own = bins((0, 900.0, 0.01, 0.0))
    assert measures.expected_error(own) == pytest.approx([0.01])
    found = [f(own)[0] for f in (measures.minority_error, measures.promised, measures.kept, measures.expected_area)]
    assert np.isnan(found).all()


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.4, 2.0, 20_000)
    truth = (rng.random(20_000) < probability**1.5).astype(float)
    own = binned(probability, truth)
    share, mean = calibration_curve(truth, probability, n_bins=PROBABILITY_BINS, strategy="uniform")
    number, _ = np.histogram(probability, PROBABILITY_BINS, (0, 1))
    caught, _ = np.histogram(probability[truth == 1], PROBABILITY_BINS, (0, 1))
    gaps = np.abs(share - mean)
    assert (number > 0).all()
    assert measures.expected_error(own) == pytest.approx([np.average(gaps, weights=number)])
    assert measures.minority_error(own) == pytest.approx([np.average(gaps, weights=caught)])
    # Of single pixels, without any bins.
    likely = probability >= 0.5
    assert measures.promised(own) == pytest.approx([probability[likely].mean()])
    assert measures.kept(own) == pytest.approx([truth[likely].mean()])
    assert measures.expected_area(own) == pytest.approx([probability.sum() / truth.sum()])


def test_a_weight_of_two_is_a_pixel_seen_twice():
    rng = np.random.default_rng(1)
    probability, truth = rng.random(500), (rng.random(500) < 0.4).astype(float)
    weight = rng.integers(1, 4, 500).astype(float)
    weighted = binned(probability, truth, weight)
    repeated = binned(np.repeat(probability, weight.astype(int)), np.repeat(truth, weight.astype(int)))
    for measure in (measures.expected_error, measures.minority_error, measures.expected_area):
        assert measure(weighted) == pytest.approx(measure(repeated))


def test_bins_come_from_the_tuned_confirm_trials_alone():
    results = synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=2)
    cells = measures.gather_bins(results)
    assert set(cells) == {(family, level) for family in ("focal", "dice") for level in (0.97, 0.99)}
    trials = results.trials.to_pandas()
    rows = results.reliability.to_pandas()
    for (family, level), own in cells.items():
        tuned = trials[(trials["family"] == family) & (trials["level"] == level) & trials["is_tuned"]]
        for row, (seed, key) in enumerate(zip(tuned["seed"], tuned["key"], strict=True)):
            expected = rows[rows["key"] == key].sort_values("bin").fillna(0.0)
            assert own.seeds[row] == seed
            assert own.pixels[row] == pytest.approx(expected["pixels"].to_numpy())
            assert own.probability[row] == pytest.approx(expected["probability"].to_numpy())
            assert own.share[row] == pytest.approx(expected["share"].to_numpy())


def test_bins_of_another_split_do_not_count():
    results = synthetic(["dice"], levels=(0.99,), seeds=1)
    expected = measures.gather_bins(results)["dice", 0.99]
    val = results.reliability.set_column(1, "split", pa.repeat("val", len(results.reliability)))
    val = val.set_column(3, "pixels", pa.repeat(7.0, len(val))).cast(RELIABILITY)
    both = dataclasses.replace(results, reliability=pa.concat_tables([results.reliability, val]))
    assert measures.gather_bins(both)["dice", 0.99].pixels.tolist() == expected.pixels.tolist()
    assert measures.gather_bins(dataclasses.replace(results, reliability=val)) == {}


def test_a_family_that_is_never_sure_leaves_the_mean_of_its_group():
    timid, sure = bins((4, 40.0, 0.2, 0.5), seeds=2), bins((18, 40.0, 0.9, 0.6), seeds=2)
    cells = {("dice", 0.99): timid, ("lovasz_softmax", 0.99): sure}
    found = measures.group_gap(cells, ["dice", "lovasz_softmax"], 0.99, seed=0)
    assert found is not None
    assert found.mean == pytest.approx(0.3)
    assert measures.group_gap(cells, ["dice"], 0.99, seed=0) is None
    assert measures.group_gap(cells, ["focal"], 0.99, seed=0) is None


def test_groups_are_compared_over_the_seeds_all_share():
    one = Bins((1, 2), *(getattr(joined(bins((18, 40.0, 0.9, 0.6)), bins((18, 40.0, 0.9, 0.7))), name)
                         for name in ("pixels", "probability", "share")))  # fmt: skip
    other = Bins((2, 3), *(getattr(joined(bins((18, 40.0, 0.9, 0.9)), bins((18, 40.0, 0.9, 0.1))), name)
                           for name in ("pixels", "probability", "share")))  # fmt: skip
    cells = {("dice", 0.99): one, ("focal", 0.99): other}
    found = measures.group_difference(cells, ["dice"], ["focal"], 0.99, seed=0)
    assert found is not None
    assert found.mean == pytest.approx(0.2 - 0.0)
    assert np.isnan(found.low), "one common seed"


def test_the_table_gives_the_mean_of_seeds_with_intervals():
    results = synthetic(["dice"], levels=(0.99,), seeds=3)
    three = [bins((0, 900.0, 0.02, 0.02), (18, 40.0, 0.9, share)) for share in (0.5, 0.6, 0.7)]
    frame = measures.calibration(measures.gather_bins(replaced(results, {("dice", 0.99): joined(*three)})), seed=0)
    row = frame.iloc[0]
    assert row["gap"] == pytest.approx(0.3)
    assert row["gap_low"] < 0.2 < 0.4 < row["gap_high"]
    assert (row["promised"], row["kept"], row["seeds"]) == (pytest.approx(0.9), pytest.approx(0.6), 3)
    assert row["ece"] == pytest.approx(40 * 0.3 / 940)
    expected = np.mean([40 * share * abs(share - 0.9) / (18 + 40 * share) for share in (0.5, 0.6, 0.7)])
    assert row["minority_ece"] == pytest.approx(expected)


def test_one_seed_has_no_interval_and_makes_no_claim():
    document = Document(synthetic(["cross_entropy", "dice"], levels=(0.97, 0.99), seeds=1))
    section = calibration(document)
    assert section is not None
    frame = section.tables["calibration"].frame
    assert frame["gap"].notna().all()
    assert frame[["ece_low", "ece_high", "gap_low", "area_high"]].isna().all().all()
    words = " ".join(section.words["findings"])
    assert "one seed" in words
    assert "over-confident" not in words
    assert "With one seed there is no interval." in section.tables["calibration"].caption


def words_for(gaps):
    """The findings for (family: gaps per seed), every family giving its likely pixels 0.9."""
    results = synthetic(list(gaps), levels=(0.99,), seeds=3)
    cells = {}
    for family, three in gaps.items():
        seeds = [bins((0, 900.0, 0.02, 0.02), (18, 40.0, 0.9, 0.9 - gap)) for gap in three]
        cells[family, 0.99] = joined(*seeds)
    section = calibration(Document(replaced(results, cells)))
    assert section is not None
    return section.words["findings"]


def test_words_call_overlap_losses_over_confident_where_the_data_do():
    each, axes = words_for({"cross_entropy": [0.001, -0.002, 0.001], "dice": [0.30, 0.31, 0.32],
                            "lovasz_softmax": [0.20, 0.21, 0.20]})  # fmt: skip
    over, _, open_ = each.partition("Not told apart")
    assert "Promise more than they keep: " in over
    assert "dice (+0.310" in over
    assert "lovasz_softmax (+0.203" in over
    assert "cross_entropy" in open_
    assert axes.startswith(
        "The overlap-aware families (dice and lovasz_softmax) are over-confident: their mean gap is +0.2"
    )
    assert "above that of the per-pixel families (cross_entropy)" in axes


def test_words_do_not_call_overlap_losses_over_confident_where_the_data_do_not():
    each, axes = words_for({"cross_entropy": [0.30, 0.31, 0.32], "dice": [-0.05, -0.06, -0.05]})
    assert "Keep more than they promise: dice (−0.053" in each
    assert "Promise more than they keep: cross_entropy" in each
    assert axes.startswith("The overlap-aware families (dice) are under-confident")
    assert "below that of the per-pixel families (cross_entropy)" in axes
    assert "over-confident" not in axes


def test_words_leave_open_what_seeds_leave_open():
    each, axes = words_for({"cross_entropy": [0.0, 0.1, -0.1], "dice": [0.1, -0.1, 0.05]})
    assert "Promise more" not in each
    assert "Keep more" not in each
    assert "are not over-confident beyond noise" in axes
    assert "is open" in axes


def test_a_family_that_is_never_sure_is_named_so():
    results = synthetic(["cross_entropy", "dice"], levels=(0.99,), seeds=2)
    timid = bins((0, 900.0, 0.02, 0.02), (4, 40.0, 0.2, 0.5), seeds=2)
    sure = joined(bins((18, 40.0, 0.9, 0.6)), bins((18, 40.0, 0.9, 0.61)))
    section = calibration(Document(replaced(results, {("cross_entropy", 0.99): timid, ("dice", 0.99): sure})))
    assert section is not None
    assert "Give no pixel so much: cross_entropy." in section.words["findings"][0]
    assert "cross_entropy" not in section.words["findings"][1]


def test_curves_pool_the_seeds():
    pair = [bins((3, 100.0, 0.16, 0.1)), bins((3, 300.0, 0.18, 0.3), (19, 100.0, 1.0, 1.0))]
    own = joined(*pair)
    first, last = measures.curves({("dice", 0.99): own}).to_dict("records")
    assert (first["bin"], last["bin"]) == (3, 19)
    assert first["probability"] == pytest.approx((100 * 0.16 + 300 * 0.18) / 400)
    assert first["share"] == pytest.approx((10 + 90) / 400)
    assert (first["pixels"], first["minority"]) == (pytest.approx(0.8), pytest.approx(0.5))
    # The seed without pixels in the last bin says nothing of it.
    assert (first["share_low"], first["share_high"]) == (0.1, 0.3)
    assert (last["share_low"], last["share_high"]) == (1.0, 1.0)


def test_old_results_have_no_such_section():
    assert calibration(Document(synthetic(2, extras=False))) is None
    assert calibration(Document(synthetic(2, confirm=False))) is None
    assert calibration(Document(synthetic(["dice"], failing=["dice"]))) is None


def test_many_families_and_hostile_names_are_drawn():
    name = '<script>alert(1)</script>"\u202e' + "x" * 200
    document = Document(synthetic(14, levels=(0.97, 0.99), seeds=2, images=4, rename={"dice": name}))
    section = calibration(document)
    assert section is not None
    figure = section.figures["reliability"]
    assert "more families are in the table" in figure.caption
    drawn = {row["family"] for rows in figure.spec["datasets"].values() for row in rows if "family" in row}
    assert drawn == {visible(family) for family in document.look}
    assert set(section.tables["calibration"].frame["family"]) == set(document.families)
    assert "<script>" not in figure.script
    json.loads(figure.script)
