"""This machine: versions, memory, limits, disk, GPU. Judgements from plain figures, and how the figures are read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sweeper.data.cache import size_words
from sweeper.orchestration.checks.finding import Finding, note, ok, problem, unknown

GB = 1000**3

RAY_MEMORY = 0.6 * GB
"""What an idle private Ray and the driver take."""
TRIAL_MEMORY = 1.0 * GB
"""What a worker takes before its trial's own tensors: Python, torch and smp."""

SHARED_MEMORY = 1 * GB
"""Shared memory with less than this makes Ray fall back to files in /tmp."""

FILES = 4096
"""Open files below which Ray warns of failing connections."""

LITTLE_DISK, NO_DISK = 10 * GB, 1 * GB
"""Free space that is little, and too little, for a study of unknown need."""
INODES = 10_000

EARLIEST = 1_735_689_600.0
"""2025-01-01; a clock before that was never set."""
SKEW = 5.0
"""Seconds that two clocks may differ by."""


def python_version(running: str, required: str) -> Finding:
    """Judge the running Python against what the package asks for, e.g. `>=3.11`."""
    if SpecifierSet(required).contains(running, prereleases=True):
        return ok("Python", f"{running} ({required} is asked for)")
    return problem("Python", f"{running}, {required} is asked for", "make an environment with a newer Python")


def packages(required: Iterable[str], installed: Callable[[str], str | None]) -> Finding:
    """Judge the installed packages against what the package asks for.

    Args:
        required: Requirements as in pyproject.toml; those of extras do not count.
        installed: Returns the version of a package, None where it is not installed.
    """
    wrong, count = [], 0
    for text in required:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        found = installed(requirement.name)
        if found is None:
            wrong.append(f"{requirement.name} is not installed ({requirement.specifier} is asked for)")
        elif not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} is {found} ({requirement.specifier} is asked for)")
    if wrong:
        return problem("packages", ", ".join(wrong), "install sweeper again into this environment")
    return ok("packages", f"all {count} as asked for")


def installed_version(name: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def clock(now: float, ahead: float | None) -> Finding:
    """Judge the clock, in seconds since 1970.

    Args:
        ahead: By how many seconds the clock of the file system that run folders lie on is ahead of it; None where that
            is not known.
    """
    if now < EARLIEST:
        return problem("clock", "it was never set: it shows a time before 2025", "set it, e.g. by NTP")
    if ahead is None:
        return unknown("clock", "no file could be written to compare it with")
    if abs(ahead) > SKEW:
        return note("clock", f"the file server's is {ahead:+.0f} s off", "set both, e.g. by NTP")
    return ok("clock", "set, and the file system's agrees")


def open_files(soft: int, hard: int) -> Finding:
    """Judge the limit of open files per process. Ray raises the soft one as far as the hard one lets it."""
    most = max(soft, hard)
    if most >= FILES:
        return ok("open files", f"{soft}, can be raised to {hard}" if soft < hard else f"{soft}")
    return note("open files", f"no more than {most} at once; many trials at once need more", f"ulimit -n {2 * FILES}")


def memory(available: float | None, trials: int) -> Finding:
    """Judge the free memory in bytes for so many trials at once."""
    if available is None:
        return unknown("memory", "this system does not say how much is free")
    need, text = RAY_MEMORY + trials * TRIAL_MEMORY, f"{size_words(available)} free"
    if available >= need:
        return ok(
            "memory", f"{text}, about {size_words(need)} needed before the first picture ({trials} trials at once)"
        )
    fix = "close other programs, or set resources.concurrent to fewer trials"
    if available < RAY_MEMORY + TRIAL_MEMORY:
        return problem("memory", f"{text}, one trial needs about {size_words(RAY_MEMORY + TRIAL_MEMORY)}", fix)
    return note("memory", f"{text}, {trials} trials at once need about {size_words(need)}", fix)


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the bytes a new process may take: of the machine, or of the container where that has less."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    try:
        most = float((cgroup / "memory.max").read_text(encoding="ascii"))  # `max` for no limit is no number
        used = float((cgroup / "memory.current").read_text(encoding="ascii"))
        cached = (cgroup / "memory.stat").read_text(encoding="ascii").splitlines()
        # Pages of files are given up when a process needs them.
        used -= sum(float(line.split()[1]) for line in cached if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):
        return free
    return min(free, max(0.0, most - used))


def shared_memory(total: int | None) -> Finding:
    """Judge the size of /dev/shm in bytes; None where there is none."""
    if total is None:
        return note("shared memory", "there is no /dev/shm; Ray keeps its objects in /tmp")
    if total < SHARED_MEMORY:
        return note(
            "shared memory",
            f"{size_words(total)}; Ray keeps its objects in /tmp instead, which is slower",
            "in a container: docker run --shm-size=2g, or an emptyDir with medium: Memory",
        )
    return ok("shared memory", size_words(total))


def disk(free: float, inodes: int | None, where: Path, need: float | None = None, check: str = "disk") -> Finding:
    """Judge the free bytes and file names of the disk that run folders go to.

    Args:
        inodes: None where the file system does not count them.
        need: Bytes a study still needs; None where that is not known.
    """
    text, fix = f"{size_words(free)} free at {where}", "free space, or choose another disk with --out"
    if inodes is not None and inodes < INODES:
        return problem(check, f"{text}, but only {inodes} more files can be made", fix)
    if need is not None and free < need:
        return problem(check, f"{text}, the study still needs about {size_words(need)}", fix)
    if free < NO_DISK:
        return problem(check, text, fix)
    if need is not None:
        return ok(check, f"{text}, the study still needs about {size_words(need)}")
    return note(check, text, "watch it, or choose another disk with --out") if free < LITTLE_DISK else ok(check, text)


def free_disk(folder: Path) -> tuple[float, int | None]:
    """Return the free bytes and file names where `folder` is."""
    found = os.statvfs(folder)
    # Some file systems make file names as they go, and say 0 of 0.
    return float(shutil.disk_usage(folder).free), found.f_favail if found.f_files else None


def total_disk(folder: Path) -> int:
    """Return the size in bytes of the file system that `folder` is."""
    return shutil.disk_usage(folder).total


@dataclass(frozen=True)
class Gpus:
    """What torch says of the GPUs."""

    names: tuple[str, ...]
    built_for: str | None
    """The CUDA version torch was built with; None for a build without."""
    error: str | None
    """Why a first computation failed."""
    devices: int
    """GPUs that the operating system shows."""


def torch_gpus(found: Gpus) -> Finding:
    """Judge whether torch can compute on the GPUs there are."""
    if found.error is not None:
        return problem(
            "GPU", f"torch sees {_gpus(found.names)} but cannot compute there: {found.error}",
            "install the torch build for this GPU and driver",
        )  # fmt: skip
    if found.names:
        return ok("GPU", f"torch computes on {_gpus(found.names)} (CUDA {found.built_for})")
    if found.devices:
        built = f"torch is built for CUDA {found.built_for}" if found.built_for else "torch is built without CUDA"
        return problem(
            "GPU", f"this machine shows {found.devices}, torch sees none; {built}",
            "install the torch build for this driver, and look at CUDA_VISIBLE_DEVICES",
        )  # fmt: skip
    return note("GPU", "none: trials run on the CPU")


def _gpus(names: Sequence[str]) -> str:
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


def see_gpus() -> Gpus:
    """Ask torch for its GPUs and compute on each. Takes seconds: torch is imported."""
    import torch

    devices = len([path for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdigit()])
    names, error = [], None
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            names.append(torch.cuda.get_device_name(number))
            try:
                if float(torch.ones(2, device=f"cuda:{number}").sum()) != 2.0:
                    error = error or f"1 + 1 is not 2 on GPU {number}"
            except RuntimeError as raised:
                error = error or str(raised).splitlines()[0]
    return Gpus(tuple(names), torch.version.cuda, error, devices)
