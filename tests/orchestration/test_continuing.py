"""A run folder is continued by its own study, or by one that keeps what is recorded; any other is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from sweeper.data.patches import Prepared
from sweeper.data.prepare import prepare
from sweeper.data.settings import RasterLog
from sweeper.errors import ChangedStudy, TrackingError
from sweeper.orchestration.continuing import Past, left_out
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.publish import target_of, write_identity
from sweeper.orchestration.run import _check_tracking
from sweeper.search.sweep import Sweep
from sweeper.study.load import load_study
from sweeper.study.schema import Study
from sweeper.tracking.door import TrackerUnreachable
from sweeper.tracking.log import ChecksummedLog

from ..search.test_sweep import drive, make

STUDY = {
    "name": "mine",
    "families": {"dice": {}, "tversky": {}},
    "imbalance": {"levels": [0.95, 0.97]},
    "data": {"patch": 32, "limit": 16, "scans": 10},
    "search": {"trials": 3},
}


def study(*overrides: str) -> Study:
    return load_study(STUDY, overrides=overrides)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(cache) -> Prepared:
    return prepare(RasterLog(patch=32, limit=16, scans=10), cache)


@pytest.fixture
def folder(tmp_path, data) -> RunFolder:
    """A run folder with two recorded trials."""
    folder = RunFolder(tmp_path / "mine")
    folder.create()
    meta = {"data": {"fingerprint": data.fingerprint}}
    write_identity(folder, target_of(study(), meta, folder))
    log = ChecksummedLog(folder.outbox / "trials.log")
    log.append("one", "{}")
    log.append("two", "{}")
    return folder


def test_a_changed_study_is_refused_key_by_key(folder):
    past = Past.of(folder)
    changed = study("training.epochs=7", "families.tversky.alpha=0.4", "search.trials=5")
    with pytest.raises(ChangedStudy) as refusal:
        past.admit(changed)
    text = str(refusal.value)
    breaking, _, rest = text.partition("this alone would continue it:")
    assert f"{folder.path}: holds 2 recorded trials" in breaking
    assert "\n  training.epochs: 30 → 7\n" in breaking
    assert "  families.tversky.alpha: " in breaking
    assert "\n  search.trials: 3 → 5\n" in rest
    assert "another name (--set name=…) or another folder (--out)" in rest
    assert refusal.value.exit_code == 2


def test_an_extended_study_is_told_what_it_adds(folder, data, cache):
    past = Past.of(folder)
    extended = study("search.trials=5", "families.focal={}", "resources.cpu=2")
    past.admit(extended)
    past.admit_data(extended, data, cache)
    (line,) = past.news(extended)
    assert line.startswith("extended: families.focal: nothing → ")
    assert "; search.trials: 3 → 5. None of the 2 recorded trials runs again" in line
    assert "resources" not in line


def test_a_narrowed_study_is_told_what_no_longer_counts(folder):
    past = Past.of(folder)
    narrow = study("imbalance.levels=[0.97]")
    past.admit(narrow)
    (line,) = past.news(narrow)
    assert line.startswith("narrowed: imbalance.levels: [0.95, 0.97] → [0.97].")


def test_the_same_study_is_nothing_to_speak_of(folder):
    past = Past.of(folder)
    past.admit(study())
    assert past.news(study()) == []


def test_as_long_as_nothing_is_recorded_all_may_change(folder, data, cache):
    (folder.outbox / "trials.log").unlink()
    past = Past.of(folder)
    past.admit(study("training.epochs=7"))
    past.admit_data(study(), other(data), cache)
    assert past.news(study("training.epochs=7")) == []


def test_a_folder_that_is_not_there_yet_is_left_alone(tmp_path):
    past = Past.of(RunFolder(tmp_path / "new"))
    past.admit(study())
    assert past.news(study()) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"families: [", b"families: 3", b"- a", b"families: {dice: 9}"])
def test_a_damaged_study_file_is_said_and_stops_nothing(folder, content):
    folder.study.write_bytes(content)
    past = Past.of(folder)
    past.admit(study("training.epochs=7"))
    (line,) = past.news(study())
    assert line.startswith("whether the study changed since its last start cannot be told: ")
    assert "study.yaml" in line


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": 1, "tracking_uri": 2, "experiment": 3, "meta": 4}'])
def test_a_damaged_meta_file_stops_nothing(folder, data, cache, content):
    folder.meta.write_text(content)
    Past.of(folder).admit_data(study(), other(data), cache)


def other(data: Prepared) -> Prepared:
    """The same data but for one pixel of the first training picture."""
    train = data.splits["train"]
    images = np.array(train.images)
    images[0, 0, 0] ^= 1
    splits = {**data.splits, "train": dataclasses.replace(train, images=images)}
    return dataclasses.replace(data, fingerprint="0123456789abcdef", splits=splits)


def test_other_pictures_are_refused_by_name(folder, data, cache):
    with pytest.raises(ChangedStudy) as refusal:
        Past.of(folder).admit_data(study(), other(data), cache)
    text = str(refusal.value)
    assert f"fingerprint {data.fingerprint}, now 0123456789abcdef" in text
    first = data.splits["train"].stems[data.splits["train"].picture[0]]
    assert f"\n  changed in train: {first}\n" in text


def test_other_data_settings_are_named(folder, data, cache):
    with pytest.raises(ChangedStudy, match=r"data\.scans: 10 → 12"):
        Past.of(folder).admit_data(study("data.scans=12"), other(data), cache)


def test_where_the_former_data_is_gone_that_is_said(folder, data, tmp_path):
    with pytest.raises(ChangedStudy, match="which pictures changed cannot be told"):
        Past.of(folder).admit_data(study(), other(data), tmp_path)


def test_the_password_of_an_address_does_not_show(folder):
    past = Past.of(folder)
    with pytest.raises(ChangedStudy) as refusal:
        past.admit(study("tracking.uri=http://ann:hunter2@mlflow.example:5000", "training.epochs=7"))
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in json.dumps([str(one) for one in past.changes(study("tracking.uri=http://a:hunter2@b:1"))])


def test_trials_of_another_version_are_counted():
    whole, _ = drive(make(), seed=1)
    records = list(whole.recorded.values())
    assert left_out(Sweep(make(), records)) is None
    assert left_out(Sweep(make(trials=4), records)) is None, "fewer trials were asked for"
    made = [
        dataclasses.replace(one, key=f"{one.key}-of-another-version") if one.family == "focal" else one
        for one in records
    ]
    told = left_out(Sweep(make(), made))
    assert told is not None
    assert told.startswith("6 recorded trials of focal no longer count, and run again")


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


NOBODY = "http://user:secret@127.0.0.1:9"
"""Where nothing listens: the port of the discard service."""


def test_mlflow_that_is_away_stops_no_study_that_used_it_before(tmp_path, data):
    folder, told = RunFolder(tmp_path / "mine"), Told()
    folder.create()
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        _check_tracking(NOBODY, Past.of(folder), told)
    tracked = study(f"tracking.uri={NOBODY}")
    write_identity(folder, target_of(tracked, {"data": {"fingerprint": data.fingerprint}}, folder))
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        _check_tracking(NOBODY, Past.of(folder), told)  # nothing was ever recorded: the address may be wrong
    ChecksummedLog(folder.outbox / "trials.log").append("one", "{}")
    assert told.notes == []
    _check_tracking(NOBODY, Past.of(folder), told)
    assert "sent when that answers" in told.notes[0]
    assert "secret" not in told.notes[0]
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        _check_tracking("http://127.0.0.1:13", Past.of(folder), told)


def test_a_server_that_answers_with_an_error_will_be_well_again(tmp_path, monkeypatch):
    def failing(uri: str) -> None:
        raise TrackerUnreachable(f"{uri}: HTTP 500")

    told = Told()
    monkeypatch.setattr("sweeper.tracking.uri.check", failing)
    _check_tracking(NOBODY, Past.of(RunFolder(tmp_path)), told)
    assert "The study goes on" in told.notes[0]
