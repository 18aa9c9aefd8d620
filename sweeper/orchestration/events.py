"""What a run tells whoever watches it. The command line draws it; a notebook may listen too."""

from __future__ import annotations

from typing import Protocol

from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Proposal, Sweep


class Listener(Protocol):
    """Called on the driver, between trials; must return quickly."""

    def note(self, text: str) -> None:
        """Take a line worth reading once."""

    def preparing(self, done: int, total: int, what: str) -> None:
        """Take the progress of preparing data."""

    def planned(self, sweep: Sweep, concurrent: int) -> None:
        """Take the sweep before its first trial."""

    def started(self, proposal: Proposal) -> None:
        """Take a trial that was handed out."""

    def epoch(self, proposal: Proposal, epoch: int, score: float | None) -> None:
        """Take one epoch of a running trial and its validation score."""

    def finished(self, record: TrialRecord) -> None:
        """Take a trial that ended and is recorded."""

    def close(self) -> None:
        """Stop drawing."""


class Silent:
    """Listens to everything and says nothing."""

    def note(self, text: str) -> None:
        pass

    def preparing(self, done: int, total: int, what: str) -> None:
        pass

    def planned(self, sweep: Sweep, concurrent: int) -> None:
        pass

    def started(self, proposal: Proposal) -> None:
        pass

    def epoch(self, proposal: Proposal, epoch: int, score: float | None) -> None:
        pass

    def finished(self, record: TrialRecord) -> None:
        pass

    def close(self) -> None:
        pass
