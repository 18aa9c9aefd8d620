"""A full disk is one clear message, whoever met it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sweeper.errors import DiskFull
from sweeper.orchestration.disk import full_disk_told


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_file_is_named_and_what_to_do(number):
    with pytest.raises(DiskFull) as told, full_disk_told(Path("runs/mine")):
        raise OSError(number, "No room", "runs/mine/results/trials.parquet")
    assert str(told.value).startswith("runs/mine/results/trials.parquet: no room to write (No room)")
    assert "give the same command again" in str(told.value)
    assert told.value.exit_code == 1


def tune_fails() -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise RuntimeError("Tune failed") from error


def test_a_full_disk_behind_another_error_is_found():
    with pytest.raises(DiskFull, match=r"^runs/mine: "), full_disk_told(Path("runs/mine")):
        tune_fails()


def test_other_errors_are_what_they_were():
    with pytest.raises(PermissionError), full_disk_told(Path("runs/mine")):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(ValueError, match="nothing"), full_disk_told(Path("runs/mine")):
        raise ValueError("nothing to do with it")
