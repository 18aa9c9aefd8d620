"""Results from strangers: files that are whole by every checksum and still are no results of a study."""

from __future__ import annotations

import copy
import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.errors import ResultsError
from sweeper.results import parquet
from sweeper.results.assemble import assemble
from sweeper.results.check import faults
from sweeper.results.parquet import load, save
from sweeper.results.results import Results
from sweeper.results.schema import TABLES


@pytest.fixture
def results(make_study):
    return assemble(*make_study())


def refusal(folder) -> str:
    with pytest.raises(ResultsError) as caught:
        load(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    assert len(message) < 3000
    return message


def replaced(results: Results, name: str, column: str, values: list[object]) -> Results:
    """Return results of which one column begins with other values."""
    table = results.tables[name]
    place = table.column_names.index(column)
    field = TABLES[name].field(column)
    rest = table[column].slice(len(values)).combine_chunks()
    new = pa.concat_arrays([pa.array(values, field.type), rest])
    return dataclasses.replace(results, **{name: table.set_column(place, field, new)})


def test_what_a_study_writes_has_no_faults(results):
    assert list(faults(results)) == []


TABLE_FAULTS = [
    ("trials", "seconds", [float("nan")], "trials.seconds holds 1 values that are no finite numbers"),
    ("scores", "value", [float("inf"), float("nan")], "scores.value holds 2 values that are no finite numbers"),
    ("epochs", "train_loss", [float("-inf")], "epochs.train_loss holds 1 values"),
    ("margins", "found", [[float("nan")] * 124], "margins.found holds 124 values"),
    ("trials", "stage", ["guess"], "trials.stage holds 'guess'"),
    ("trials", "status", ["lost"], "trials.status holds 'lost'"),
    ("trials", "family", ["unheard-of"], "trials.family holds 'unheard-of'"),
    ("trials", "hyperparameters", ["{"], "trials.hyperparameters holds '{', which is no JSON"),
    ("trials", "hyperparameters", ["[" * 100_000], "which is no JSON object"),
    ("trials", "hyperparameters", ['{"a": [1]}'], "which is no JSON object of plain values"),
    ("trials", "hyperparameters", ["9" * 5000], "which is no JSON object"),
    ("scores", "key", ["nobody"], "scores.key holds 1 rows of trials that are not there"),
    ("reliability", "bin", [-1], "reliability.bin is not from 0 to 19"),
]


@pytest.mark.parametrize(("table", "column", "values", "says"), TABLE_FAULTS)
def test_values_that_no_study_has(results, tmp_path, table, column, values, says):
    save(replaced(results, table, column, values), tmp_path)
    assert says in refusal(tmp_path)


def test_a_key_twice(results, tmp_path):
    first = results.trials["key"][0].as_py()
    save(replaced(results, "trials", "key", [first, first]), tmp_path)
    assert "trials.key holds 1 keys twice" in refusal(tmp_path)


def without(path: str, **change: object):
    """Return a change of meta data: at a dotted path, remove what is there or put something else."""

    def apply(meta: dict) -> None:
        *above, last = path.split(".")
        for part in above:
            meta = meta[part]
        if change:
            meta[last] = change["to"]
        else:
            del meta[last]

    return apply


META_FAULTS = [
    (without("study"), "meta.study is missing"),
    (without("study.name"), "meta.study.name is no text"),
    (without("study.search", to=3), "meta.study.search is no section"),
    (without("families", to=[]), "meta.families is []"),
    (without("families.tversky.title"), "meta.families.tversky.title is missing"),
    (without("data.splits.val", to="all"), "meta.data.splits.val is 'all'"),
    (without("data.classes", to=[{"index": "0", "name": "a", "color": "b"}]), "meta.data.classes[0].index is '0'"),
    (without("data.background", to=99), "meta.data.background is 99, which is no class"),
    (without("data.minority", to=[True]), "meta.data.minority[0] is True"),
    (without("levels", to=[0.9, "x"]), "meta.levels[1] is 'x'"),
    (without("levels", to=["y" * 10_000]), "meta.levels[0] is 'yyy"),
    (without("trials", to=7), "meta.trials is 7"),
    (without("ledger", to=[{}]), "meta.ledger[0].family is missing"),
    (without("versions", to=None), "meta.versions is None"),
]


@pytest.mark.parametrize(("change", "says"), META_FAULTS)
def test_meta_data_that_no_study_has(results, tmp_path, change, says):
    meta = copy.deepcopy(results.meta)
    change(meta)
    save(dataclasses.replace(results, meta=meta), tmp_path)
    assert says in refusal(tmp_path)


def reworded(path, **metadata: bytes) -> None:
    table = pq.read_table(path)
    told = {**table.schema.metadata, **{f"sweeper.{key}".encode(): value for key, value in metadata.items()}}
    pq.write_table(table.replace_schema_metadata(told), path)


@pytest.mark.parametrize(
    "meta", [b"", b"{", b"[]", b"NaN", b'{"a": NaN}', b"[" * 100_000, b"\xff", b"9" * 5000, b'{"a": "\\ud800"}']
)
def test_meta_data_that_is_no_json(results, tmp_path, meta):
    save(results, tmp_path)
    for file in parquet.FILES.values():
        reworded(tmp_path / file, meta=meta)
    assert "sweeper.meta is no JSON" in refusal(tmp_path)


def test_a_schema_number_without_end_is_not_repeated_in_full(results, tmp_path):
    save(results, tmp_path)
    reworded(tmp_path / "trials.parquet", schema=b"9" * 100_000)
    assert "has results schema 99999999999999999..." in refusal(tmp_path)


def test_columns_without_end_are_not_listed_in_full(results, tmp_path):
    save(results, tmp_path)
    table = pq.read_table(tmp_path / "trials.parquet")
    for number in range(300):
        table = table.append_column(f"{'x' * 100}{number}", pa.nulls(len(table)))
    pq.write_table(table, tmp_path / "trials.parquet")
    assert "unknown: xxx" in refusal(tmp_path)


def test_a_short_file_that_repeats_a_long_text_is_not_written_out(results, tmp_path, monkeypatch):
    long = replaced(results, "trials", "reason", ["r" * 1_000_000] * len(results.trials))
    save(long, tmp_path)
    assert (tmp_path / "trials.parquet").stat().st_size < 100_000
    monkeypatch.setattr(parquet, "MOST_BYTES", 5_000_000)
    assert "trials.parquet: would take more than" in refusal(tmp_path)


def test_more_rows_than_memory_holds_are_not_read(results, tmp_path, monkeypatch):
    save(results, tmp_path)
    monkeypatch.setattr(parquet, "MOST_BYTES", 1000)
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *_, **__: pytest.fail("read"))
    assert "would take more than" in refusal(tmp_path)


def test_values_that_may_not_be_missing_are_nullable_in_the_file(results, tmp_path):
    save(results, tmp_path)
    path = tmp_path / "scores.parquet"
    table = pq.read_table(path)
    loose = pa.schema([field.with_nullable(True) for field in table.schema], metadata=table.schema.metadata)
    values = [None, *table["metric"].to_pylist()[1:]]
    table = table.cast(loose).set_column(5, loose.field("metric"), pa.array(values, pa.string()))
    pq.write_table(table, path)
    assert "its columns are not those of scores" in refusal(tmp_path)


@pytest.mark.parametrize("what", ["folder", "dictionary", "large strings"])
def test_files_of_another_make(results, tmp_path, what):
    save(results, tmp_path)
    path = tmp_path / "trials.parquet"
    table = pq.read_table(path)
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        kind = pa.dictionary(pa.int32(), pa.string()) if what == "dictionary" else pa.large_string()
        place = table.column_names.index("family")
        pq.write_table(table.set_column(place, "family", table["family"].cast(kind)), path)
    assert "there are no results here" in refusal(tmp_path) or "family is" in refusal(tmp_path)


def test_the_report_says_it_in_one_message_and_exits_with_2(results, tmp_path):
    broken = replaced(results, "trials", "hyperparameters", ["{"])
    save(broken, tmp_path / "results")
    asked = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "report")])
    assert isinstance(asked.exception, ResultsError)
    assert asked.exception.exit_code == 2
    assert not (tmp_path / "report").exists()


def test_numbers_in_json_stay_as_they_are(results, tmp_path):
    meta = {**results.meta, "command": json.dumps({"é": 1e300})}
    save(dataclasses.replace(results, meta=meta), tmp_path)
    assert load(tmp_path).meta == meta
