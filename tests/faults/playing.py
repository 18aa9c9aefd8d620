"""A study from its first start to its last, with everything that befalls it on the way."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.injecting import GONE_SECONDS, Stage, calm, inject
from tests.faults.mlflow_server import MlflowServer
from tests.faults.processes import IDLERS_SECONDS, TRAINERS
from tests.faults.schedule import Injection
from tests.faults.small_disk import SmallDisk
from tests.faults.study import Place, Start, sync
from tests.tracking.fault_proxy import FaultProxy

MOST_STARTS = 12
"""A study that has not come to its end then is not going to."""

START_LIMIT = 600.0
"""Seconds after which a start that has not ended hangs; undisturbed and alone it takes some 20."""

TICK = 0.02
"""Seconds between two looks at a study."""

PYTHON_SECONDS = 3.0
"""Before this a signal may meet Python itself, which ends with a traceback of its own."""


@dataclass(frozen=True)
class Strike:
    """An injection that was carried out."""

    kind: str
    what: str
    start: int
    """At which start of the study, from 1."""
    seconds: float
    """After that start."""
    recorded: int
    """Trials in the journal then."""


@dataclass
class Story:
    """What became of a study."""

    strikes: list[Strike] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    """Exit codes of its starts."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        return bool(self.codes) and self.codes[-1] == 0


@dataclass(frozen=True)
class World:
    """What all studies share: the study file, and an MLflow server behind a proxy that may misbehave."""

    study: Path
    server: MlflowServer
    proxy: FaultProxy

    @classmethod
    def make(cls, folder: Path, yaml: str) -> World:
        folder.mkdir(parents=True, exist_ok=True)
        study = folder / "study.yaml"
        study.write_text(yaml, encoding="utf-8")
        server = MlflowServer(folder / "mlflow")
        server.start()
        server.wait_until_up()
        return cls(study, server, FaultProxy(server.port).__enter__())

    def close(self) -> None:
        calm(self.proxy)
        self.proxy.__exit__()
        self.server.kill()

    def play(
        self, place: Place, experiment: str, schedule: Sequence[Injection] = (), disk: SmallDisk | None = None
    ) -> Story:
        """Run the study, let the schedule befall it, and start it again until it ends."""
        story = Story()
        pending = list(schedule)
        began = time.monotonic()
        try:
            while not story.ended and len(story.codes) < MOST_STARTS and not story.problems:
                self._play_start(place, experiment, pending, disk, story)
            left = place.processes.wait_until_gone(IDLERS_SECONDS if story.ended else 0.0)
            story.problems += [f"outlives the study by {IDLERS_SECONDS:g} s: {line}" for line in left if story.ended]
        finally:
            self.server.start()
            place.processes.kill()
        if story.ended:
            self.server.wait_until_up()
            said = sync(place)
            story.problems += [f"sweeper sync: {said}"] if said else []
        elif not story.problems:
            story.problems.append(f"not at its end after {len(story.codes)} starts")
        story.seconds = round(time.monotonic() - began, 1)
        return story

    def _play_start(
        self, place: Place, experiment: str, pending: list[Injection], disk: SmallDisk | None, story: Story
    ) -> None:
        self.server.start()
        self.server.wait_until_up()
        number = len(story.codes) + 1
        turn = _Turn(Stage(place, Start(place, self.study, self.proxy.uri, experiment), self.server, self.proxy, disk))
        try:
            while turn.stage.start.code is None and turn.seconds < START_LIMIT:
                turn.stage.due()
                for one in [one for one in pending if turn.is_due(one)]:
                    if (strike := turn.strike(one, number)) is not None:
                        pending.remove(one)
                        story.strikes.append(strike)
                time.sleep(TICK)
        finally:
            story.codes.append(turn.end())
        story.problems += turn.problems
        shutil.copy(turn.stage.start.said, place.temporary / f"said-{number}.txt")


class _Turn:
    """One start of a study and what befalls it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.problems: list[str] = []
        self._began = time.monotonic()
        self._before = len(stage.place.recorded())
        self._reached: dict[int, float] = {}
        """When a number of recorded trials was first seen to be reached, in seconds."""
        self._allowed = {0}
        """Exit codes that may be."""
        self._early = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def is_due(self, one: Injection) -> bool:
        """Whether the time of an injection has come."""
        if len(self.stage.place.recorded()) < one.trials:
            return False
        reached = self._reached.setdefault(one.trials, self.seconds)
        return self.seconds - reached >= (one.late if one.trials <= self._before else one.delay)

    def strike(self, one: Injection, number: int) -> Strike | None:
        """Carry out an injection, if there is what it hits."""
        seconds, recorded = self.seconds, len(self.stage.place.recorded())
        if self.stage.start.code is not None or (done := inject(one, self.stage)) is None:
            return None
        self._allowed |= done.codes
        self._early = self._early or seconds < PYTHON_SECONDS
        return Strike(done.kind or one.kind, done.what, number, round(seconds, 2), recorded)

    def end(self) -> int:
        """End all faults, see that everything ended that should, and return the exit code."""
        start, processes = self.stage.start, self.stage.place.processes
        self.stage.restore()
        if start.code is None:
            self.problems.append(f"it still ran after {self.seconds:.0f} s: {start.output[-1500:]}")
            processes.kill()
        code = start.process.wait()
        self.problems += _complaints(start.output, code, self._allowed, self._early)
        left = processes.wait_until_gone(GONE_SECONDS, TRAINERS)
        self.problems += [f"outlives its driver (exit code {code}) by {GONE_SECONDS:g} s: {line}" for line in left]
        return code


def _complaints(output: str, code: int, allowed: set[int], early: bool) -> list[str]:
    found = []
    if code not in allowed:
        words = ", ".join(map(str, sorted(allowed)))
        found.append(f"exit code {code}, where {words} may be: {output[-1500:]}")
    if "Traceback" in output and not (early and code in (-signal.SIGINT, 128 + signal.SIGINT)):
        found.append(f"a traceback: {output[output.index('Traceback') :][-3000:]}")
    return found
