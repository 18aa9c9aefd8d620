import dataclasses
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeper.errors import ResultsError
from sweeper.results import parquet
from sweeper.results.assemble import assemble
from sweeper.results.parquet import load, save

FILES = ["trials.parquet", "scores.parquet", "epochs.parquet", "margins.parquet", "reliability.parquet"]


@pytest.fixture
def results(make_study):
    return assemble(*make_study())


def test_what_is_saved_is_loaded(results, tmp_path):
    paths = save(results, tmp_path / "new" / "results")
    assert [path.name for path in paths] == FILES
    for path in (paths[0].parent, *paths):
        again = load(path)
        assert list(again.tables) == list(results.tables)
        for name, table in again.tables.items():
            assert table.num_rows > 0
            assert table.equals(results.tables[name], check_metadata=True), name
        assert again.meta == results.meta
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(FILES)


def test_trials_appear_last(results, tmp_path, monkeypatch):
    """Whoever finds `trials.parquet` finds the rest: it is what says that there are results."""
    written = []
    monkeypatch.setattr(parquet, "replace_atomically", lambda path, content: written.append(path.name))
    save(results, tmp_path)
    assert sorted(written) == sorted(FILES)
    assert written[-1] == "trials.parquet"


def test_metadata_names_study_and_versions_for_any_reader(results, tmp_path):
    for path in save(results, tmp_path):
        metadata = pq.read_schema(path).metadata
        assert metadata[b"sweeper.study"] == b"odd 'names'"
        assert json.loads(metadata[b"sweeper.versions"]) == {"python": "3.11", "sweeper": "0.1.0"}


def test_equal_results_give_equal_bytes(results, tmp_path):
    first = [path.read_bytes() for path in save(results, tmp_path / "a")]
    assert [path.read_bytes() for path in save(results, tmp_path / "b")] == first


def test_files_are_readable_like_any_other(results, tmp_path):
    umask = os.umask(0o022)
    try:
        assert {path.stat().st_mode & 0o777 for path in save(results, tmp_path)} == {0o644}
    finally:
        os.umask(umask)


@pytest.mark.parametrize("name", FILES)
def test_files_of_two_writes_do_not_pass_for_one_result(results, make_record, tmp_path, name):
    save(results, tmp_path)
    save(assemble([make_record()], results.meta), tmp_path / "other")
    (tmp_path / "other" / name).replace(tmp_path / name)
    with pytest.raises(ResultsError, match=r"trials.parquet and \w+.parquet were written .* not belong together"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["epochs", "margins", "reliability"])
def test_results_that_differ_in_one_table_alone_are_told_apart(results, tmp_path, name):
    """The stamp is of all tables, not of trials and scores alone."""
    save(results, tmp_path)
    changed = dataclasses.replace(results, **{name: results.tables[name].slice(1)})
    save(changed, tmp_path / "other")
    (tmp_path / "other" / f"{name}.parquet").replace(tmp_path / f"{name}.parquet")
    with pytest.raises(ResultsError, match="do not belong together"):
        load(tmp_path)


def test_results_of_the_version_before_say_what_to_do(results, tmp_path):
    """They had two tables; the journal of the run folder has all, and the same run again writes them."""
    for name in ("trials", "scores"):
        metadata = {"sweeper.schema": "1", "sweeper.meta": "{}", "sweeper.pair": "0123"}
        pq.write_table(results.tables[name].replace_schema_metadata(metadata), tmp_path / f"{name}.parquet")
    with pytest.raises(ResultsError, match=r"trials.parquet: has results schema 1, .* the same `sweeper run` again"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "there are no results here"),
        (lambda path: path.write_bytes(b""), "cannot be read as Parquet"),
        (lambda path: path.write_bytes(b"PAR1 is not enough"), "cannot be read as Parquet"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot be read as Parquet"),
        (lambda path: pq.write_table(pa.table({"a": [1]}), path), "was not written by sweeper"),
        (lambda path: rewrite(path, lambda t: t, schema="99"), "has results schema 99"),
        (lambda path: rewrite(path, lambda t: t.drop_columns(["key"])), "missing: key; unknown: none"),
        (lambda path: rewrite(path, lambda t: t.append_column("x", pa.nulls(len(t)))), "missing: none; unknown: x"),
        (lambda path: rewrite(path, lambda t: t.select(t.column_names[::-1])), "their order differs"),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_ours_is_named(results, tmp_path, name, spoil, says):
    save(results, tmp_path)
    spoil(tmp_path / name)
    with pytest.raises(ResultsError, match=says) as caught:
        load(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def rewrite(path, change, **metadata):
    table = pq.read_table(path)
    pq.write_table(
        change(table).replace_schema_metadata(
            {**table.schema.metadata, **{f"sweeper.{key}".encode(): text.encode() for key, text in metadata.items()}}
        ),
        path,
    )


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ResultsError, match="nowhere: there is no such folder"):
        load(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_made_is_named(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot be written"):
        save(results, tmp_path / "file" / "results")


def test_a_full_disk_leaves_the_old_results(results, make_record, tmp_path):
    save(results, tmp_path)
    code = (
        "import resource, signal, sys; from pathlib import Path; from sweeper.errors import ResultsError\n"
        "from sweeper.results.parquet import load, save\n"
        "results = load(sys.argv[1]); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: save(results, Path(sys.argv[1]))\n"
        "except ResultsError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert load(tmp_path).tables == results.tables
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
