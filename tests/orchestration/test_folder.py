"""The run folder: one driver at a time, and folders that cannot be used are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import RunFolderError
from sweeper.orchestration.folder import Lease, RunFolder, check_writable


def test_a_second_driver_is_refused_and_told_who_is_first(tmp_path: Path):
    folder = RunFolder(tmp_path)
    with Lease(folder):
        code = (
            "import sys\nfrom pathlib import Path\nfrom sweeper.orchestration.folder import Lease, RunFolder\n"
            "from sweeper.errors import RunFolderError\n"
            "try:\n    Lease(RunFolder(Path(sys.argv[1]))).__enter__()\n"
            "except RunFolderError as error:\n    print(error)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        assert f"process {os.getpid()}" in done.stdout
    with Lease(folder):
        pass


def test_a_dead_driver_holds_no_lease(tmp_path: Path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom sweeper.orchestration.folder import Lease, RunFolder\n"
        "Lease(RunFolder(Path(sys.argv[1]))).__enter__()\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with Lease(RunFolder(tmp_path)):
        pass


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="is a file"):
        check_writable(tmp_path / "file" / "runs")
