"""What a run folder keeps of a tracking address: never its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import RunFolderError
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.publish import sync_run, target_of, write_identity
from sweeper.study.load import load_study

URI = "http://ann:hunter2@mlflow.example:5000"


def test_the_password_of_an_address_is_not_written(tmp_path: Path):
    study = load_study({"families": ["dice"], "tracking": {"uri": URI}})
    folder = RunFolder(tmp_path)
    write_identity(folder, study, {"study": {}})
    written = folder.study.read_text() + folder.meta.read_text()
    assert "mlflow.example" in written
    assert "hunter2" not in written
    assert load_study(folder.study).families == study.families


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
