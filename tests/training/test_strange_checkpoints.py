"""Checkpoints from strangers, whole by their digest: set aside before they do harm, never run."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from sweeper.training.checkpoint import load, save


class Writes:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def sealed(path: Path, archive: bytes) -> None:
    path.write_bytes(archive + hashlib.sha256(archive).digest())


def archive_of(state: object) -> bytes:
    archive = io.BytesIO()
    torch.save(state, archive)
    return archive.getvalue()


def with_pickle(code: bytes) -> bytes:
    """Return a torch archive whose pickle is `code`."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive_of({"a": torch.zeros(2)}))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, code if name.endswith("data.pkl") else old.read(name))
    return out.getvalue()


@pytest.mark.parametrize("form", ["pickle alone", "within torch's archive", "torch's old format"])
def test_a_pickle_that_would_write_a_file_is_set_aside_unread(tmp_path, form):
    written = tmp_path / "owned"
    evil = pickle.dumps({"key": Writes(written)}, protocol=2)
    path = tmp_path / "last.pt"
    if form == "torch's old format":
        old = io.BytesIO()
        torch.save({"key": Writes(written)}, old, _use_new_zipfile_serialization=False)
        sealed(path, old.getvalue())
    else:
        sealed(path, evil if form == "pickle alone" else with_pickle(evil))
    assert load(path) is None
    assert not written.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt.corrupt"]
    pickle.loads(evil)["key"].close()
    assert written.exists()  # so the pickle is as evil as it should be


def test_an_archive_that_grows_when_unpacked_is_not_unpacked(tmp_path, monkeypatch):
    packed = io.BytesIO()
    whole = io.BytesIO(archive_of({"a": torch.zeros(1_000_000)}))
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    path = tmp_path / "last.pt"
    sealed(path, packed.getvalue())
    assert len(packed.getvalue()) < 100_000
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("unpacked"))
    assert load(path) is None
    assert path.with_name("last.pt.corrupt").exists()


@pytest.mark.parametrize(
    "state",
    [
        {"trainer": {"model": {"w": torch.tensor([0.0, float("nan")])}}},
        {"trainer": {"optimizer": [(torch.tensor(float("inf")),)]}},
        {"trainer": {"model": {"w": torch.zeros(1).expand(10**12)}}},
        [torch.zeros(1)],
    ],
    ids=["NaN weights", "infinite state", "a view of a trillion numbers", "no state"],
)
def test_states_that_no_trial_saves(tmp_path, state):
    save(tmp_path / "last.pt", state)
    assert load(tmp_path / "last.pt") is None
    assert os.listdir(tmp_path) == ["last.pt.corrupt"]


def test_a_state_that_holds_itself_many_times_over_is_read_in_no_time(tmp_path):
    nested: list[object] = [torch.zeros(1)]
    for _ in range(60):
        nested = [nested, nested]
    save(tmp_path / "last.pt", {"nested": nested})
    assert load(tmp_path / "last.pt") is not None


def test_tensors_that_share_memory_are_still_read(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    save(tmp_path / "last.pt", {"row": whole[1], "turned": whole.T, "none": torch.zeros(0), "n": torch.tensor(3)})
    state = load(tmp_path / "last.pt")
    assert state is not None
    torch.testing.assert_close(state["turned"], whole.T)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 100])
def test_short_files(tmp_path, length):
    path = tmp_path / "last.pt"
    sealed(path, b"")
    path.write_bytes((path.read_bytes() + bytes(100))[:length])
    assert load(path) is None
