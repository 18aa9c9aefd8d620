"""How long a running trial may show no progress before its worker is taken to hang.

A step is what a worker does between two reports: its start with the first epoch, a later epoch, or the final scoring.
It may take many times as long as the slowest like it that was seen of the same family and stage. Of what nobody has
seen yet nothing is known, so the first of each kind gets a fixed time, long enough for any that is not stuck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FACTOR = 10.0
"""Times the slowest step of its kind: trials that share a machine slow each other down, but not that much."""

LEAST_SECONDS = 300.0
"""A step is never taken to hang before: a network file system may be away for minutes."""

FIRST_SECONDS = 7200.0
"""For the first step of each kind."""

BLINK_SECONDS = 30.0
"""The longest time between two looks that counts. In a longer one the driver itself was away, stopped in its terminal
for example, and perhaps its workers with it."""

Kind = Literal["start", "epoch", "score"]


@dataclass
class _Step:
    family: str
    stage: str
    kind: Kind
    since: float

    @property
    def peers(self) -> tuple[str, str, Kind]:
        return self.family, self.stage, self.kind


class Patience:
    """With all running trials. Times are seconds of one clock that only goes forward.

    Args:
        seconds: The limit of every step, or `auto` to learn it.
    """

    def __init__(self, seconds: float | Literal["auto"]) -> None:
        self._seconds = seconds
        self._steps: dict[str, _Step] = {}
        self._slowest: dict[tuple[str, str, Kind], float] = {}
        self._looked: float | None = None

    def begin(self, key: str, family: str, stage: str, now: float) -> None:
        """Take that a trial starts, or starts again."""
        self._steps[key] = _Step(family, stage, "start", now)

    def progress(self, key: str, following: Kind, now: float) -> None:
        """Take that a trial finished a step and begins the `following` one."""
        step = self._steps.get(key)
        if step is not None:
            self._slowest[step.peers] = max(self._slowest.get(step.peers, 0.0), now - step.since)
            self._steps[key] = _Step(step.family, step.stage, following, now)

    def end(self, key: str) -> None:
        """Forget a trial that does not run any more."""
        self._steps.pop(key, None)

    def overdue(self, now: float) -> dict[str, float]:
        """Return the trials whose step takes too long, each with its limit. To be called every few seconds."""
        if self._looked is not None:
            away = now - self._looked - BLINK_SECONDS
            for step in self._steps.values():
                step.since += max(0.0, away)
        self._looked = now
        limits = {key: self._limit(step) for key, step in self._steps.items()}
        return {key: limit for key, limit in limits.items() if now - self._steps[key].since > limit}

    def _limit(self, step: _Step) -> float:
        if self._seconds != "auto":
            return self._seconds
        slowest = self._slowest.get(step.peers)
        return FIRST_SECONDS if slowest is None else max(LEAST_SECONDS, FACTOR * slowest)
