import http.server
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeper.errors import TrackingError
from sweeper.results.mlflow_client import sqlite_path
from sweeper.tracking import uri as address


def told(uri):
    """What `check` says of an address: one line, soon, without the password."""
    start = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        address.check(uri)
    assert time.monotonic() - start < 5
    text = str(caught.value)
    assert "\n" not in text
    assert "s3cret" not in text
    return text


def test_none_means_a_store_in_the_run_folder(tmp_path):
    folder = tmp_path / "run 100%?#é"
    assert sqlite_path(address.resolve(None, folder)) == folder / "mlflow.db"
    address.check(address.resolve(None, folder))
    assert not folder.exists(), "checking makes nothing"
    assert address.resolve("http://host", folder) == "http://host"


def test_a_relative_run_folder_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert address.resolve(None, Path("runs/x")) == f"sqlite:///{tmp_path}/runs/x/mlflow.db"


def test_artifacts_lie_in_the_run_folder_unless_a_server_decides(tmp_path):
    assert address.artifact_location("sqlite:///x.db", tmp_path) == (tmp_path / "artifacts").as_uri()
    assert address.artifact_location("postgresql+psycopg2://h/d", tmp_path) == (tmp_path / "artifacts").as_uri()
    assert address.artifact_location("https://h", tmp_path) is None


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("./mlruns", "is a folder, and MLflow has retired its file store; write sqlite:////"),
        ("file:///data/mlruns", "retired its file store; write sqlite:////data/mlruns/mlflow.db"),
        (
            "postgresql://mlflow:s3cret@db/mlflow",
            r"no database driver; write postgresql\+psycopg2://mlflow:\*\*\*@db/mlflow",
        ),
        ("postgres://mlflow:s3cret@db/mlflow", r"write postgresql\+psycopg2://"),
        ("mysql://u:s3cret@db/mlflow", r"write mysql\+pymysql://"),
        ("mysql+pymysql://u:s3cret@db/mlflow", "driver is not installed; pip install 'pymysql'"),
        ("htp://host:5000", "'htp' is no scheme sweeper knows; did you mean 'http'"),
        ("sqllite:///x.db", "did you mean 'sqlite'"),
        ("localhost:5000", "has no scheme; write http://localhost:5000"),
        ("http://", "names no host"),
        ("http://host:five", "is not an address"),
        ("http://[::1", "is not an address"),
        ("databricks", "Databricks is not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("", "retired its file store"),
    ],
)
def test_an_address_that_cannot_work_is_told_with_the_fix(uri, says):
    import re

    assert re.search(says, told(uri))


def test_sqlite_places_that_cannot_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no database at all, but long enough to be taken for one " * 20)
    assert "file is not a database" in told(f"sqlite:///{tmp_path}/file")
    assert "is a file, not a folder" in told(f"sqlite:///{tmp_path}/file/mlflow.db")
    assert f"is a folder; name a file in it: sqlite:///{tmp_path}/mlflow.db" in told(f"sqlite:///{tmp_path}")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert "cannot be written" in told(f"sqlite:///{tmp_path}/mlflow.db")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nothing_answers():
    assert "no MLflow server answers there (connection refused)" in told(f"http://u:s3cret@127.0.0.1:{free_port()}")
    assert "host name not found" in told("http://no-such-host.invalid:5000")


def test_a_database_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(address, "find_spec", lambda module: object())
    assert "nothing answers at 127.0.0.1" in told(f"postgresql+psycopg2://u:s3cret@127.0.0.1:{free_port()}/mlflow")


@contextmanager
def answering(status, body=b"", delay=0.0):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(delay)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, b"", "start it with --allowed-hosts 127.0.0.1:"),
        (404, b"", r"not an MLflow server (HTTP 404)"),
        (200, b"<html>welcome", "not an MLflow server (HTTP 200)"),
        (502, b"", "does not answer as it should (HTTP 502)"),
        (429, b"", "or try later"),
    ],
)
def test_something_else_answers(status, body, says, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with answering(status, body) as uri:
        assert says in told(uri)


@pytest.mark.parametrize("body", [b'{"experiments": []}', b"{}"])
def test_an_mlflow_server_answers(body):
    with answering(200, body) as uri:
        address.check(uri)


def test_a_server_that_says_nothing_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "no answer in time" in told(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_looking_up_a_name_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(address, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(address, "_ask_server", lambda uri, parts: time.sleep(1))
    assert "no answer within 0.2 seconds" in told("http://host:5000")


def test_a_target_does_not_depend_on_user_or_password():
    first = address.target_id("postgresql+psycopg2://a:s3cret@db/mlflow", "exp")
    assert first == address.target_id("postgresql+psycopg2://b:other@db/mlflow", "exp")
    assert first == address.target_id("postgresql+psycopg2://db/mlflow/", "exp")
    others = [
        ("postgresql+psycopg2://db/other", "exp"),
        ("postgresql+psycopg2://db/mlflow", "exp2"),
        ("http://db/mlflow", "exp"),
    ]
    assert len({first, *(address.target_id(*other) for other in others)}) == 4
