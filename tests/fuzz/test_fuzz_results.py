"""Parquet results, pictures of predictions, checkpoints and the outbox: read, refused in words, or set aside."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import io
import pickle
import runpy
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper.errors import ResultsError, SweeperError
from sweeper.report import tables
from sweeper.results import parquet, pictures
from sweeper.results.assemble import assemble
from sweeper.results.record import TrialRecord
from sweeper.results.results import Results
from sweeper.tracking.journal import RECORDS_FILE, Journal
from sweeper.training import checkpoint

from .amount import TRIED, inputs
from .mutations import applied, edits
from .telling import told

STUDY = runpy.run_path(str(Path(__file__).parents[1] / "results" / "synthetic_study.py"))


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


class Held(dict[str, bytes]):
    """Files by name. Hypothesis writes out what a test is given, and these are long."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


class Brief(Results):
    """Results, for the same reason."""

    def __repr__(self) -> str:
        return "<results>"


@pytest.fixture(scope="module")
def results() -> Results:
    records, meta = STUDY["make_study"](trials=1, images=1)
    some = assemble(records[:2], STUDY["make_meta"](records[:2]) | {"families": meta["families"]})
    return Brief(**some.tables, meta=some.meta)


@pytest.fixture(scope="module")
def saved(results, work) -> Held:
    parquet.save(results, work / "results")
    return Held({name: (work / "results" / name).read_bytes() for name in parquet.FILES.values()})


@inputs(80)
@given(st.sampled_from(sorted(parquet.FILES.values())), edits([b"PAR1", b"\xff\xff\xff\xff\x7f"]))
def test_parquet_files(work, results, saved, name, changes):
    TRIED["Parquet, bytes"] += 1
    changed = applied(saved[name], changes)
    for file, content in saved.items():
        (work / "results" / file).write_bytes(changed if file == name else content)
    loaded: list[Results] = []
    message = told(ResultsError, lambda: loaded.append(parquet.load(work / "results")))
    if message is None:  # no reader looks at every byte
        assert loaded[0].digest == results.digest
    else:
        assert str(work / "results") in message
        assert "\n" not in message


ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
"""What JSON holds: the rest never gets into a file."""


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(path for key, item in inner for path in paths(item, (*above, key)))]


META_PATHS = [path for path in paths(STUDY["make_meta"]([])) if path not in ((), ("study",))]


@inputs(40)
@given(st.sampled_from(META_PATHS), ANY, st.booleans())
def test_meta_data_of_any_values_under_a_digest_that_fits(work, results, path, value, remove):
    """The provenance of a report shows all of it."""
    TRIED["Parquet, values"] += 1
    meta = copy.deepcopy(results.meta)
    at: Any = meta
    for part in path[:-1]:
        at = at[part]
    if remove:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    parquet.save(dataclasses.replace(results, meta=meta), work / "forged")
    message = told(ResultsError, lambda: tables.provenance(parquet.load(work / "forged")))
    assert message is None or str(work / "forged") in message
    assert len(message or "") < 5000


@pytest.fixture(scope="module")
def predictions(work) -> Held:
    kept = pictures.Predicted(
        pool=np.array("pool"), classes=np.zeros((2, 8, 8), np.uint8), curves=np.zeros((0, 0, 0), np.float32)
    )
    pictures.save(kept, work / "predictions.npz")
    return Held({"predictions.npz": (work / "predictions.npz").read_bytes()})


@inputs(120)
@given(edits([b"PK\x03\x04", b"\x93NUMPY", b"'descr': '|O'", b"\xff\xff\xff\xff"]))
def test_pictures_of_predictions(work, predictions, changes):
    TRIED["predictions"] += 1
    path = work / "predictions.npz"
    path.write_bytes(applied(predictions["predictions.npz"], changes))
    for layout in (pictures.Predicted, pictures.Patches):
        message = told(ResultsError, lambda: pictures._arrays(path, layout))  # noqa: B023
        assert message is None or str(path) in message


def archived() -> bytes:
    archive = io.BytesIO()
    state = {"trainer": {"key": "k", "model": {"w": torch.arange(6.0)}, "history": [{"epoch": 1}]}, "seconds": 1.5}
    torch.save(state, archive)
    return archive.getvalue()


ARCHIVE = archived()
CODE = next(
    zipfile.ZipFile(io.BytesIO(ARCHIVE)).read(name)
    for name in zipfile.ZipFile(io.BytesIO(ARCHIVE)).namelist()
    if name.endswith("data.pkl")
)
OPCODES = [b"cos\nsystem\n", b"cbuiltins\neval\n", b"(lp0\n", b"R", b"b", b"0", b"2", b".", b"\x80\x02", b"}", b"X"]


def with_code(code: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(ARCHIVE)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, code if name.endswith("data.pkl") else old.read(name))
    return out.getvalue()


@inputs(200)
@given(st.sampled_from(["archive", "code", "pickle", "unsealed"]), edits([*OPCODES, b"PK\x05\x06"]))
def test_checkpoints(work, what, changes):
    """Sealed with the digest that fits: what stands between them and the trainer is reading plain data only."""
    TRIED["checkpoints"] += 1
    match what:
        case "code":
            content = with_code(applied(CODE, changes))
        case "pickle":
            content = applied(pickle.dumps({"a": 1}, protocol=2), changes)
        case _:
            content = applied(ARCHIVE, changes)
    path = work / "last.pt"
    path.write_bytes(content + (b"" if what == "unsealed" else hashlib.sha256(content).digest()))
    state = checkpoint.load(path)
    assert state is None or isinstance(state, dict)
    assert path.exists() == (state is not None)


@pytest.fixture(scope="module")
def outbox(work) -> Held:
    journal = Journal(work / "outbox")
    for number in range(3):
        journal.append(STUDY["make_record"](f"k{number}", number=number))
    return Held({RECORDS_FILE: (work / "outbox" / RECORDS_FILE).read_bytes()})


@inputs(120)
@given(edits([b"\n", b"\r", b" ", b"00000000 ", b"\xff", b"{", b"k0"]), st.booleans())
def test_the_outbox(work, outbox, changes, writes):
    """What is read was written, and a write after damage leaves a whole file."""
    TRIED["outbox"] += 1
    folder = work / "outbox"
    for file in folder.iterdir():
        file.unlink()
    (folder / RECORDS_FILE).write_bytes(applied(outbox[RECORDS_FILE], changes))
    known: dict[str, TrialRecord] = {}
    again: dict[str, TrialRecord] = {}

    def use() -> None:
        journal = Journal(folder)
        known.update({record.key: record for record in journal.records()})
        if writes:
            journal.append(STUDY["make_record"]("k9"))
            known["k9"] = STUDY["make_record"]("k9")
        again.update({record.key: record for record in Journal(folder).records()})

    message = told(SweeperError, use)
    if message is not None:
        assert RECORDS_FILE in message
        return
    assert again == known
    assert set(known) <= {"k0", "k1", "k2", "k9"}
    assert all(record == STUDY["make_record"](key, number=record.number) for key, record in known.items())
