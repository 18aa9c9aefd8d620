from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from sweeper.report import stability as measures
from sweeper.report.comparisons import Headline
from sweeper.report.document import Document
from sweeper.report.sections.stability import LONGEST, stability
from sweeper.report.stability import DEFAULT, SEARCHED, TUNED
from sweeper.results.results import Results
from sweeper.results.schema import EPOCHS, MINORITY, TRIALS
from tests.report.synthetic import synthetic


def with_trials(results: Results, change) -> Results:
    rows = results.trials.to_pylist()
    change(rows)
    return dataclasses.replace(results, trials=pa.Table.from_pylist(rows, schema=TRIALS))


def counted(frame, family: str, what: str) -> dict[str, float]:
    row = frame[(frame["family"] == family) & (frame["what"] == what)]
    assert len(row) == 1
    return row.iloc[0].to_dict()


def test_failures_are_counted_by_what_failed():
    def change(rows):
        tuned = [row for row in rows if row["family"] == "focal" and row["is_tuned"]]
        tuned[0] |= {"status": "failed", "reason": "out of memory on the GPU"}
        tuned[1] |= {"status": "failed", "reason": "out of memory on the host"}
        tuned[2] |= {"status": "failed", "reason": "the loss became NaN in epoch 7; it ran out of memory before"}

    frame = measures.stability(with_trials(synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=3), change))
    tuned = counted(frame, "focal", TUNED)
    assert [tuned[name] for name in ("trials", "failed", "memory", "collapsed")] == [6, 3, 2, 0]
    assert tuned["share"] == 0.5
    assert tuned["share_low"] < 0.5 < tuned["share_high"]
    searched = counted(frame, "focal", SEARCHED)
    assert [searched[name] for name in ("trials", "failed", "memory")] == [8, 1, 0]
    assert counted(frame, "focal", DEFAULT)["failed"] == 0
    # Nothing to tune: its tuned setting is its default.
    assert set(frame[frame["family"] == "dice"]["what"]) == {SEARCHED, TUNED}
    assert counted(frame, "dice", TUNED)["failed"] == 0


def test_collapsed_found_nothing_on_the_split_of_its_stage():
    results = synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=3, collapsing=["focal"])
    frame = measures.stability(results)
    assert counted(frame, "focal", TUNED)["collapsed"] == 6
    statuses = [
        row["status"] for row in results.trials.to_pylist() if row["stage"] == "search" and row["family"] == "focal"
    ]
    # Trials stopped early are not called collapsed.
    assert counted(frame, "focal", SEARCHED)["collapsed"] == statuses.count("completed") < len(statuses)
    assert counted(frame, "dice", TUNED)["collapsed"] == 0
    # A confirm trial is judged on test: a 0 on validation is none of its business.
    tuned = next(row["key"] for row in results.trials.to_pylist() if row["family"] == "dice" and row["is_tuned"])
    other = {"key": tuned, "split": "val", "point": "argmax", "image": None, "class": MINORITY, "metric": "recall",
             "value": 0.0}  # fmt: skip
    extra = pa.Table.from_pylist([other], schema=results.scores.schema)
    more = dataclasses.replace(results, scores=pa.concat_tables([results.scores, extra]))
    assert counted(measures.stability(more), "dice", TUNED)["collapsed"] == 0


def test_reasons_that_differ_in_numbers_are_one():
    def change(rows):
        tuned = [row for row in rows if row["family"] == "focal" and row["is_tuned"]]
        tuned[0] |= {"status": "failed", "reason": "the mean loss 3.5e+02 is 12 times the first, in epoch 4"}
        tuned[1] |= {"status": "failed", "reason": "the mean loss 1e3 is 10.5 times the first, in epoch 17"}
        tuned[2] |= {"status": "failed", "reason": None}

    frame = measures.reasons(with_trials(synthetic(["focal", "dice"], levels=(0.99,), seeds=3), change))
    tuned = frame[frame["what"] == TUNED].set_index("reason")
    assert dict(tuned["trials"]) == {"the mean loss … is … times the first, in epoch …": 2, "no reason recorded": 1}
    first = tuned.loc["the mean loss … is … times the first, in epoch …"]
    assert first["example"] == "the mean loss 3.5e+02 is 12 times the first, in epoch 4"
    assert frame["what"].iloc[0] == SEARCHED


def test_seed_scores_are_the_pooled_ones():
    document = Document(synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=3))
    found = measures.seed_scores(document.evidence, document.score)
    trials = document.results.trials.to_pandas()
    pooled = document.results.scores.to_pandas()
    pooled = pooled[pooled["image"].isna() & (pooled["point"] == "argmax") & (pooled["class"] == MINORITY)]
    pooled = pooled[(pooled["metric"] == "iou") & (pooled["split"] == "test")].set_index("key")["value"]
    tuned = trials[trials["is_tuned"]]
    assert len(found) == len(tuned) == 12
    for row in tuned.to_dict("records"):
        own = found[
            (found["family"] == row["family"]) & (found["level"] == row["level"]) & (found["seed"] == row["seed"])
        ]
        assert own["score"].item() == pytest.approx(pooled[row["key"]])


def test_spread_is_that_of_the_seed_scores():
    document = Document(synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=4))
    scores = measures.seed_scores(document.evidence, document.score)
    frame = measures.spread(document.results, document.evidence, document.score)
    for row in frame.to_dict("records"):
        own = scores[(scores["family"] == row["family"]) & (scores["level"] == row["level"])]["score"]
        assert (row["lowest"], row["highest"], row["seeds"]) == (own.min(), own.max(), 4)
        assert row["sd"] == pytest.approx(own.std())
        assert row["sd_low"] < row["sd"] < row["sd_high"]


def traced(rows):
    """Epochs of one trial: (epoch, minority IoU), in any order."""
    return pa.Table.from_pylist(
        [{"key": "a", "epoch": epoch, "minority_iou": score, "mean_iou": 0.5} for epoch, score in rows], schema=EPOCHS
    )


IOU = Headline("iou", MINORITY)


def best_of(rows, headline=IOU):
    def change(trials):
        for row in trials:
            if row["is_tuned"]:
                row["key"] = "a"

    results = with_trials(synthetic(["dice"], levels=(0.99,), seeds=1), change)
    frame = measures.best_epochs(dataclasses.replace(results, epochs=traced(rows)), headline)
    return [(row["epoch"], pytest.approx(row["gap"])) for row in frame.to_dict("records")]


def test_best_epoch_against_the_last_worked_by_hand():
    assert best_of([(3, 0.4), (1, 0.2), (2, 0.6), (4, 0.5)]) == [(2, 0.1)]
    assert best_of([(1, 0.2), (2, 0.6)]) == [(2, 0.0)]
    assert best_of([(1, 0.6), (2, 0.6), (3, 0.5)]) == [(1, 0.1)], "the first of equals"
    assert best_of([(1, None), (2, 0.6), (3, 0.5)]) == [(2, 0.1)]
    assert best_of([(1, 0.6), (2, None)]) == [], "an undefined last score has no gap"
    assert best_of([(1, 0.6), (2, 0.1)], Headline("specificity", MINORITY)) == [], "not recorded per epoch"


def test_best_epochs_agree_with_a_plain_loop():
    results = synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=3)
    rng = np.random.default_rng(0)
    rows = [row | {"minority_iou": float(rng.choice([0.1, 0.2, 0.3, 0.4]))} for row in results.epochs.to_pylist()]
    rng.shuffle(rows)
    results = dataclasses.replace(results, epochs=pa.Table.from_pylist(rows, schema=EPOCHS))
    found = measures.best_epochs(results, Headline("iou", MINORITY)).set_index("key")
    confirm = [row["key"] for row in results.trials.to_pylist() if row["stage"] == "confirm"]
    assert set(found.index) == set(confirm)
    for key in confirm:
        own = sorted((row["epoch"], row["minority_iou"]) for row in rows if row["key"] == key)
        best = max(own, key=lambda one: (one[1], -one[0]))
        assert found.at[key, "epoch"] == best[0]
        assert found.at[key, "gap"] == pytest.approx(best[1] - own[-1][1])


def test_the_gap_of_made_up_histories():
    # Scores rise and lose a hundredth of the recall in the last epoch of 30.
    document = Document(synthetic(["dice"], levels=(0.99,), seeds=3))
    row = measures.spread(document.results, document.evidence, document.score).iloc[0]
    epochs = document.results.epochs.to_pandas()
    key = document.evidence.counts[next(iter(document.evidence.counts))].trials[0]
    own = epochs[epochs["key"] == key].sort_values("epoch")["minority_iou"].to_numpy()
    assert row["gap"] == pytest.approx(own.max() - own[-1])
    assert (row["best_epoch"], row["traced"]) == (29, 3)


def test_old_results_say_that_epochs_are_unknown():
    section = stability(Document(synthetic(2, levels=(0.99,), extras=False)))
    assert section is not None
    assert "no scores per epoch" in section.tables["spread"].caption
    assert section.tables["spread"].frame["gap"].isna().all()
    assert not any("last" in text for text in section.words["findings"])


def test_odd_studies():
    failed = stability(Document(synthetic(["dice"], failing=["dice"])))
    assert failed is not None
    assert failed.tables["spread"] is None
    assert failed.figures["seeds"] is None
    assert failed.tables["failure_reasons"].frame["trials"].sum() == 1
    alone = stability(Document(synthetic(["dice"], levels=(0.99,), seeds=1)))
    assert alone is not None
    assert "One seed has no deviation." in alone.tables["spread"].caption
    assert alone.tables["spread"].frame["sd"].isna().all()
    assert alone.words["findings"][0] == "Of 1 tuned seeds, not one failed or collapsed."
    assert alone.figures["seeds"] is not None
    empty = synthetic(["dice"], levels=(0.99,))
    assert stability(Document(Results(TRIALS.empty_table(), empty.scores.slice(0, 0), empty.meta))) is None


def test_agreeing_on_nothing_is_not_called_stable():
    section = stability(Document(synthetic(4, levels=(0.99,), seeds=3, collapsing=["dice"])))
    assert section is not None
    first, second = section.words["findings"][:2]
    assert first == "Tuned seeds that failed or collapsed: dice (3 of 3)."
    assert "dice" not in second
    row = section.tables["spread"].frame.set_index("family").loc["dice"]
    assert (row["highest"], row["sd"]) == (0.0, 0.0)
    assert np.isnan(row["sd_low"])


def test_a_study_whose_test_pictures_show_no_minority_has_no_scores():
    results = synthetic(["focal", "dice"], levels=(0.99,), seeds=2)
    scores = results.scores.to_pandas()
    scores.loc[scores["metric"].isin(["tp", "fn"]), "value"] = 0.0
    table = pa.Table.from_pandas(scores, schema=results.scores.schema, preserve_index=False)
    section = stability(Document(dataclasses.replace(results, scores=table)))
    assert section is not None
    assert section.figures["seeds"] is None
    assert section.tables["spread"].frame["seeds"].tolist() == [0, 0]


def test_hostile_names_and_long_reasons():
    name = "=HYPERLINK(1)<b>\u202e"

    def change(rows):
        for row in rows:
            if row["status"] == "failed":
                row["reason"] = "<img src=x> " + "very " * 60

    results = with_trials(synthetic(["focal", "dice"], levels=(0.99,), seeds=2, rename={"focal": name}), change)
    section = stability(Document(results))
    assert section is not None
    table = section.tables["failure_reasons"]
    assert len(table.grid.rows[0][2].text) == LONGEST
    assert table.frame["example"].iloc[0] == "<img src=x> " + "very " * 60
    assert name in set(section.tables["stability"].frame["family"])
