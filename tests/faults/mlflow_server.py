"""A real MLflow server on 127.0.0.1 that can be killed and started again, and what lies in its database."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import urllib.request
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.tracking.browse import browse_command, browse_environment
from tests.faults.processes import wait


class MlflowServer:
    """The server `sweeper browse` starts, on an empty store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "mlflow.db"
        connect(sqlite_uri(self.database)).search_experiments()  # makes the tables
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs; it answers some seconds later."""
        if self._process is not None and self._process.poll() is None:
            return
        store = sqlite_uri(self.database)
        command = browse_command(store, str(self.folder / "served"), port=self.port)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **browse_environment(store)},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        assert wait(self._answers, 180), (self.folder / "server.log").read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def forget(self, experiment: str) -> None:
        """Remove the files of an experiment: the models of many studies fill a disk."""
        with closing(sqlite3.connect(self.database, timeout=30)) as store:
            found = store.execute("select experiment_id from experiments where name = ?", (experiment,)).fetchall()
        for (number,) in found:
            shutil.rmtree(self.folder / "served" / str(number), ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@dataclass(frozen=True)
class Tracked:
    """What a database says of one experiment, read without MLflow and without sweeper."""

    trials: Counter[str]
    """How many active trial runs there are of each trial key."""
    studies: int
    """How many active study runs."""
    families: Counter[str]
    """How many active runs of each family."""
    content: dict[str, dict[str, Any]]
    """By trial key, what its run holds but for what is measured: status, params, metrics with their steps."""

    @classmethod
    def read(cls, database: Path, experiment: str) -> Tracked:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as store:
            runs = {
                str(run): str(status)
                for run, status in store.execute(
                    "select run_uuid, status from runs join experiments using (experiment_id) "
                    "where experiments.name = ? and runs.lifecycle_stage = 'active'",
                    (experiment,),
                )
            }
            tags: dict[str, dict[str, str]] = {run: {} for run in runs}
            for run, key, value in store.execute("select run_uuid, key, value from tags"):
                if run in tags:
                    tags[run][key] = value
            params: dict[str, dict[str, str]] = {run: {} for run in runs}
            for run, key, value in store.execute("select run_uuid, key, value from params"):
                if run in params:
                    params[run][key] = value
            metrics: dict[str, dict[str, list[tuple[int, float | None]]]] = {run: {} for run in runs}
            columns = "run_uuid, key, step, value, is_nan"
            for run, key, step, value, is_nan in store.execute(f"select {columns} from metrics order by key, step"):
                if run in metrics and "seconds" not in key:
                    metrics[run].setdefault(key, []).append((step, None if is_nan else value))
        kind = {run: found.get(layout.KIND) for run, found in tags.items()}
        trials = [run for run in runs if kind[run] == "trial"]
        return cls(
            trials=Counter(tags[run][layout.TRIAL_KEY] for run in trials),
            studies=sum(one == "study" for one in kind.values()),
            families=Counter(tags[run][layout.FAMILY] for run in runs if kind[run] == "family"),
            content={
                tags[run][layout.TRIAL_KEY]: {
                    "status": runs[run],
                    "params": params[run],
                    "metrics": metrics[run],
                }
                for run in trials
            },
        )
