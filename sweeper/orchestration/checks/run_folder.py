"""A run folder: who drives it, what is damaged, what has not been delivered, what nothing needs any more.

Nothing is changed, so that a folder may be looked at while a study runs in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeper.data.cache import size_words
from sweeper.data.prepare import load as load_data
from sweeper.errors import DataError, RunFolderError, SweeperError, TrackingError
from sweeper.orchestration.checks.finding import Finding, note, ok, problem, unknown
from sweeper.orchestration.folder import RunFolder, data_cache
from sweeper.orchestration.kept_models import read_description
from sweeper.orchestration.publish import read_identity, read_target
from sweeper.orchestration.trial_outcome import outcome_path
from sweeper.results.parquet import load as load_results
from sweeper.study.load import load_study
from sweeper.tracking.journal import Journal
from sweeper.tracking.uri import redact

SAME_COMMAND = "give the same `sweeper run` again"

MOST_NAMES = 3
"""Things that a line names; of more, the number is told."""


def files(folder: RunFolder) -> Finding:
    """Check that what says which study this is can be read."""
    try:
        identity = read_identity(folder)
        study = load_study(folder.study)
    except SweeperError as error:
        return of_error("study files", error, f"{SAME_COMMAND}, which writes study.yaml and meta.json anew")
    if identity["name"] != study.name:
        return problem(
            "study files", f"meta.json is of {identity['name']!r}, study.yaml of {study.name!r}", f"{SAME_COMMAND}"
        )
    return ok("study files", f"study.yaml and meta.json of {study.name}")


def versions_changed(then: Mapping[str, str], now: Mapping[str, str]) -> Finding:
    """Compare the versions of the study's last start with those of now."""
    others = [f"{name} {was}, now {now[name]}" for name, was in then.items() if name in now and now[name] != was]
    if others:
        return note(
            "versions of the study",
            f"started with {'; '.join(others)}",
            "continue it with the versions it was started with, or compare its trials with care",
        )
    return ok("versions of the study", "as at its last start")


def lease(folder: RunFolder) -> tuple[Finding, bool]:
    """Find out who drives the study, and whether anyone does."""
    try:
        handle = os.open(folder.driver, os.O_RDONLY)
    except FileNotFoundError:
        return ok("lease", "free"), False
    except OSError as error:
        return unknown("lease", f"{folder.driver}: {error.strerror}"), False
    try:
        held = _is_locked(handle)
        holder = os.read(handle, 1000).decode(errors="replace")
    except OSError as error:
        return unknown("lease", f"{folder.driver}: {error.strerror}"), False
    finally:
        os.close(handle)
    try:
        known = json.loads(holder)
        who = f"host {known['host']}, process {known['pid']}, since {known['since']}"
        here, alive = known["host"] == socket.gethostname(), _is_alive(int(known["pid"]))
    except (ValueError, KeyError, TypeError):
        who, here, alive = "holder unknown", False, True
    if not held:
        return ok("lease", f"free; last held by {who}" if holder else "free"), False
    if here and not alive:
        return problem(
            "lease",
            f"held, though its holder is gone ({who}): a process it left behind has the file open",
            f"end that process: fuser {folder.driver}",
        ), True
    return note("lease", f"a run drives this study ({who})"), True


def outbox(folder: RunFolder, driven: bool) -> Iterator[Finding]:
    """Check the journal line by line.

    Args:
        driven: Whether a run is writing it: its last line may then be half-written.
    """
    journal = Journal(folder.outbox)
    damaged, unreadable = [*journal.dropped], []
    for key in journal.recorded():
        try:
            journal.read(key)
        except SweeperError as error:
            unreadable.append(error)
    if damaged and driven:
        yield note("outbox", f"{_first(damaged)}; a run writes it, look again when it has ended")
    elif damaged:
        yield problem("outbox", _first(damaged), f"look at the disk, and {SAME_COMMAND}: these trials run again")
    if unreadable:
        yield of_error("outbox", unreadable[0], "restore it from a copy")
    if not damaged and not unreadable:
        yield ok("outbox", f"{len(journal.recorded())} trials recorded, every line is whole")
    for aside in sorted(folder.outbox.glob("*.damaged*")):
        yield note(
            "outbox",
            f"{aside.name} keeps {size_words(aside.stat().st_size)} of damaged lines that were set aside",
            "look at the disk; the file can be deleted",
        )


def deliveries(folder: RunFolder, driven: bool) -> Iterator[Finding]:
    """Count what MLflow has not been sent, by address."""
    journal = Journal(folder.outbox)
    recorded = set(journal.recorded())
    try:
        target = read_target(folder)
    except (RunFolderError, TrackingError) as error:
        yield unknown("delivery", str(error))
        return
    counts = {target.id: len(recorded - journal.delivered(target.id))}
    for file in sorted(folder.outbox.glob("delivered-*.log")):
        other = file.stem.removeprefix("delivered-")
        counts.setdefault(other, len(recorded - journal.delivered(other)))
    for one, left in counts.items():
        own = one == target.id
        where = redact(target.uri) if own else f"another address (id {one})"
        if not left:
            yield ok("delivery", f"all {len(recorded)} trials are at {where}")
        elif driven and own:
            yield note("delivery", f"{left} of {len(recorded)} trials are on their way to {where}")
        else:
            fix = f"sweeper sync {folder.path}" + ("" if own else " --tracking-uri ADDRESS, if it is still wanted")
            yield note("delivery", f"{left} of {len(recorded)} trials are not at {where}", fix)


def results(folder: RunFolder) -> Finding:
    """Check the digests of the results, and that they are of the recorded trials."""
    if not (folder.results / "trials.parquet").exists():
        return note("results", "none yet; a run writes them when it ends or is stopped")
    try:
        found = load_results(folder.results)
    except SweeperError as error:
        return of_error("results", error, SAME_COMMAND)
    keys, recorded = set(found.trials["key"].to_pylist()), set(Journal(folder.outbox).recorded())
    if lost := keys - recorded:
        return problem(
            "results", f"{len(lost)} of their {len(keys)} trials are not in the outbox", f"{SAME_COMMAND}: it runs them"
        )
    if more := recorded - keys:
        return note(
            "results", f"digest right; {len(more)} recorded trials are not in them", f"{SAME_COMMAND} to add them"
        )
    return ok("results", f"{len(keys)} trials, digest right")


def orphans(folder: RunFolder, finished: bool) -> Iterator[Finding]:
    """Find what a killed run left and nothing needs. To be asked only while no run drives the study.

    Args:
        finished: Whether every trial of the study is recorded, so that nothing is left to continue.
    """
    recorded = set(Journal(folder.outbox).recorded())
    begun = [path for path in _entries(folder.checkpoints) if path.is_dir()]
    left = [path for path in begun if path.name in recorded or finished]
    left += [path for path in _entries(folder.trials) if path.name not in recorded and _is_of_no_use(folder, path)]
    left += [path for path in _entries(folder.panels) if _is_trial_key(path.stem) and path.stem not in recorded]
    left += folder.path.rglob(".*.tmp")
    left += [folder.scratch] if folder.scratch.exists() else []
    if left:
        size = size_words(sum(_size(path) for path in left))
        yield note(
            "leftovers",
            f"{size} that nothing needs: {_named(path.relative_to(folder.path) for path in left)}",
            f"{SAME_COMMAND}, or delete them",
        )
    else:
        yield ok("leftovers", "none")
    waiting = [path for path in begun if path not in left]
    if waiting:
        yield note("unfinished", f"{len(waiting)} trials wait to be continued from a checkpoint", SAME_COMMAND)
    done = [path for path in _entries(folder.trials) if _is_unread(folder, path, recorded)]
    if done:
        yield note("unfinished", f"{len(done)} trials ended while no run listened", f"{SAME_COMMAND}: it records them")


def models(folder: RunFolder) -> Iterator[Finding]:
    """Check the digests of the kept models."""
    kept = sorted(folder.trials.glob("*/model.json"))
    damaged = 0
    for file in kept:
        try:
            read_description(file, file.with_name("model.pt"))
        except (SweeperError, OSError) as error:
            damaged += 1
            yield problem(
                "models", str(error).rpartition("; ")[0] or f"{file}: {error}", "restore it, or do without it"
            )
    if kept and not damaged:
        yield ok("models", f"{len(kept)} kept, digests right")


def corrupt(folder: RunFolder) -> Finding:
    """Find what was set aside as damaged."""
    found = sorted(folder.path.rglob("*.corrupt*"))
    if not found:
        return ok("damage", "nothing was set aside as damaged")
    return note(
        "damage",
        f"set aside as damaged, and made again: {_named(path.relative_to(folder.path) for path in found)}",
        "look at the disk; these files can be deleted",
    )


def data(folder: RunFolder, fingerprint: str) -> Finding:
    """Check that the prepared data is where trials look for it."""
    where = data_cache(folder.path.parent) / fingerprint
    try:
        there = load_data(where)
    except DataError as error:
        if not where.exists():
            return note("prepared data", f"{where}: is gone; the next run prepares it again")
        return of_error("prepared data", error, "delete the folder, it is prepared again")
    if there.fingerprint != fingerprint:
        return problem(
            "prepared data", f"{where}: holds {there.fingerprint}", "delete the folder, it is prepared again"
        )
    patches = sum(len(split) for split in there.splits.values())
    return ok("prepared data", f"{there.name}, {patches} patches")


def of_error(check: str, error: SweeperError, otherwise: str) -> Finding:
    """Return an error of the package as a problem; what it says to do comes after its last semicolon."""
    text, _, fix = str(error).splitlines()[0].rpartition("; ")
    return problem(check, text or fix, fix if text else otherwise)


def _is_locked(handle: int) -> bool:
    """Whether someone else holds the lock; it is taken for an instant, shared, to find out."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # closing the file lets go of it


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_of_no_use(folder: RunFolder, trial: Path) -> bool:
    return trial.is_dir() and not outcome_path(folder, trial.name).exists()


def _is_unread(folder: RunFolder, trial: Path, recorded: Iterable[str]) -> bool:
    return trial.name not in recorded and outcome_path(folder, trial.name).exists()


def _is_trial_key(name: str) -> bool:
    return len(name) == 20 and all(letter in "0123456789abcdef" for letter in name)


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


def _named(things: Iterable[Any]) -> str:
    names = [str(one) for one in things]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _first(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{texts[0]} (and {len(texts) - 1} more)"
