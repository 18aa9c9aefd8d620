"""Stopping a study from outside: the first signal lets running epochs finish, the second ends everything at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []))
"""Ctrl-C; what clusters send to end a job; what Slurm sends ahead of a time limit."""

ANNOUNCEMENT = "finishing the running epochs; press Ctrl-C again to stop at once"


class Stop:
    """Whether the study was asked to stop. Outside `orderly` there is nothing to finish, so it stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._orderly = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen to the signals, also where a library has just taken them for itself; in the main thread only.

        Raises: KeyboardInterrupt when the study is to stop at once.
        """
        before = self.listen()
        try:
            yield
        except SystemExit as exit:
            if exit.code != signal.SIGTERM:
                raise
            # While Ray starts, SIGTERM is Ray's.
            raise KeyboardInterrupt from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> dict[int, Any]:
        """Take the signals from whoever has them, and return whose they were."""
        try:
            return {number: signal.signal(number, self._take) for number in SIGNALS}
        except ValueError:  # not the main thread: whoever embeds sweeper handles signals
            return {}

    @contextmanager
    def orderly(self) -> Iterator[None]:
        """Take the first signal as a wish, for whoever looks at `asked`."""
        self._orderly = True
        try:
            yield
        finally:
            self._orderly = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if not (first and self._orderly):
            raise KeyboardInterrupt
