"""Small files of a run folder that hold rubbish: read as never written, or named; never a traceback."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sweeper.errors import ResultsError, RunFolderError
from sweeper.orchestration.cluster import Slots, note_slot, noted_slot
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.kept_models import read_description
from sweeper.orchestration.needs import keep_reports, kept_reports
from sweeper.orchestration.publish import read_identity

RUBBISH = [
    b"",
    b"\x00\xff\x80",
    b"{",
    b"null",
    b"3",
    b'"word"',
    b"[]",
    b"[3]",
    b'[{"cpu": "x"}]',
    b"{}",
    b'{"data": 3}',
    b'{"data": {"mask_autoencoder": 3}}',
    b'{"data": {"mask_autoencoder": {"error": 1}}}',
]


@pytest.fixture(params=RUBBISH, ids=repr)
def rubbish(request, tmp_path: Path) -> Path:
    path = tmp_path / "file.json"
    path.write_bytes(request.param)
    return path


def test_slots(rubbish):
    empty = rubbish.read_bytes() == b"[]"
    assert noted_slot(rubbish) is None
    note_slot(rubbish, Slots(cpu=2, gpu=0.5, concurrent=1), anew=False)
    # What the trials of before took is not known, unless the file says that there were none.
    assert noted_slot(rubbish) == ({"cpu": 2, "gpu": 0.5} if empty else None)
    assert {"cpu": 2, "gpu": 0.5} in json.loads(rubbish.read_bytes())


def test_artefacts(rubbish):
    report = {"error": "mean error", "validation_error": 0.1, "chance_error": 0.5}
    assert kept_reports(rubbish, "data", ["mask_autoencoder"]) == {}
    keep_reports(rubbish, "data", {"mask_autoencoder": report})
    assert kept_reports(rubbish, "data", ["mask_autoencoder"]) == {"mask_autoencoder": report}


def test_identity(rubbish):
    folder = RunFolder(rubbish.parent)
    rubbish.rename(folder.meta)
    with pytest.raises(RunFolderError, match="is no run folder"):
        read_identity(folder)


def test_a_kept_model(rubbish, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    with pytest.raises(ResultsError, match=r"file\.json: is damaged"):
        read_description(rubbish, tmp_path / "model.pt")


def test_the_weights_of_a_kept_model_are_checked_against_their_digest(tmp_path):
    described = {"channels": 3, "classes": [], "background": 0, "offset": 0.0, "patch": 32}
    weights, file = tmp_path / "model.pt", tmp_path / "model.json"
    weights.write_bytes(b"weights")
    file.write_text(json.dumps({**described, "sha256": hashlib.sha256(b"weights").hexdigest()}))
    assert read_description(file, weights) == described
    weights.write_bytes(b"weightz")
    with pytest.raises(ResultsError, match=r"model\.pt: is damaged \(its digest is not the one in model\.json\)"):
        read_description(file, weights)
    file.write_text(json.dumps(described))
    assert read_description(file, weights) == described, "of before there were digests"
