"""What MLflow costs a study: recording a trial, and the driver itself, with MLflow healthy, slow, failing and gone.

    python -m benchmarks.tracking_faults                 # about 2 minutes
    python -m benchmarks.tracking_faults --rounds 5

A real MLflow server (SQLite, one worker) stands behind a proxy that delays, fails or refuses; both are processes of
their own. The driver records confirm trials of 40 test pictures as a study does, while the courier delivers them in its
thread. The moods of MLflow take turns, so that those of the machine hit all alike. Per mood:

record    the time that recording one trial holds the driver up: median and 95 % quantile, as multiples of the median
          with a journal alone
courier   processor time of the courier's thread per trial delivered (per attempt, where nothing is), in per cent of a
          minute: what trials of a minute are slowed by at most, were they to run in the driver's own process
driver    how much longer a fixed piece of pure Python takes in the driver's thread while trials are delivered, per
          trial, in per cent of a minute; noisy where the machine is busy, and bounded by the figure before

Trials themselves are processes of their own, which share nothing with the courier.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.results.record import TrialRecord
from sweeper.tracking.courier import Courier
from sweeper.tracking.journal import Journal
from sweeper.tracking.mlflow_tracker import MlflowTracker
from sweeper.tracking.study_info import StudyInfo
from sweeper.tracking.uri import target_id
from tests.results.synthetic_study import make_meta, make_study
from tests.tracking.fault_proxy import FaultProxy, mixture
from tests.tracking.mlflow_server import Server

MOODS = ("journal alone", "healthy", "slow", "failing", "gone")
MINUTE = 60.0
PICTURES = 40
WORK_SECONDS = 2.0


@dataclasses.dataclass
class Measured:
    """What one mood cost, in seconds."""

    records: list[float] = dataclasses.field(default_factory=list)
    courier: list[float] = dataclasses.field(default_factory=list)
    """Per trial delivered, or per attempt."""
    loops: list[float] = dataclasses.field(default_factory=list)
    delivered: list[int] = dataclasses.field(default_factory=list)
    """While the loop ran."""


def serve(upstream: int, mood: Synchronized[int], port: Synchronized[int], end: Any) -> None:
    """Be the proxy until told to end."""
    with FaultProxy(upstream) as proxy:
        faults: dict[str, Callable[[str, str], str | None]] = {
            "healthy": lambda method, path: None,
            "slow": lambda method, path: "slow",
            "failing": mixture(1, 0.2, ("500", "503", "429", "reset", "reset-after")),
            "gone": lambda method, path: "reset",
        }
        proxy.fault = lambda method, path: faults[MOODS[mood.value or 1]](method, path)
        port.value = proxy.server_address[1]
        end.wait()


@contextmanager
def proxied(upstream: int) -> Iterator[tuple[str, Synchronized[int]]]:
    """Yield the proxy's address, and the index of the mood it is in."""
    context = multiprocessing.get_context("spawn")
    mood, port, end = context.Value("i", 0), context.Value("i", 0), context.Event()
    process = context.Process(target=serve, args=(upstream, mood, port, end), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port.value}", mood
    finally:
        end.set()
        process.join()


def measure(
    uri: str, mood: Synchronized[int], trials: Sequence[TrialRecord], rounds: int, scratch: Path
) -> list[Measured]:
    """Record the trials `rounds` times under every mood."""
    found = [Measured() for _ in MOODS]
    size = work_size()
    for turn in range(rounds):
        for index, name in enumerate(MOODS):
            mood.value = 0
            place = scratch / f"{turn}-{index}"
            journal = Journal(place / "outbox")
            info = StudyInfo(name=place.name, meta=make_meta(), yaml="", folder=place)
            target = target_id(uri, place.name)
            one = found[index]
            if name == "journal alone":
                one.records += [timed(journal.append, trial) for trial in trials]
                one.loops.append(timed(work, size))
                one.delivered.append(0)
                continue
            attempts: list[int] = []

            def opened(info: StudyInfo = info, attempts: list[int] = attempts) -> MlflowTracker:
                attempts.append(1)
                return MlflowTracker(uri, info.name, info)

            courier = Courier(journal, opened, target)
            courier.record(trials[0])  # the study and its family are made; what counts is the rest of the study
            until(courier)
            mood.value = index
            clock = time.pthread_getcpuclockid(int(courier._thread.ident or 0))
            begun, before = time.clock_gettime(clock), courier.pending
            one.records += [timed(courier.record, trial) for trial in trials[1:]]
            waiting = courier.pending
            one.loops.append(timed(work, size))
            one.delivered.append(waiting - courier.pending)
            done = len(trials) - 1 + before - courier.pending
            one.courier.append((time.clock_gettime(clock) - begun) / max(done, len(attempts), 1))
            mood.value = 0
            courier.close(120)
    return found


def timed(action: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def work(size: int) -> int:
    """Compute in pure Python: all the time in need of the interpreter."""
    total = 0
    for number in range(size):
        total += number % 7
    return total


def work_size() -> int:
    """Return how much work takes WORK_SECONDS."""
    size = 1_000_000
    return round(size * WORK_SECONDS / statistics.median(timed(work, size) for _ in range(5)))


def until(courier: Courier, seconds: float = 120.0) -> None:
    """Wait until everything recorded is delivered."""
    end = time.monotonic() + seconds
    while courier.pending:
        if time.monotonic() > end:
            raise SystemExit(f"MLflow takes nothing even while healthy: {courier.last_error}")
        time.sleep(0.01)


def report(found: Sequence[Measured]) -> str:
    alone = statistics.median(found[0].records)
    lines = ["| MLflow | record, median | record, 95 % | courier, % of a minute | driver, % of a minute |"]
    lines.append("| --- | --- | --- | --- | --- |")
    baseline = statistics.median(found[0].loops)
    for name, one in zip(MOODS, found, strict=True):
        high = statistics.quantiles(one.records, n=20)[-1]
        cells = [name, f"{statistics.median(one.records) / alone:.2f}", f"{high / alone:.2f}"]
        if one.courier:
            extra = statistics.median(
                (loop - baseline) / max(count, 1) for loop, count in zip(one.loops, one.delivered, strict=True)
            )
            cells += [f"{100 * statistics.median(one.courier) / MINUTE:.3f}", f"{100 * extra / MINUTE:.3f}"]
        else:
            cells += ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def confirm_trials(count: int) -> list[TrialRecord]:
    """Return distinct trials, each with scores and margins of PICTURES test pictures."""
    made, _ = make_study(images=PICTURES)
    template = next(one for one in made if one.stage == "confirm")
    return [dataclasses.replace(template, key=f"k{index:04}", seed=index) for index in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=25, help="per mood and round")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweeper-") as scratch:
        folder = Path(scratch)
        connect(sqlite_uri(folder / "mlflow.db")).search_experiments()
        server = Server(folder)
        server.start()
        try:
            with proxied(server.port) as (uri, mood):
                found = measure(uri, mood, confirm_trials(chosen.trials), chosen.rounds, folder / "studies")
        finally:
            server.stop()
            shutil.rmtree(folder / "studies", ignore_errors=True)
    print(report(found))
    print(f"\n{threading.active_count() - 1} threads left")


if __name__ == "__main__":
    main()
