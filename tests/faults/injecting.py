"""Carrying out injections on a running study."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import damage
from tests.faults.mlflow_server import MlflowServer
from tests.faults.processes import RAYLET, TRAINERS, send, wait
from tests.faults.schedule import Injection
from tests.faults.small_disk import SmallDisk
from tests.faults.study import Place, Start
from tests.tracking.fault_proxy import FaultProxy, mixture

INTERRUPTED = frozenset({75, -signal.SIGTERM, -signal.SIGINT, 130})
"""The agreed exit code, and those of a process that is signalled before it has begun."""

KILLED = frozenset({-signal.SIGKILL})
STOPPED = frozenset({1})
"""The study stopped by itself, with a message that says how to go on."""

GONE_SECONDS = 30.0
"""How long processes that train may take to notice that their driver was killed."""

WRITE_SECONDS = 20.0
"""How long to wait for the sight of a write."""

OUTCOME_SECONDS = 20.0


@dataclass
class Stage:
    """A study while it runs, with all that may befall it."""

    place: Place
    start: Start
    server: MlflowServer
    proxy: FaultProxy
    """Between the study and the server."""
    disk: SmallDisk | None
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """What is to be done at which time (`time.monotonic`): every fault passes."""

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        self.later.append((time.monotonic() + seconds, action))

    def restore(self) -> None:
        """End every fault that lasts."""
        while self.later:
            self.later.pop(0)[1]()
        calm(self.proxy)
        self.server.start()
        if self.disk is not None:
            self.disk.free()

    def due(self) -> None:
        """Do what has become due."""
        now = time.monotonic()
        for one in [one for one in self.later if one[0] <= now]:
            self.later.remove(one)
            one[1]()


@dataclass(frozen=True)
class Done:
    """An injection that was carried out."""

    what: str
    codes: frozenset[int] = frozenset()
    """Exit codes that the start may have because of it, beside 0."""
    kind: str | None = None
    """As what it counts, where that is not what was meant: a checkpoint that is not there cannot be damaged."""


def inject(one: Injection, stage: Stage) -> Done | None:
    """Carry out an injection; None where there was nothing to hit, so that it counts for nothing."""
    return ACTIONS[one.kind](stage, random.Random(one.dice))


def _kill_worker(stage: Stage, rng: random.Random) -> Done | None:
    worker = _worker(stage, rng)
    if worker is None or not send(worker, signal.SIGKILL):
        return None
    return Done(f"process {worker}")


def _kill_worker_with_checkpoint(stage: Stage, rng: random.Random) -> Done | None:
    worker = _worker(stage, rng)
    if worker is None or not send(worker, signal.SIGSTOP):
        return None
    done = _damage_checkpoint(stage.place.run, rng)
    send(worker, signal.SIGKILL)
    return done or Done(f"process {worker}", kind="worker killed")


def _stop_worker(stage: Stage, rng: random.Random) -> Done | None:
    worker = _worker(stage, rng)
    if worker is None or not send(worker, signal.SIGSTOP):
        return None
    seconds = rng.uniform(0.5, 5.0)
    stage.after(seconds, lambda: send(worker, signal.SIGCONT))
    return Done(f"process {worker} for {seconds:.1f} s")


def _kill_raylet(stage: Stage, rng: random.Random) -> Done | None:
    raylets = stage.place.processes.find(RAYLET)
    if not raylets or not send(raylets[0], signal.SIGKILL):
        return None
    return Done(f"process {raylets[0]}", STOPPED)


def _kill_driver(stage: Stage, rng: random.Random) -> Done | None:
    if not send(stage.start.pid, signal.SIGKILL):
        return None
    stage.start.process.wait()
    return Done("", KILLED)


def _kill_driver_writing(stage: Stage, rng: random.Random) -> Done | None:
    journal = stage.place.journal
    before = _size(journal)
    seen: list[Path] = []

    def writing() -> bool:
        seen[:] = list(_temporary_files(stage.place.run)) or ([journal] if _size(journal) != before else [])
        return bool(seen) or stage.start.code is not None

    wait(writing, WRITE_SECONDS, pause=0.0005)
    if not seen or _kill_driver(stage, rng) is None:
        return None
    return Done(f"at the sight of {seen[0].name}", KILLED)


def _interrupt(stage: Stage, rng: random.Random) -> Done | None:
    return _signal_group(stage, times=1)


def _interrupt_twice(stage: Stage, rng: random.Random) -> Done | None:
    return _signal_group(stage, times=2, pause=rng.uniform(0.05, 1.0))


def _signal_group(stage: Stage, *, times: int, pause: float = 0.0) -> Done | None:
    for count in range(times):
        if count:
            wait(lambda: stage.start.code is not None, pause)
        if stage.start.code is not None:
            return Done("ended before the second", INTERRUPTED) if count else None
        os.killpg(stage.start.pid, signal.SIGINT)
    return Done("", INTERRUPTED)


def _terminate(stage: Stage, rng: random.Random) -> Done | None:
    return Done("", INTERRUPTED) if send(stage.start.pid, signal.SIGTERM) else None


def _restart_mlflow(stage: Stage, rng: random.Random) -> Done | None:
    seconds = rng.uniform(0.0, 8.0)
    stage.server.kill()
    stage.after(seconds, stage.server.start)
    return Done(f"down for {seconds:.1f} s and the time it takes to start")


def _be_away(stage: Stage, rng: random.Random) -> Done | None:
    if stage.proxy.gone:
        return None
    seconds = rng.uniform(2.0, 10.0)
    stage.proxy.refuse()
    stage.after(seconds, lambda: calm(stage.proxy))
    return Done(f"for {seconds:.1f} s")


def _misbehave(share: float, *faults: str) -> Callable[[Stage, random.Random], Done]:
    """Return an action that spoils a share of all requests for some seconds."""

    def strike(stage: Stage, rng: random.Random) -> Done:
        seconds = rng.uniform(2.0, 10.0)
        stage.proxy.fault = mixture(rng.getrandbits(32), share, faults)
        stage.after(seconds, lambda: calm(stage.proxy))
        return Done(f"for {seconds:.1f} s")

    return strike


def calm(proxy: FaultProxy) -> None:
    """End whatever the proxy does wrong."""
    proxy.fault = _no_fault
    if proxy.gone:
        proxy.listen()


def _no_fault(method: str, path: str) -> str | None:
    return None


def _fill_disk(stage: Stage, rng: random.Random) -> Done | None:
    if stage.disk is None:
        return None
    stage.disk.fill()
    seconds = rng.uniform(3.0, 15.0)
    stage.after(seconds, stage.disk.free)
    return Done(f"for {seconds:.1f} s or until the study stops", STOPPED)


def _corrupt_checkpoint(stage: Stage, rng: random.Random) -> Done | None:
    if not _checkpoints(stage.place.run):
        return None
    return _after_a_kill(stage, rng, lambda run: _damage_checkpoint(run, rng))


def _tear_outbox(stage: Stage, rng: random.Random) -> Done | None:
    if not _size(stage.place.journal):
        return None

    def tear(run: Path) -> Done | None:
        journal = run / "outbox" / "trials.log"
        return Done(damage.tear_last_line(journal, rng)) if _size(journal) else None

    return _after_a_kill(stage, rng, tear)


def _garble_outbox(stage: Stage, rng: random.Random) -> Done | None:
    if not _size(stage.place.journal):
        return None

    def garble(run: Path) -> Done | None:
        found = [path for path in sorted((run / "outbox").glob("*")) if _size(path)]
        return Done(damage.flip(rng.choice(found), rng)) if found else None

    return _after_a_kill(stage, rng, garble)


def _lose_outcome(stage: Stage, rng: random.Random) -> Done | None:
    if not stage.place.processes.find(TRAINERS) or not send(stage.start.pid, signal.SIGSTOP):
        return None
    outcomes = stage.place.run / "trials"
    wait(lambda: any(outcomes.glob("*/outcome.json")), OUTCOME_SECONDS)

    def lose(run: Path) -> Done | None:
        found = sorted(outcomes.glob("*/outcome.json"))
        if not found:
            return None
        if rng.random() < 0.5:
            found[0].unlink()
            return Done("deleted")
        return Done(damage.cut(found[0], rng))

    return _after_a_kill(stage, rng, lose)


STATE = ("slots.json", "artefacts.json", "results/*", "panels/*", "report/*", "trials/*/model.*")
"""What may be garbage without anybody losing a trial: it is made again, or was only of use to the eye."""


def _garble_state(stage: Stage, rng: random.Random) -> Done | None:
    def garble(run: Path) -> Done | None:
        found = sorted(path for one in STATE for path in run.glob(one) if path.is_file() and path.stat().st_size)
        return Done(damage.cut(rng.choice(found), rng)) if found else None

    return _after_a_kill(stage, rng, garble)


def _leave_stale_files(stage: Stage, rng: random.Random) -> Done | None:
    def leave(run: Path) -> Done | None:
        folders = [run, *sorted(path for path in run.glob("*") if path.is_dir()), *sorted(run.glob("*/*/"))]
        chosen = rng.sample(folders, min(3, len(folders)))
        for folder in chosen:
            (folder / f".left.{rng.getrandbits(32):08x}.tmp").write_bytes(rng.randbytes(1000))
        return Done(", ".join(str(folder.relative_to(run)) for folder in chosen))

    return _after_a_kill(stage, rng, leave)


def _after_a_kill(stage: Stage, rng: random.Random, damaging: Callable[[Path], Done | None]) -> Done | None:
    """Kill the driver, wait until its workers write no more, do damage. What finds nothing to damage is a mere kill."""
    if _kill_driver(stage, rng) is None:
        return None
    stage.place.processes.wait_until_gone(GONE_SECONDS, TRAINERS)
    done = damaging(stage.place.run) if stage.place.run.is_dir() else None
    return Done("", KILLED, "driver killed") if done is None else Done(done.what, KILLED)


def _damage_checkpoint(run: Path, rng: random.Random) -> Done | None:
    found = _checkpoints(run)
    if not found:
        return None
    path = rng.choice(found)
    return Done(f"{path.parent.name}/{damage.flip_or_cut(path, rng)}")


def _checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("*/last.pt"))


def _worker(stage: Stage, rng: random.Random) -> int | None:
    workers = stage.place.processes.find(TRAINERS)
    return rng.choice(workers) if workers else None


def _temporary_files(run: Path) -> list[Path]:
    return [path for pattern in ("*.tmp", "*/*.tmp", "*/*/*.tmp") for path in run.glob(pattern)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


ACTIONS: Mapping[str, Callable[[Stage, random.Random], Done | None]] = {
    "worker killed": _kill_worker,
    "worker killed, its checkpoint corrupt": _kill_worker_with_checkpoint,
    "worker stopped": _stop_worker,
    "raylet killed": _kill_raylet,
    "driver killed": _kill_driver,
    "driver killed while writing": _kill_driver_writing,
    "driver interrupted": _interrupt,
    "driver interrupted twice": _interrupt_twice,
    "driver terminated": _terminate,
    "MLflow restarted": _restart_mlflow,
    "MLflow away": _be_away,
    "MLflow slow": _misbehave(1.0, "slow"),
    "MLflow answers errors": _misbehave(0.5, "500", "503", "429", "html"),
    "MLflow's answers lost": _misbehave(0.5, "reset-after", "500-after", "late", "cut", "cut-json", "empty"),
    "disk full": _fill_disk,
    "checkpoint corrupt": _corrupt_checkpoint,
    "outbox torn": _tear_outbox,
    "outbox garbled": _garble_outbox,
    "outcome lost": _lose_outcome,
    "state garbled": _garble_state,
    "stale files": _leave_stale_files,
}
