"""Pictures read and cut in several processes, in order, with only a few in flight.

Not `multiprocessing`: its spawned processes first run the user's script again, which trains twice where the script has
no `if __name__ == "__main__"`, and its forked ones inherit locks that threads of Ray or torch hold. These workers are
plain subprocesses that know nothing of the caller and end when their standard input does, so also when it is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweeper.data.cutting import Cut, cut
from sweeper.data.pictures import Fault, Source, Undeclared, Unusable, in_one_line

Outcome = Cut | tuple[Fault | Undeclared, ...]
"""A picture's patches, or everything that is wrong with it."""

WORTHWHILE_SECONDS = 3.0
"""Below this much work on one core, starting processes costs more than it saves."""

log = logging.getLogger(__name__)


def read_all(
    source: Source, stems: Sequence[str], patch: int, *, scratch: Path, workers: int | None
) -> Generator[Outcome, None, None]:
    """Yield the outcome of each picture, in order; pixels pass between processes through files in `scratch`.

    `workers` None starts as many processes as there are cores to use, or none for little work. Where processes cannot
    be started, or die (for want of memory, say), the rest is read here: slower, but the same.
    """
    workers = usable_cores() if workers is None and source.seconds > WORTHWHILE_SECONDS else workers or 1
    workers = min(workers, len(stems))
    done = 0
    if workers > 1:
        try:
            for outcome in _in_processes(_Job(source, patch, scratch), stems, workers):
                yield outcome
                done += 1
        except _WorkerDied as error:
            log.warning("%s; the data is prepared in one process, which takes longer", error)
    for stem in stems[done:]:
        yield _read(source, stem, patch)


class _WorkerDied(Exception):
    """A worker did not start, or ended without an answer."""


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know once."""

    source: Source
    patch: int
    scratch: Path


@dataclass(frozen=True)
class _Answer:
    """What a worker says of one picture."""

    outcome: Outcome
    """Without its pixels."""
    pixels: Path | None
    """The file that holds them. Pickling and piping pixels took longer than reading most pictures."""


def _in_processes(job: _Job, stems: Sequence[str], workers: int) -> Generator[Outcome, None, None]:
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    started: list[_Worker] = []

    def ask(number: int, stem: str) -> _Answer:
        worker = idle.get()  # as many threads as workers: one is always there
        try:
            return worker.ask(number, stem)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(workers)
    try:
        for _ in range(workers):
            started.append(_Worker(job))
            idle.put(started[-1])
        flying: deque[Future[_Answer]] = deque()
        for number, stem in enumerate(stems):
            flying.append(pool.submit(ask, number, stem))
            if len(flying) > 4 * workers:  # results wait on disk until their turn
                yield _whole(flying.popleft().result())
        while flying:
            yield _whole(flying.popleft().result())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for worker in started:
            worker.close()


class _Worker:
    """One process that reads pictures; used by one thread at a time."""

    def __init__(self, job: _Job) -> None:
        code = "import sys; sys.path[:] = sys.argv[1:]; from sweeper.data import parallel; parallel.serve()"
        command = [sys.executable, "-c", code, *sys.path]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._send(job)
        except OSError as error:
            raise _WorkerDied(f"a process to read pictures could not be started ({error})") from None

    def ask(self, number: int, stem: str) -> _Answer:
        assert self._process.stdout is not None
        try:
            self._send((number, stem))
            answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise _WorkerDied(f"a process ended while it read {stem}") from None
        if isinstance(answer, str):  # a fault of this code, not of the picture
            raise RuntimeError(f"reading {stem} failed in a worker process:\n{answer}")
        assert isinstance(answer, _Answer)
        return answer

    def close(self) -> None:
        """Let the process end, and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        with contextlib.suppress(OSError):  # it ended before it read its last message
            self._process.stdin.close()
        self._process.wait()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()


def serve() -> None:
    """Answer on standard output what is asked on standard input, until that ends: the whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the caller as well, which then closes our input
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    questions = sys.stdin.buffer
    job: _Job = pickle.load(questions)
    while True:
        try:
            number, stem = pickle.load(questions)
        except EOFError:
            return
        try:
            answer: _Answer | str = _answer(job, number, stem)
        except Exception:
            answer = traceback.format_exc()
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the caller is gone; an ordinary exit would try to flush once more, and complain


def _answer(job: _Job, number: int, stem: str) -> _Answer:
    outcome = _read(job.source, stem, job.patch)
    if not isinstance(outcome, Cut):
        return _Answer(outcome, None)
    path = job.scratch / f"part-{number}"
    with path.open("wb") as file:
        np.save(file, outcome.images)
        np.save(file, outcome.masks)
    return _Answer(outcome.without_pixels(), path)


def _whole(answer: _Answer) -> Outcome:
    if not isinstance(answer.outcome, Cut) or answer.pixels is None:
        return answer.outcome
    with answer.pixels.open("rb") as file:
        pixels: dict[str, Any] = {"images": np.load(file), "masks": np.load(file)}
    answer.pixels.unlink()
    return dataclasses.replace(answer.outcome, **pixels)


def _read(source: Source, stem: str, patch: int) -> Outcome:
    try:
        return cut(source.read(stem), patch, len(source.classes))
    except Unusable as error:
        return error.faults
    except Exception as error:  # one picture that nobody foresaw must not hide what is wrong with the others
        log.debug("reading %s failed", stem, exc_info=True)
        return (
            Fault(
                stem,
                f"reading it failed unexpectedly ({in_one_line(error)})",
                "replace its files by intact ones; if they are intact, please report this",
            ),
        )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
