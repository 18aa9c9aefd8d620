"""Journals and tracking servers that someone else filled: refused with a reason, never a traceback, never believed."""

import copy
import io
import json
import os
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.errors import ResultsError, SweeperError
from sweeper.results import from_mlflow
from sweeper.results import mlflow_layout as layout
from sweeper.results.assemble import assemble
from sweeper.results.schema import TABLES
from sweeper.tracking.identity import identity
from sweeper.tracking.journal import RECORDS_FILE, Journal
from sweeper.tracking.lines import encode
from sweeper.tracking.log import ChecksummedLog
from sweeper.tracking.mlflow_entries import trial_entry
from sweeper.tracking.payload import pack
from tests.results.synthetic_study import make_meta, make_record, make_study

FUZZ = settings(
    max_examples=int(os.environ.get("SWEEPER_FUZZ", "60")),
    deadline=None,
    derandomize="SWEEPER_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
)

RECORD = next(one for one in make_study(images=1)[0] if one.stage == "confirm")

JUNK = st.one_of(
    st.sampled_from([None, True, -1, 0, 10**30, -(10**400), 1e308, float("nan"), float("inf"), "", "x", "\ud800"]),
    st.sampled_from(["../../etc/passwd", "a' or '1' = '1", "0001-01-01", [], {}, [[]], [{}], {"": None}, [None]]),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "{", "null", "[]", "{}", "[" * 100_000, '"', "1" * 5000, "z", "zAAAA", "zAAA=", "NaN"]),
    st.text(max_size=20),
)  # fmt: skip


def places(value, path=()):
    """Every place within plain data where something else could stand."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def changed(value, path, junk):
    """`value` with `junk` in one place; a name that ends in `-` is taken out instead."""
    if not path:
        return junk
    found = copy.deepcopy(value)
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = junk
    return found


PLAIN = json.loads(RECORD.to_json())
PLACES = [path for path in places(PLAIN) if len(path) < 3 or path[1] in (0, 1)]


def sound(records):
    """What was let in can be used: it makes tables to schema and what MLflow is told."""
    tables = assemble(records, {}).tables
    assert all(tables[name].schema.equals(schema) for name, schema in TABLES.items())
    info = SimpleNamespace(name="s", meta=make_meta(), class_names=[])
    for record in records:
        trial_entry(record, info)
        assert not set("/' ") & set(record.key)


def journal_of(folder, *lines):
    (folder / RECORDS_FILE).write_bytes(b"".join(lines))
    return Journal(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("strangers")


@FUZZ
@given(st.sampled_from(PLACES), JUNK)
def test_a_record_with_anything_anywhere(folder, path, junk):
    text = json.dumps(changed(PLAIN, path, junk))
    journal = journal_of(folder, encode(RECORD.key, pack(text)))
    refused = None
    try:
        sound(journal.records())
    except SweeperError as error:
        refused = str(error)
    assert refused is None or (RECORDS_FILE in refused and "\n" not in refused and len(refused) < 1000)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_record_that_lacks_a_field_or_has_one_more(folder, name):
    text = json.dumps({key: value for key, value in PLAIN.items() if key != name} | {name + "s": 1})
    with pytest.raises(SweeperError, match=r"trials\.log: trial c003 was recorded by another version"):
        journal_of(folder, encode(RECORD.key, pack(text))).records()


@FUZZ
@given(TEXTS)
def test_a_line_with_any_payload(folder, text):
    text = text.replace("\n", " ")
    try:
        line = encode("k", text)
    except UnicodeEncodeError:
        return
    with pytest.raises(SweeperError):
        journal_of(folder, line).read("k")


@FUZZ
@given(st.binary(max_size=300))
def test_a_file_of_anything(folder, content):
    journal = journal_of(folder, content)
    assert journal.records() == []
    assert bool(journal.dropped) == bool(content)
    journal.append(make_record("k"))
    assert Journal(folder).recorded() == ["k"]


@FUZZ
@given(st.binary(max_size=100))
def test_delivery_marks_and_ids_of_anything(folder, content):
    (folder / "delivered-t.log").write_bytes(content)
    (folder / "outbox").mkdir(exist_ok=True)
    (folder / "outbox" / "id").write_bytes(content)
    assert Journal(folder).delivered("t") == set()
    known = identity(folder)
    assert len(known) == 32
    assert identity(folder) == known


def test_marks_of_trials_that_were_never_recorded_change_nothing(tmp_path):
    ChecksummedLog(tmp_path / "delivered-t.log").append("foreign")
    journal = Journal(tmp_path)
    journal.append(make_record("a"))
    assert journal.finished() - journal.delivered("t") == {"a"}


class Server:
    """A tracking server that holds one study of one trial, as a client of MLflow shows it."""

    def __init__(self, folder):
        entry = trial_entry(RECORD, SimpleNamespace(name="s", meta=make_meta(), class_names=[]))
        tags = {**entry.tags, layout.STUDY_RUN: "s" * 32}
        metrics = {point.name: point.value for point in entry.points}
        self.folder = folder
        self.runs = {
            "study": run("s" * 32, {layout.KIND: "study", layout.STUDY: "s"}, {}, {"a": "1"}),
            "trial": run("t" * 32, tags, metrics, entry.params),
        }
        tables = assemble([RECORD], {}).tables
        images = tables["scores"].filter(pa.compute.is_valid(tables["scores"]["image"]))
        self.files = {
            layout.META_FILE: json.dumps(make_meta([RECORD])).encode(),
            layout.IMAGE_SCORES_FILE: parquet(images.drop_columns(["key"])),
            layout.MARGINS_FILE: parquet(tables["margins"].drop_columns(["key"])),
        }

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id="1")

    def search_runs(self, experiments, condition, *arguments, **keywords):
        class Page(list):
            token = None

        return Page([self.runs["study" if "'study'" in condition else "trial"]])

    def download_artifacts(self, run_id, name, folder):
        path = f"{folder}/{name}"
        with open(path, "wb") as file:
            file.write(self.files[name])
        return path


def run(run_id, tags, metrics, params):
    info = SimpleNamespace(
        run_id=run_id, run_name="r", status="FINISHED", artifact_uri="/a", start_time=0, lifecycle_stage="active"
    )
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags, metrics=metrics, params=params))


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def check_line(text):
    assert "\n" not in text


def load(server):
    """Load from `server`: sound results, or ResultsError in one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_mlflow, "connect", lambda uri: server)
        try:
            results = from_mlflow.load("http://host", "exp")
        except ResultsError as error:
            return check_line(str(error))
    assert all(results.tables[name].schema.equals(schema) for name, schema in TABLES.items())
    for table in results.tables.values():
        table.validate(full=True)
    return results


def test_the_stand_in_is_read_as_mlflow_is(folder):
    results, wanted = load(Server(folder)), assemble([RECORD], {})
    assert all(results.tables[name].equals(table) for name, table in wanted.tables.items())


TAGS = (layout.RECORD, layout.CLASSES, layout.ABSENT, layout.HISTORY, layout.RELIABILITY)


@FUZZ
@given(st.sampled_from(TAGS), st.data(), JUNK)
def test_tags_with_anything_anywhere(folder, name, data, junk):
    server = Server(folder)
    tags = server.runs["trial"].data.tags
    value = layout.from_tags(name, tags)
    path = data.draw(st.sampled_from([path for path in places(value) if len(path) < 3 or path[1] in (0, 1)]))
    tags.update(tagged(name, changed(value, path, junk)))
    load(server)


def tagged(name, value):
    text = json.dumps(value)
    starts = range(0, max(len(text), 1), layout.TAG_LENGTH)
    return {
        name if not start else f"{name}.{start // layout.TAG_LENGTH}": text[start : start + 4000] for start in starts
    }


@FUZZ
@given(st.sampled_from([*TAGS, layout.TRIAL_KEY, layout.KIND, layout.STUDY_RUN]), st.none() | TEXTS)
def test_tags_of_any_text_or_none(folder, name, text):
    server = Server(folder)
    if text is None:
        del server.runs["trial"].data.tags[name]
    else:
        server.runs["trial"].data.tags[name] = text
    load(server)


@FUZZ
@given(st.text(max_size=30) | st.sampled_from(["test/argmax/x/iou", "a/b/c/d"]), st.floats())
def test_metrics_of_any_name_and_value(folder, name, value):
    server = Server(folder)
    server.runs["trial"].data.metrics[name] = value
    load(server)


@FUZZ
@given(st.sampled_from([layout.META_FILE, layout.IMAGE_SCORES_FILE, layout.MARGINS_FILE]), st.data())
def test_artifacts_garbled_cut_or_replaced(folder, name, data):
    server = Server(folder)
    whole = server.files[name]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    server.files[name] = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    load(server)


COLUMNS = st.one_of(
    st.lists(st.none() | st.floats(), min_size=3, max_size=3).map(lambda rows: pa.array(rows, pa.float64())),
    st.lists(st.none() | st.text(max_size=3), min_size=3, max_size=3).map(lambda rows: pa.array(rows, pa.string())),
    st.just(pa.array([[1.0], None, [2.0, float("nan")]])),
    st.just(pa.nulls(3)),
)
NAMES = st.sampled_from(
    ["split", "point", "image", "class", "metric", "value", "pixels", "target", "found", "key", "x"]
)


@FUZZ
@given(st.sampled_from([layout.IMAGE_SCORES_FILE, layout.MARGINS_FILE]), st.dictionaries(NAMES, COLUMNS, max_size=8))
def test_artifacts_that_are_other_tables(folder, name, columns):
    server = Server(folder)
    server.files[name] = parquet(pa.table(columns))
    load(server)


META_PLACES = [path for path in places(make_meta([RECORD])) if len(path) < 4]


@FUZZ
@given(st.sampled_from(META_PLACES), JUNK)
def test_meta_data_with_anything_anywhere(folder, path, junk):
    server = Server(folder)
    server.files[layout.META_FILE] = json.dumps(changed(make_meta([RECORD]), path, junk)).encode()
    load(server)


def test_a_small_file_that_says_it_is_huge_is_refused(folder, monkeypatch):
    monkeypatch.setattr(from_mlflow, "ROWS", 3)
    assert load(Server(folder)) is None


def test_studies_of_one_name_are_chosen_by_the_id_of_the_run(folder, monkeypatch):
    server = Server(folder)
    other = run("o" * 32, {layout.KIND: "study", layout.STUDY: "s", layout.RUN_FOLDER: "f"}, {}, {"a": "1"})

    def studies(experiments, condition, *arguments, **keywords):
        page = Server.search_runs(server, experiments, condition)
        return type(page)([*page, other] if "'study'" in condition else page)

    server.search_runs = studies
    monkeypatch.setattr(from_mlflow, "connect", lambda uri: server)
    with pytest.raises(
        ResultsError, match=f"2 studies of this name, from different run folders.*{'o' * 32} of 1970-01-01"
    ):
        from_mlflow.load("http://host", "exp", study="s")
    assert from_mlflow.load("http://host", "exp", study="s" * 32).trials.num_rows == 1
