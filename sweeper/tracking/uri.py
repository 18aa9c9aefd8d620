"""MLflow addresses: the default one, what is wrong with a given one, and how to show one without its password."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from sweeper.errors import TrackingError, suggest
from sweeper.results import mlflow_secrets as secrets
from sweeper.results.mlflow_client import one_line, redact, sqlite_path, sqlite_uri
from sweeper.tracking.door import TrackerUnreachable

__all__ = ["artifact_location", "check", "redact", "resolve", "target_id"]

DATABASES = {
    "postgresql+psycopg2": ("psycopg2", "psycopg2-binary", 5432),
    "postgresql+psycopg": ("psycopg", "psycopg[binary]", 5432),
    "mysql+pymysql": ("pymysql", "pymysql", 3306),
}
"""Scheme -> the module it needs, the package that brings it, the port it uses unless told."""
SCHEMES = ("sqlite", "http", "https", *DATABASES)
DRIVERLESS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2", "mysql": "mysql+pymysql"}

CONNECT_SECONDS = 3.0
CHECK_SECONDS = 4.5
"""No check takes longer, whatever name servers and half-open connections do."""


def resolve(uri: str | None, run_folder: Path) -> str:
    """Return the address to use: `uri` itself, or an SQLite store inside the run folder where none is given."""
    if uri is not None:
        return uri
    return sqlite_uri(run_folder.absolute() / "mlflow.db")


def artifact_location(uri: str, run_folder: Path) -> str | None:
    """Return where a new experiment keeps artifacts: in the run folder, or None where a server decides."""
    return None if _scheme(uri) in ("http", "https") else (run_folder.absolute() / "artifacts").as_uri()


def without_credentials(uri: str) -> str:
    """Return the address as it may be stored: without user and password, a relative SQLite file made absolute."""
    file = sqlite_path(uri)
    return sqlite_uri(file.absolute()) if file is not None else secrets.without_credentials(uri)


def target_id(uri: str, experiment: str) -> str:
    """Return a short id of an address and experiment, for delivery marks. User and password do not enter it."""
    address = uri if sqlite_path(uri) is not None else secrets.without_credentials(uri)
    return hashlib.sha256(f"{address.rstrip('/')}\n{experiment}".encode()).hexdigest()[:16]


def check(uri: str) -> None:
    """Try an address, within 5 seconds, before hours of work depend on it.

    Raises: TrackingError in one line, without the password, naming what would be right.
    """
    parts = _split(uri)
    if parts.scheme == "sqlite":
        _check_sqlite(uri)
    elif parts.scheme in DATABASES:
        _check_database(uri, parts)
    else:
        _check_server(uri, parts)


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        # What the error quotes may be a piece of the password: one with a slash in it ends the host.
        raise TrackingError(
            f"{redact(uri)}: is not an address; write e.g. http://host:5000, with /, ?, # and @ in a password as "
            "%2F, %3F, %23 and %40"
        ) from None
    scheme = _scheme(uri)
    if scheme in ("databricks", "databricks-uc"):
        raise TrackingError(
            f"{redact(uri)}: Databricks is not supported; use an MLflow server, http://host:5000, or sqlite:///file"
        )
    if scheme == "file" or "://" not in uri:
        if "/" not in uri and uri.rpartition(":")[2].isdigit():
            raise TrackingError(f"{redact(uri)}: has no scheme; write http://{redact(uri)}")
        path = Path(unquote(parts.path) if scheme == "file" else uri).absolute()
        raise TrackingError(
            f"{redact(uri)}: is a folder, and MLflow has retired its file store; write {sqlite_uri(path / 'mlflow.db')}"
        )
    if scheme in DRIVERLESS:
        _, _, rest = uri.partition("://")
        raise TrackingError(
            f"{redact(uri)}: names no database driver; write {redact(f'{DRIVERLESS[scheme]}://{rest}')}"
        )
    if scheme not in SCHEMES:
        raise TrackingError(f"{redact(uri)}: {scheme!r} is no scheme sweeper knows; {suggest(scheme, SCHEMES)}")
    return parts


def _scheme(uri: str) -> str:
    return uri.partition(":")[0].lower()


def _check_sqlite(uri: str) -> None:
    path = sqlite_path(uri)
    if path is None:
        raise TrackingError(
            f"{redact(uri)}: names no file; write sqlite:///relative/mlflow.db or sqlite:////absolute/mlflow.db"
        )
    if path.is_dir():
        raise TrackingError(f"{redact(uri)}: is a folder; name a file in it: {uri.rstrip('/')}/mlflow.db")
    if not path.exists():
        _check_folder(uri, path.absolute().parent)
        return
    if not os.access(path, os.W_OK):
        raise TrackingError(f"{redact(uri)}: the file cannot be written; change its permissions or name another")
    try:
        with closing(sqlite3.connect(path, timeout=CONNECT_SECONDS)) as database:
            database.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise TrackingError(
            f"{redact(uri)}: cannot be opened as an SQLite database ({error}); name another file"
        ) from error


def _check_folder(uri: str, folder: Path) -> None:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        raise TrackingError(f"{redact(uri)}: {there} is a file, not a folder; name another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise TrackingError(
            f"{redact(uri)}: the folder {there} cannot be written; change its permissions or name another"
        )


def _check_database(uri: str, parts: SplitResult) -> None:
    module, package, port = DATABASES[parts.scheme]
    if find_spec(module) is None:
        raise TrackingError(f"{redact(uri)}: the database driver is not installed; pip install '{package}'")
    if not parts.hostname:
        raise TrackingError(f"{redact(uri)}: names no host; write {parts.scheme}://user:password@host/database")
    _within_time(uri, lambda: _try_connecting(uri, str(parts.hostname), parts.port or port))


def _try_connecting(uri: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise TrackingError(
            f"{redact(uri)}: nothing answers at {host}:{port} ({error.strerror or error}); "
            "start the database or mend the address"
        ) from error


def _check_server(uri: str, parts: SplitResult) -> None:
    if not parts.hostname:
        raise TrackingError(f"{redact(uri)}: names no host; write {parts.scheme}://host:5000")
    _within_time(uri, lambda: _ask_server(uri, parts))


def _ask_server(uri: str, parts: SplitResult) -> None:
    """Ask as MLflow's own client would: `requests` reads the same proxies, certificates and .netrc."""
    import requests

    headers = {}
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    try:
        answer = requests.get(
            uri.rstrip("/") + "/api/2.0/mlflow/experiments/search?max_results=1",
            auth=(user, password) if user and password else None,
            headers=headers,
            verify=False if insecure else os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True,
            timeout=CONNECT_SECONDS,
        )
    except requests.exceptions.SSLError as error:
        raise TrackingError(
            f"{redact(uri)}: its certificate is not trusted; "
            "set MLFLOW_TRACKING_SERVER_CERT_PATH to your authority's file"
        ) from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise TrackingError(
            f"{redact(uri)}: no MLflow server answers there ({_cause(error)}); "
            "start it with `mlflow server` or mend the address"
        ) from error
    _judge(uri, answer.status_code, "experiments" in answer.text or answer.text.strip() == "{}")


def _judge(uri: str, status: int, speaks_mlflow: bool) -> None:
    if status == 401:
        # MLflow also reads ~/.mlflow/credentials; whoever keeps the password there is not stopped here.
        if not (Path.home() / ".mlflow" / "credentials").exists():
            raise TrackingError(
                f"{redact(uri)}: the server asks for a user; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
    elif status == 403:
        raise TrackingError(
            f"{redact(uri)}: the server refuses this host name or user (403); "
            f"start it with --allowed-hosts {urlsplit(uri).netloc.rpartition('@')[2]}, or use another user"
        )
    elif status == 429 or status >= 500:
        raise TrackerUnreachable(
            f"{redact(uri)}: the server does not answer as it should (HTTP {status}); see its log, or try later"
        )
    elif status != 200 or not speaks_mlflow:
        raise TrackingError(
            f"{redact(uri)}: what answers is not an MLflow server (HTTP {status}); mend host, port and path"
        )


def _cause(error: BaseException) -> str:
    """Return the operating system's word for a failed connection, which `requests` wraps in layers of its own."""
    text = str(error)
    for sign, word in {
        "refused": "connection refused",
        "resolve": "host name not found",
        "timed out": "no answer in time",
        "unreachable": "network unreachable",
    }.items():
        if sign in text.lower():
            return word
    return one_line(error, 120)


def _within_time(uri: str, probe: Callable[[], None]) -> None:
    """Run `probe` and give up after CHECK_SECONDS: looking up a host name knows no time limit of its own."""
    outcome: list[TrackingError] = []

    def run() -> None:
        try:
            probe()
        except TrackingError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True, name="sweeper-check-uri")
    thread.start()
    thread.join(CHECK_SECONDS)
    if thread.is_alive():
        raise TrackingError(
            f"{redact(uri)}: no answer within {CHECK_SECONDS:g} seconds; start the server or mend the address"
        )
    if outcome:
        raise outcome[0]
