"""A file system of a few megabytes, to be filled."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

MEGABYTES = 256
"""Enough for a small study with its checkpoints, kept models and report."""

FILLER = "filler"


class SmallDisk:
    """A tmpfs; only root can make one."""

    def __init__(self, folder: Path) -> None:
        """Mount it at `folder`, which is made.

        Raises: OSError where that is not allowed.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"no small file system can be mounted: {done.stderr.strip()}")

    def fill(self) -> None:
        """Take every byte that is left."""
        with suppress(OSError), (self.folder / FILLER).open("ab", buffering=0) as file:
            for size in (2**20, 4096, 1):
                with suppress(OSError):
                    while file.write(b"\0" * size):
                        pass

    def free(self) -> None:
        (self.folder / FILLER).unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)


def can_mount(folder: Path) -> str | None:
    """Return why no small file system can be had, None where one can."""
    try:
        disk = SmallDisk(folder)
    except OSError as error:
        return str(error)
    disk.unmount()
    return None
