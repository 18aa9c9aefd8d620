"""The run folder of a study: what lies where, and the lease that keeps a second driver out."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import uuid
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from sweeper.errors import RunFolderError


@dataclass(frozen=True)
class RunFolder:
    """`<out>/<study>/`, where everything of a study lies."""

    path: Path

    @property
    def study(self) -> Path:
        return self.path / "study.yaml"

    @property
    def meta(self) -> Path:
        """What the study says about itself, as of the last start."""
        return self.path / "meta.json"

    @property
    def artefacts(self) -> Path:
        """How well the networks that losses rely on were trained, as of the last trials."""
        return self.path / "artefacts.json"

    @property
    def slots(self) -> Path:
        """What of the machine one trial took, at every start that trained."""
        return self.path / "slots.json"

    @property
    def driver(self) -> Path:
        """Who drives the study: host, process, since when."""
        return self.path / ".driver"

    @property
    def outbox(self) -> Path:
        return self.path / "outbox"

    @property
    def trials(self) -> Path:
        """Per trial key: prediction panels, the kept model, and the outcome on its way to the journal."""
        return self.path / "trials"

    @property
    def checkpoints(self) -> Path:
        """Per trial key: what a trial that was interrupted continues from."""
        return self.path / "checkpoints"

    @property
    def panels(self) -> Path:
        """Test patches, once per data set, and what the trials of the first confirm seed predict there."""
        return self.path / "panels"

    @property
    def results(self) -> Path:
        return self.path / "results"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def scratch(self) -> Path:
        """Ray Tune's own files; of no use after the run."""
        return self.path / ".tune"

    def create(self) -> None:
        """Make the folder; refused with a reason where that cannot be."""
        for folder in (self.path, self.outbox, self.trials, self.checkpoints, self.panels, self.results):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _unusable(folder, error) from None
        if not os.access(self.path, os.W_OK):
            raise RunFolderError(f"{self.path}: no permission to write; give another folder with --out")


def data_cache(out: Path) -> Path:
    """Return the folder of prepared data, shared by all studies under `out`."""
    return out.expanduser().absolute() / ".data"


def check_writable(out: Path) -> None:
    """Refuse an output folder that cannot be written, before anything is made."""
    nearest = out.expanduser().absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise RunFolderError(f"{nearest}: is a file, not a folder; give another folder with --out")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunFolderError(f"{out}: no permission to write in {nearest}; give another folder with --out")


class Lease(AbstractContextManager["Lease"]):
    """The right to drive a study. Held by a lock that the system drops when its holder dies, however it dies."""

    def __init__(self, folder: RunFolder) -> None:
        self.id = uuid.uuid4().hex
        """Of this driver; workers of an earlier one see that they were replaced."""
        self._file = folder.driver
        self._handle: int | None = None
        self._holder: dict[str, str | int | bool] = {}

    def __enter__(self) -> Lease:
        try:
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unusable(self._file, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                os.close(handle)
                raise RunFolderError(
                    f"{self._file}: this file system has no locks ({error.strerror}); use another with --out"
                ) from None
            holder = os.read(handle, 1000).decode(errors="replace").strip()
            os.close(handle)
            raise RunFolderError(
                f"{self._file.parent}: another run drives this study ({_describe(holder)}); wait for it or stop it"
            ) from None
        self._handle = handle
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": started, "id": self.id}
        try:
            self._write()
        except OSError as error:
            os.close(handle)
            raise _unusable(self._file, error) from None
        return self

    @property
    def held(self) -> bool:
        return self._handle is not None

    def tell_workers_to_stop(self) -> None:
        """Let workers know, on whatever machine, that they are to checkpoint after their epoch and end."""
        self._holder["stopping"] = True
        with suppress(OSError):  # then they go on until the second signal, or the end of their trial
            self._write()

    def _write(self) -> None:
        # In place: the lock is on the file, not on its name. No content is shorter than one before it.
        assert self._handle is not None
        content = json.dumps(self._holder).encode()
        os.pwrite(self._handle, content, 0)
        os.ftruncate(self._handle, len(content))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def order(folder: RunFolder, driver: str) -> Literal["go on", "stop", "leave"]:
    """Return what a worker of the driver of that id is to do: leave the trial where another driver has taken over.

    A file that cannot be read says nothing against going on.
    """
    try:
        holder = json.loads(folder.driver.read_text(encoding="utf-8"))
        if holder["id"] != driver:
            return "leave"
        return "stop" if holder.get("stopping") else "go on"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "go on"


def _describe(holder: str) -> str:
    try:
        known = json.loads(holder)
        return f"host {known['host']}, process {known['pid']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):
        return "holder unknown"


def _unusable(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"{folder}: {error.strerror or error}; give another folder with --out")
