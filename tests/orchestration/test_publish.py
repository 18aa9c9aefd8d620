"""What a run folder keeps of a tracking address: never its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import RunFolderError
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.publish import read_target, sync_run, target_of, write_identity
from sweeper.study.load import load_study

URI = "http://ann:hunter2@mlflow.example:5000"


def test_the_password_of_an_address_is_not_written(tmp_path: Path):
    study = load_study({"families": ["dice"], "tracking": {"uri": URI}})
    folder = RunFolder(tmp_path)
    write_identity(folder, target_of(study, {"study": {}}, folder))
    written = folder.study.read_text() + folder.meta.read_text()
    assert "hunter2" not in written
    assert load_study(folder.study).families == study.families
    assert read_target(folder).uri == "http://mlflow.example:5000"


def test_a_moved_folder_keeps_its_own_store(tmp_path: Path):
    old, new = RunFolder(tmp_path / "old"), RunFolder(tmp_path / "new")
    write_identity(old, target_of(load_study({"families": ["dice"]}), {}, old))
    old.path.rename(new.path)
    assert read_target(new).uri == f"sqlite:///{new.path / 'mlflow.db'}"


def test_a_relative_store_is_found_from_anywhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run")
    study = load_study({"families": ["dice"], "tracking": {"uri": "sqlite:///own.db"}})
    write_identity(folder, target_of(study, {}, folder))
    monkeypatch.chdir("/")
    assert read_target(folder).uri == f"sqlite:///{tmp_path / 'own.db'}"


def test_the_address_itself_is_used_whole(tmp_path: Path):
    study = load_study({"families": ["dice"], "tracking": {"uri": URI, "experiment": "mine"}})
    target = target_of(study, {}, RunFolder(tmp_path))
    assert (target.uri, target.experiment) == (URI, "mine")
    assert "hunter2" not in target.info.yaml


def test_without_an_address_the_store_is_in_the_run_folder(tmp_path: Path):
    target = target_of(load_study({"families": ["dice"]}), {}, RunFolder(tmp_path))
    assert target.uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(RunFolderError, match="no run folder"):
        sync_run(tmp_path)
