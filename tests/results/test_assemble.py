import dataclasses
import json
import math
import random

import pytest

from sweeper.errors import ResultsError
from sweeper.results.assemble import assemble
from sweeper.results.margins import BINS, OFFSETS
from sweeper.results.record import MarginCounts, ReliabilityBin, Score
from sweeper.results.schema import MARGINS, TABLES, TRIALS


def rows(results):
    return {row["key"]: row for row in results.trials.to_pylist()}


def test_tables_have_the_schema_and_every_value_lands_in_its_column(make_record):
    record = make_record("k", level_test=0.9712, weighting_test="tilt", ess_test=147.0, device="cuda", precision="bf16")
    results = assemble([record], {"reference": 0.97})
    for name, table in results.tables.items():
        assert table.schema.equals(TABLES[name], check_metadata=True), name
    (row,) = results.trials.to_pylist()
    for name in set(TRIALS.names) - {"hyperparameters", "is_tuned"}:
        assert row[name] == getattr(record, name), name
    assert json.loads(row["hyperparameters"]) == {"alpha": 0.3, "beta": 0.7}
    assert results.scores.to_pylist() == [
        {
            "key": "k",
            "split": "val",
            "point": "argmax",
            "image": None,
            "class": "(minority)",
            "metric": "iou",
            "value": 0.5,
        }
    ]


def test_every_epoch_is_a_row_and_what_it_does_not_report_is_null(make_record):
    history = (
        {"epoch": 1, "train_loss": 0.9, "seconds": 0.6},
        {"epoch": 2, "train_loss": 0.4, "seconds": 0.7, "minority_iou": 0.25, "mean_iou": 0.5, "of a later version": 1},
    )
    failed = make_record("f", number=1, status="failed", epochs=1, history=history[:1], scores=())
    table = assemble([failed, make_record("k", history=history)], {}).epochs
    assert table.drop_columns(["train_loss", "seconds"]).to_pylist() == [
        {"key": key, "epoch": epoch, "minority_iou": iou, "mean_iou": mean} | dict.fromkeys(UNREPORTED)
        for key, epoch, iou, mean in (("k", 1, None, None), ("k", 2, 0.25, 0.5), ("f", 1, None, None))
    ]
    assert table["train_loss"].to_pylist() == [0.9, 0.4, 0.9]
    assert table["seconds"].to_pylist() == [0.6, 0.7, 0.6]


UNREPORTED = ("minority_f1", "minority_precision", "minority_recall", "background_iou")


def test_margins_and_reliability_land_in_their_columns(make_record):
    up, down = ([float(start + step * place) for place in range(BINS)] for start, step in ((0, 1), (1000, -1)))
    rows = (
        MarginCounts("val", None, 9.5, 4.25, tuple(down), tuple(up)),
        MarginCounts("test", "b", 3.0, 2.0, tuple(up), tuple(down)),
        MarginCounts("test", "a", 7.0, 1.0, tuple(up), tuple(up)),
    )
    bins = (ReliabilityBin("test", 1, 0.0, None, None), ReliabilityBin("test", 0, 5.5, 0.02, 0.5))
    results = assemble([make_record("k", stage="confirm", margins=rows, reliability=bins)], {})
    assert results.margins.to_pylist() == [
        {"key": "k", "split": "test", "image": "a", "pixels": 7.0, "target": 1.0, "found": up, "alarms": up},
        {"key": "k", "split": "test", "image": "b", "pixels": 3.0, "target": 2.0, "found": up, "alarms": down},
        {"key": "k", "split": "val", "image": None, "pixels": 9.5, "target": 4.25, "found": down, "alarms": up},
    ]
    assert results.reliability.to_pylist() == [
        {"key": "k", "split": "test", "bin": 0, "pixels": 5.5, "probability": 0.02, "share": 0.5},
        {"key": "k", "split": "test", "bin": 1, "pixels": 0.0, "probability": None, "share": None},
    ]


def test_a_histogram_has_a_bin_on_either_side_of_every_offset():
    assert MARGINS.field("found").type.list_size == MARGINS.field("alarms").type.list_size == len(OFFSETS) + 1


def test_empty_study_gives_empty_tables():
    for name, table in assemble([], {}).tables.items():
        assert table.num_rows == 0
        assert table.schema.equals(TABLES[name])


def test_order_of_completion_does_not_matter(make_study):
    records, meta = make_study()
    first = assemble(records, meta)
    for seed in range(5):
        rng = random.Random(seed)
        shuffled = [
            dataclasses.replace(
                record, **{name: tuple(rng.sample(rows := getattr(record, name), len(rows))) for name in ROWS}
            )
            for record in rng.sample(records, len(records))
        ]
        again = assemble([*shuffled, shuffled[0]], meta)
        assert again.tables == first.tables
        assert all(table.num_rows for table in first.tables.values())


ROWS = ("scores", "margins", "reliability")


def test_rows_are_ordered_for_a_reader(make_record):
    records = [
        make_record("d", stage="confirm", number=None, seed=1),
        make_record("c", stage="confirm", number=None, seed=0),
        make_record("b", number=10),
        make_record("a", number=9),
        make_record("z", family="dice"),
        make_record("y", level=0.9),
    ]
    assert assemble(records, {"reference": 0.97}).trials["key"].to_pylist() == ["z", "y", "a", "b", "c", "d"]


def test_one_key_with_two_outcomes_is_refused(make_record):
    with pytest.raises(ResultsError, match="trial k of tversky was recorded twice"):
        assemble([make_record("k"), make_record("k", objective=0.1)], {})


def test_scores_that_are_no_number_become_null(make_record):
    scores = tuple(
        Score("val", "argmax", None, name, "iou", value)
        for name, value in {"a": None, "b": math.nan, "c": math.inf, "d": 0.0}.items()
    )
    table = assemble([make_record(scores=scores, objective=math.nan)], {})
    assert table.scores["value"].to_pylist() == [None, None, None, 0.0]
    assert table.trials["objective"].to_pylist() == [None]


def confirm(make_record, key, alpha, level=0.97, **changes):
    return make_record(key, stage="confirm", number=None, level=level, hyperparameters={"alpha": alpha}, **changes)


def search(make_record, key, alpha, objective, number, **changes):
    return make_record(key, hyperparameters={"alpha": alpha}, objective=objective, number=number, **changes)


def tuned(records, reference=0.97):
    return {key for key, row in rows(assemble(records, {"reference": reference})).items() if row["is_tuned"]}


def test_tuned_is_the_best_completed_search_trial(make_record):
    records = [
        search(make_record, "s0", 0.1, 0.5, 0),
        search(make_record, "s1", 0.2, 0.9, 1, status="stopped"),
        search(make_record, "s2", 0.3, 0.7, 2),
        search(make_record, "s3", 0.4, None, 3, status="failed"),
        *(confirm(make_record, f"c{alpha}", alpha) for alpha in (0.1, 0.2, 0.3, 0.4)),
    ]
    assert tuned(records) == {"c0.3"}


def test_equal_objectives_go_to_the_lowest_number(make_record):
    records = [
        search(make_record, "s1", 0.2, 0.7, 1),
        search(make_record, "s0", 0.1, 0.7, 0),
        *(confirm(make_record, f"c{alpha}", alpha) for alpha in (0.1, 0.2)),
    ]
    assert tuned(records) == {"c0.1"}


def test_a_level_not_searched_takes_the_setting_of_the_reference_level(make_record):
    records = [
        search(make_record, "s0", 0.1, 0.5, 0),
        search(make_record, "s1", 0.2, 0.6, 1),
        confirm(make_record, "c0.1", 0.1, level=0.99),
        confirm(make_record, "c0.2", 0.2, level=0.99),
    ]
    assert tuned(records) == {"c0.2"}


def test_a_level_searched_takes_its_own_setting(make_record):
    records = [
        search(make_record, "s0", 0.1, 0.9, 0),
        search(make_record, "s1", 0.2, 0.6, 0, level=0.99),
        confirm(make_record, "c0.1", 0.1, level=0.99),
        confirm(make_record, "c0.2", 0.2, level=0.99),
    ]
    assert tuned(records) == {"c0.2"}


def test_a_level_whose_search_only_failed_has_no_tuned_setting(make_record):
    records = [
        search(make_record, "s0", 0.1, 0.9, 0),
        search(make_record, "s1", 0.2, None, 0, level=0.99, status="failed"),
        confirm(make_record, "c0.1", 0.1, level=0.99),
    ]
    assert tuned(records) == set()


def test_families_do_not_lend_each_other_settings(make_record):
    records = [
        search(make_record, "s0", 0.1, 0.9, 0),
        confirm(make_record, "c0.1", 0.1, family="focal_tversky"),
    ]
    assert tuned(records) == set()


def test_a_family_with_nothing_to_search_is_tuned_and_default_at_once(make_record):
    records = [
        make_record("s", family="dice", hyperparameters={}, is_default=True),
        make_record("c", family="dice", hyperparameters={}, is_default=True, stage="confirm", number=None, level=0.99),
    ]
    assert tuned(records) == {"c"}


def test_meta_comes_out_as_plain_json():
    assert assemble([], {"levels": (0.9, 0.97), "study": {1: "x"}}).meta == {"levels": [0.9, 0.97], "study": {"1": "x"}}
    with pytest.raises(ResultsError, match="not plain JSON"):
        assemble([], {"reference": math.nan})
    with pytest.raises(ResultsError, match="set is not JSON serializable"):
        assemble([], {"levels": {1}})
