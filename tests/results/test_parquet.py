import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeper.errors import ResultsError
from sweeper.results.assemble import assemble
from sweeper.results.parquet import load, save


@pytest.fixture
def results(make_study):
    return assemble(*make_study())


def test_what_is_saved_is_loaded(results, tmp_path):
    trials, scores = save(results, tmp_path / "new" / "results")
    for path in (trials, trials.parent):
        again = load(path)
        assert again.trials.equals(results.trials, check_metadata=True)
        assert again.scores.equals(results.scores, check_metadata=True)
        assert again.meta == results.meta
    assert sorted(path.name for path in trials.parent.iterdir()) == [scores.name, trials.name]


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


def test_files_of_two_writes_do_not_pass_for_one_result(results, make_record, tmp_path):
    save(results, tmp_path)
    _, scores = save(assemble([make_record()], {}), tmp_path / "other")
    scores.replace(tmp_path / "scores.parquet")
    with pytest.raises(ResultsError, match="do not belong together"):
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
@pytest.mark.parametrize("name", ["trials.parquet", "scores.parquet"])
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
    assert load(tmp_path).trials.equals(results.trials)
    assert len(list(tmp_path.iterdir())) == 2
