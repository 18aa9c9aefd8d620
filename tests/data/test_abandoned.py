"""What killed processes leave in the cache of prepared data is removed; what another process is at is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from sweeper.data import cache
from sweeper.data.cache import scratch
from sweeper.files import write_text

HOLD = """
import sys, time
from pathlib import Path
from sweeper.data.cache import scratch
with scratch(Path(sys.argv[1]), ".preparing-") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that is at work in a scratch folder."""
    command = [sys.executable, "-c", HOLD, str(parent)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_folder_of_a_killed_process_goes_and_of_a_running_one_stays(tmp_path):
    (killed, left), (running, kept) = hold(tmp_path), hold(tmp_path)
    try:
        killed.kill()
        killed.communicate()
        for folder in (left, kept):
            write_text(folder / "half.images", "")
            age(folder, 10 * cache.ABANDONED_SECONDS)
        with scratch(tmp_path, ".preparing-"):
            assert not left.exists()
            assert (kept / "half.images").exists()
    finally:
        running.communicate("")
    assert running.returncode == 0
    assert not kept.exists()


def test_a_folder_that_may_not_be_locked_yet_stays(tmp_path):
    (young := tmp_path / ".preparing-young").mkdir()
    with scratch(tmp_path, ".preparing-"):
        assert young.exists()
    age(young, 2 * cache.FRESH_SECONDS)
    with scratch(tmp_path, ".preparing-"):
        assert not young.exists()


def test_without_locks_age_decides(tmp_path, monkeypatch):
    def refuse(*unused: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(cache.fcntl, "flock", refuse)
    young, old = tmp_path / ".preparing-young", tmp_path / ".preparing-old"
    for folder, seconds in ((young, cache.ABANDONED_SECONDS / 2), (old, 2 * cache.ABANDONED_SECONDS)):
        folder.mkdir()
        age(folder, seconds)
    with scratch(tmp_path, ".preparing-"):
        assert young.exists()
        assert not old.exists()


def test_old_half_written_files_go(tmp_path):
    young, old, other = (
        tmp_path / "found" / name for name in (".a.json.abcd1234.tmp", ".b.json.abcd1234.tmp", ".b.tmp")
    )
    for file in (young, old, other):
        write_text(file, "")
    for file in (old, other):
        age(file, 2 * cache.ABANDONED_SECONDS)
    with scratch(tmp_path, ".preparing-"):
        assert young.exists()
        assert other.exists()
        assert not old.exists()
