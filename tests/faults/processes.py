"""The processes of one study, found by a mark in their environment: no other study's are ever touched."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

VARIABLE = "SWEEPER_FAULTS_MARK"

TRAINERS = (b"ray::ResourceTrainable", b"ray::TrialActor")
"""How Ray names processes that run trials."""

RAYLET = (b"raylet/raylet",)

IDLERS_SECONDS = 120.0
"""How long Ray's agents of a node that is gone go on looking for it (up to a minute); they train nothing."""


class Marked:
    """All processes that inherited the mark, also those whose parent is gone."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be started with."""
        return {VARIABLE: self.mark}

    def find(self, names: tuple[bytes, ...] = ()) -> list[int]:
        """Return the processes, by age; only those whose command holds one of `names`, where names are given."""
        needle = f"{VARIABLE}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):  # it ended meanwhile
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    program = (entry / "cmdline").read_bytes().split(b"\0")[0]
                    if not names or any(name in program for name in names):
                        found.append(int(entry.name))
        return sorted(found)

    def wait_until_gone(self, seconds: float, names: tuple[bytes, ...] = ()) -> list[str]:
        """Wait until all have ended, or those of `names`; return the command lines of those that have not."""
        wait(lambda: not self.find(names), seconds)
        return [line for pid in self.find(names) if (line := command_line(pid))]

    def kill(self) -> None:
        """End whatever is left."""
        for pid in self.find():
            send(pid, signal.SIGKILL)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; return whether there was still somebody to take it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def command_line(pid: int) -> str:
    """Return a process's command line in one line, empty when it has ended."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return ""


def wait(condition: Callable[[], bool], seconds: float, *, pause: float = 0.05) -> bool:
    """Wait until a condition holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True
