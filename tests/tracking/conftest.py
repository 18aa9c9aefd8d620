"""Fixtures for the tests of tracking: the made-up studies of `tests/results`, and SQLite stores for MLflow."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.results.record import TrialRecord
from sweeper.tracking.mlflow_tracker import MlflowTracker
from sweeper.tracking.study_info import StudyInfo
from tests.tracking.fault_proxy import FaultProxy
from tests.tracking.mlflow_server import Server

SYNTHETIC = runpy.run_path(str(Path(__file__).parents[1] / "results" / "synthetic_study.py"))


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TrialRecord]:
    return SYNTHETIC["make_record"]


@pytest.fixture(scope="session")
def make_study() -> Callable[..., tuple[list[TrialRecord], dict[str, Any]]]:
    return SYNTHETIC["make_study"]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """An MLflow database with its tables: making them takes seconds, copying them does not."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(sqlite_uri(path)).search_experiments()
    return path


@pytest.fixture
def store(empty_store, tmp_path) -> str:
    """The address of a fresh MLflow store in the run folder `tmp_path`."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return sqlite_uri(tmp_path / "mlflow.db")


@pytest.fixture
def info(tmp_path) -> StudyInfo:
    meta = SYNTHETIC["make_meta"]()
    return StudyInfo(name=meta["study"]["name"], meta=meta, yaml="name: odd\n", folder=tmp_path)


@pytest.fixture
def open_tracker(store, info) -> Callable[..., MlflowTracker]:
    return lambda experiment="exp", study=info: MlflowTracker(store, experiment, study)


@pytest.fixture(scope="session")
def server(empty_store, tmp_path_factory):
    """An MLflow server; whoever stops it starts it again."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    server = Server(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def proxy(server):
    """A proxy before the server; set its `fault` to misbehave."""
    with FaultProxy(server.port) as running:
        yield running
