"""`sweeper doctor`: looks at the machine, at Ray, at MLflow and at a run folder, and says what to do. Changes nothing.

The quick checks come first. Whatever hangs, a name server, a network disk, a cluster, is given up and named: all
together take less than a minute.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from sweeper.data.prepare import load, open_source
from sweeper.errors import RunFolderError, SweeperError, UserError
from sweeper.orchestration.checks import machine, ray_nodes, run_folder, storage
from sweeper.orchestration.checks import tracking as mlflow
from sweeper.orchestration.checks.finding import Finding, ok, problem, unknown
from sweeper.orchestration.cluster import allot, available_cores
from sweeper.orchestration.folder import RunFolder, data_cache
from sweeper.orchestration.footprint import footprint
from sweeper.orchestration.meta import versions
from sweeper.orchestration.publish import read_identity
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan
from sweeper.study.schema import Study
from sweeper.tracking import uri as tracking_uri

SECONDS = 55.0
"""For all checks together."""
QUICK, SLOW = 6.0, 20.0
"""For one of the quick ones, and for one that imports torch or waits for a server."""


@dataclass(frozen=True)
class Patient:
    """What is to be looked at beside the machine."""

    out: Path
    """Folder of run folders."""
    study: Study | None = None
    error: SweeperError | None = None
    """Why the study could not be read."""
    folder: RunFolder | None = None
    """A run folder that exists."""
    uri: str | None = None
    """Its MLflow address; None for the store inside the run folder."""


def patient(target: Path | None, out: Path) -> Patient:
    """Find out what `target` is: a study file, a run folder, or nothing.

    Raises: UserError when there is no such file, RunFolderError for a folder that is no run folder.
    """
    if target is None:
        return Patient(out)
    target = target.expanduser()
    if target.is_dir():
        folder = RunFolder(target.absolute())
        if not any(path.exists() for path in (folder.study, folder.meta, folder.outbox)):
            raise RunFolderError(
                f"{target}: is no run folder (no study.yaml, meta.json or outbox/); give e.g. runs/demo"
            )
        study, error = _read(folder.study)
        uri = None
        with suppress(RunFolderError):  # told by the check of the study files
            # study.yaml shows the address with stars for its password, which is no password.
            uri = read_identity(folder)["tracking_uri"]
        return Patient(folder.path.parent, study, error, folder, uri)
    if not target.exists():
        raise UserError(f"{target}: there is no such file or folder; give a study file or a run folder")
    study, error = _read(target)
    if study is None:
        return Patient(out, None, error)
    made = RunFolder(out.expanduser().absolute() / study.name)
    return Patient(out, study, None, made if made.path.is_dir() else None, study.tracking.uri)


def examine(who: Patient, *, address: str | None = None, uri: str | None = None) -> Iterator[Finding]:
    """Yield what every check finds, the quick ones first.

    Args:
        address: Ray cluster to look at; None starts a private Ray.
        uri: MLflow address instead of the study's own.
    """
    clock = _Clock(SECONDS)
    yield from clock.within(QUICK, "versions", _of_versions)
    yield from clock.within(QUICK, "limits", lambda: _of_limits(who.study))
    tried = clock.take(QUICK, lambda: storage.try_out(who.out))
    if isinstance(tried, storage.Tried):
        usable = tried.error is None
        yield storage.writable(tried)
        yield storage.locks(tried)
        yield machine.clock(time.time(), tried.ahead)
        yield from clock.within(QUICK, "disk", lambda: [_of_disk(tried.where)])
    else:
        usable = False
        yield problem("folder", f"{who.out}: {tried}", "look at the disk it is on, or give another with --out")
    if who.error is not None:
        yield run_folder.of_error("study", who.error, "mend the study file; `sweeper plan` tells all that is wrong")
    if who.study is not None:
        yield from clock.within(QUICK, "data", lambda: [_of_source(who.study)])
    if who.folder is not None:
        yield from clock.within(SLOW, "run folder", lambda: list(_of_folder(who.folder)))
    yield from clock.within(SLOW, "MLflow", lambda: [_of_tracking(who, uri)])
    gpus = clock.take(SLOW, machine.see_gpus)
    if isinstance(gpus, machine.Gpus):
        yield machine.torch_gpus(gpus)
    else:
        yield unknown("GPU", f"torch: {gpus}")
    seen = len(gpus.names) if isinstance(gpus, machine.Gpus) else None
    yield from clock.within(SLOW, "disk of the study", lambda: list(_of_need(who)))
    yield from _of_ray(clock, who, address, seen, usable)


class _Clock:
    """Gives every check its time, and none more than is left of all."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(1.0, self._end - time.monotonic())

    def take(self, seconds: float, make: Callable[[], Any]) -> Any:
        """Return what `make` returns, or in words why it did not."""
        made: list[Any] = []

        def run() -> None:
            try:
                made.append(make())
            except Exception as error:  # whatever a check meets, the others are still to be made
                made.append(f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}")

        seconds = min(seconds, self.left)
        # A thread, since nothing else comes back from a network disk that is gone.
        thread = threading.Thread(target=run, daemon=True, name="sweeper-doctor")
        thread.start()
        thread.join(seconds)
        return made[0] if made else f"no answer within {seconds:.0f} seconds"

    def within(self, seconds: float, check: str, make: Callable[[], Iterable[Finding]]) -> Iterable[Finding]:
        """Return the findings of `make`, or one that says why there are none."""
        found = self.take(seconds, lambda: list(make()))
        return [unknown(check, found)] if isinstance(found, str) else found


def _of_versions() -> Iterator[Finding]:
    said = metadata("sweeper")
    yield machine.python_version(versions()["python"], (said.get_all("Requires-Python") or [""])[0])
    yield machine.packages(said.get_all("Requires-Dist") or [], machine.installed_version)


def _of_limits(study: Study | None) -> Iterator[Finding]:
    yield machine.open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))
    cores = available_cores()
    wanted = None if study is None or study.resources.concurrent == "auto" else study.resources.concurrent
    each = 1 if study is None else study.resources.cpu
    trials = max(1, cores // each)
    yield machine.memory(machine.available_memory(), trials if wanted is None else min(wanted, trials))
    shared = Path("/dev/shm")
    yield machine.shared_memory(machine.total_disk(shared) if shared.is_dir() else None)


def _of_disk(where: Path) -> Finding:
    free, inodes = machine.free_disk(where)
    return machine.disk(free, inodes, where)


def _of_need(who: Patient) -> Iterator[Finding]:
    """Say what the study still takes of the disk, where its data is prepared: without it nothing can be worked out."""
    if who.study is None:
        return
    check = "disk of the study"
    unprepared = unknown(check, "its data is not prepared; `sweeper plan` prepares it, and says how much it takes")
    if who.folder is None:
        yield unprepared
        return
    try:
        cache = data_cache(who.out) / read_identity(who.folder)["meta"]["data"]["fingerprint"]
        prepared = load(cache)
    except SweeperError:
        yield unprepared
        return
    from sweeper.training.model import build_model

    model = build_model(who.study.model, prepared.channels, len(prepared.classes), patch=prepared.patch).state_dict()
    taken = footprint(
        make_plan(who.study, prepared.fingerprint),
        prepared,
        folder=who.folder.path,
        cache=cache,
        # The optimizer keeps two numbers for each of the model's.
        state={"model": model, "optimizer": [model, model]},
        concurrent=available_cores(),
    )
    there = sum(file.lstat().st_size for file in who.folder.path.rglob("*") if file.is_file())
    yield machine.disk(float(taken.free), None, who.folder.path, max(0.0, float(taken.needed - there)), check)


def _of_source(study: Study | None) -> Finding:
    assert study is not None, "asked for with a study only"
    try:
        source = open_source(study.data)
    except SweeperError as error:
        return run_folder.of_error("data", error, "mend the data section of the study")
    return ok("data", f"{source.name}: {sum(len(stems) for stems in source.splits.values())} pictures")


def _of_folder(folder: RunFolder | None) -> Iterator[Finding]:
    assert folder is not None, "asked for with a run folder only"
    yield run_folder.files(folder)
    found, driven = run_folder.lease(folder)
    yield found
    yield from run_folder.outbox(folder, driven)
    yield from run_folder.deliveries(folder, driven)
    yield run_folder.results(folder)
    yield from run_folder.models(folder)
    yield run_folder.corrupt(folder)
    try:
        meta = read_identity(folder)["meta"]
    except RunFolderError:
        meta = None
    if meta is not None:
        yield run_folder.versions_changed(meta["versions"], versions())
        yield run_folder.data(folder, meta["data"]["fingerprint"])
    if driven:
        yield unknown("leftovers", "a run drives this study, what it uses cannot be told from what it left")
    else:
        yield from run_folder.orphans(folder, finished=meta is not None and meta["trials"] is not None)


def _of_tracking(who: Patient, uri: str | None) -> Finding:
    given = uri or who.uri
    folder = who.folder.path if who.folder is not None else who.out / "study"
    return mlflow.tracking(tracking_uri.resolve(given, folder), own=given is None)


def _of_ray(
    clock: _Clock, who: Patient, address: str | None, torch_gpus: int | None, usable: bool
) -> Iterator[Finding]:
    found = clock.take(clock.left, lambda: ray_nodes.ask_ray(who.out, address, clock.left - 2.0))
    if isinstance(found, str):
        found = {"error": found}
    for finding in ray_nodes.judge(found, address, versions(), torch_gpus):
        # Where this machine cannot write, what the nodes wrote was elsewhere.
        yield finding if usable or finding.check != "nodes" else unknown("nodes", "the folder cannot be written here")
    if who.study is not None and "error" not in found:
        yield _of_resources(who.study, int(found["cpus"]), int(found["gpus"]))


def _of_resources(study: Study, cpus: int, gpus: int) -> Finding:
    try:
        slots = allot(study.resources, cpus=cpus, gpus=gpus)
    except UserError as error:
        return run_folder.of_error("resources", error, "ask for less in the study's resources")
    share = f", {slots.gpu:g} GPUs" if slots.gpu else ""
    return ok("resources", f"{slots.concurrent} trials at once, each with {slots.cpu} CPUs{share}")


def _read(file: Path) -> tuple[Study | None, SweeperError | None]:
    try:
        return load_study(file), None
    except SweeperError as error:
        return None, error
