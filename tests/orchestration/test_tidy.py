"""What killed processes leave in a run folder is removed at the next start; what is of use stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.files import write_text
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import trouble_path
from sweeper.orchestration.tidy import forget_unfinished, tidy
from sweeper.orchestration.trial_outcome import outcome_path

KILLED = """
import os, sys
from pathlib import Path
from sweeper import files
os.fsync = lambda handle: os.kill(os.getpid(), 9)  # in the middle of the write
files.write_text(Path(sys.argv[1]), "half")
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return folder


def files(folder: RunFolder) -> set[str]:
    return {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}


def test_half_written_files_are_removed(folder):
    places = ["study.yaml", "results/trials.parquet", "trials/key/outcome.json", "report/figures/a.svg"]
    for place in places:
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder.path / place)], check=False)
        assert done.returncode == -9
    assert len(files(folder)) == len(places)
    tidy(folder, [])
    assert files(folder) == set()


def test_what_others_write_is_left_alone(folder):
    kept = {"artifacts/0/.model.abcdefgh.tmp", "mlflow.db", "panels/.hidden.tmp", "trials/key/notes.tmp"}
    for name in kept:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).touch()
    tidy(folder, [])
    assert files(folder) == kept


def test_recorded_trials_keep_panels_and_models_only(folder):
    for key in ("recorded", "running"):
        write_text(folder.checkpoints / key / "last.pt", "")
        write_text(outcome_path(folder, key), "")
        write_text(trouble_path(folder, key), "")
    write_text(folder.trials / "recorded" / "model.pt", "")
    write_text(folder.trials / "recorded" / "outcome.json.corrupt", "")
    write_text(folder.scratch / "experiment" / "state.json", "")
    tidy(folder, ["recorded"])
    assert files(folder) == {
        "checkpoints/running/last.pt",
        "trials/recorded/model.pt",
        "trials/running/outcome.json",
        "trials/running/trouble.txt",
    }


def test_a_study_that_is_done_keeps_no_checkpoint(folder):
    write_text(folder.checkpoints / "of an earlier setting" / "last.pt", "")
    write_text(folder.checkpoints / "of an earlier setting" / "last.pt.corrupt", "")
    forget_unfinished(folder)
    assert list(folder.checkpoints.iterdir()) == []
