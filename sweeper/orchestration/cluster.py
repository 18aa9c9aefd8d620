"""Joining or starting Ray, and how many trials it holds at once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import SweeperError, UserError
from sweeper.files import write_text
from sweeper.study.schema import Resources

TRIALS_PER_GPU = 4
"""Trials that share one GPU under `gpu: auto`: the small models of a sweep leave most of a GPU idle."""


@dataclass(frozen=True)
class Slots:
    """What one trial takes, and how many run at once."""

    cpu: int
    gpu: float
    concurrent: int


def available_cores() -> int:
    """Return the cores this process may use: those of its affinity, fewer where its container gets less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))  # `max` for no quota is no number
    return cores


@contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Join the Ray cluster at `address` (`auto`, `host:port`), or start a private Ray on this machine, and leave it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    try:
        if address is None:
            cores = available_cores()
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # among them a bare Exception, of a machine too busy to start Ray in time
        ray.shutdown()
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if address is None:
            raise SweeperError(f"Ray could not be started on this machine: {text}") from None
        raise UserError(
            f"--address {address}: no Ray cluster answers there ({text}); start one or leave it out"
        ) from None
    try:
        with _quiet():
            yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray off stdout, which is for the answer.

    Ray (2.60) prints there, under whatever settings, a long paragraph when a worker or a machine is lost. That is told
    in a line of ours; the paragraph is in Ray's logs.
    """
    import ray

    worker = ray._private.worker
    printing = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *what, **how: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


def has_machines() -> bool:
    """Whether any node of the cluster joined is alive."""
    import ray

    return any(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]


def slots(resources: Resources) -> Slots:
    """Return what one trial takes on the cluster joined, and how many run at once.

    Raises: UserError when the study asks for more than the cluster has.
    """
    import ray

    have = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return allot(resources, cpus=int(have.get("CPU", 1)), gpus=int(have.get("GPU", 0)))


def allot(resources: Resources, *, cpus: int, gpus: int) -> Slots:
    """Share `cpus` cores and `gpus` GPUs out among trials; pure arithmetic."""
    if resources.cpu > cpus:
        raise UserError(f"resources.cpu: a trial asks for {resources.cpu} CPUs, the cluster has {cpus}; ask for fewer")
    if resources.gpu == "auto":
        share = max(1, min(TRIALS_PER_GPU, cpus // (resources.cpu * gpus))) if gpus else 1
        gpu = 1.0 / share if gpus else 0.0
    else:
        gpu = resources.gpu
        if gpu > gpus:
            raise UserError(
                f"resources.gpu: a trial asks for {gpu:g} GPUs, the cluster has {gpus}; write auto or fewer"
            )
        if gpu > 1 and gpu != int(gpu):
            raise UserError(f"resources.gpu: {gpu:g} is no fraction of a GPU and no whole number of them; give either")
    fits = cpus // resources.cpu
    if gpu:
        fits = min(fits, int(gpus / gpu + 1e-9))
    concurrent = fits if resources.concurrent == "auto" else min(resources.concurrent, fits)
    return Slots(resources.cpu, gpu, max(1, concurrent))


def note_slot(file: Path, slot: Slots, *, anew: bool) -> None:
    """Note in `file` what a trial takes from now on, beside what earlier starts of the study noted.

    Args:
        anew: Whether no trial was recorded before this start; trials of before there were notes took who knows what.
    """
    known = _noted(file)
    if known is None:
        known = [] if anew else [None]
    share = {"cpu": slot.cpu, "gpu": slot.gpu}
    if share not in known:
        write_text(file, json.dumps([*known, share]))


def noted_slot(file: Path) -> dict[str, float] | None:
    """Return what every trial of a study took, as `results.meta.SlotMeta`; None where that differed or is not known."""
    known = _noted(file)
    return known[0] if known is not None and len(known) == 1 else None


def _noted(file: Path) -> list[dict[str, float] | None] | None:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, list) and all(one is None or _is_share(one) for one in known) else None


def _is_share(noted: Any) -> bool:
    return isinstance(noted, dict) and all(isinstance(noted.get(what), int | float) for what in ("cpu", "gpu"))
