"""Where MLflow is: whether it answers, and which version it is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from time import time

from packaging.version import InvalidVersion, Version

from sweeper.errors import TrackingError
from sweeper.orchestration.checks.finding import Finding, note, ok, problem
from sweeper.tracking.uri import check, redact

CHECK = "MLflow"

SECONDS = 3.0
"""How long the server may take to say its version."""

OLDEST = Version("3.11")
"""Servers before it let requests past their passwords (CVE-2026-2652), or read files outside their folder."""

SKEW = 60.0
"""Seconds by which the server's clock may differ: it stamps runs with its own."""

_VERSION = re.compile(r"\d+(\.\d+)+\S{0,20}")


@dataclass(frozen=True)
class Server:
    """What an MLflow server says of itself."""

    version: str | None
    """None where it does not say."""
    ahead: float | None
    """By how many seconds its clock is ahead of ours."""


def tracking(uri: str, own: bool) -> Finding:
    """Try an MLflow address. Takes no longer than `uri.check` and SECONDS together.

    Args:
        own: Whether it is the store inside the run folder, which needs no server.
    """
    try:
        check(uri)
    except TrackingError as error:
        text, _, fix = str(error).rpartition("; ")
        return problem(CHECK, text, fix)
    if not uri.lower().startswith("http"):
        what = "a store inside the run folder" if own else redact(uri)
        return ok(CHECK, f"{what}, written with MLflow {version('mlflow')}")
    return judge(redact(uri), ask(uri))


def judge(address: str, server: Server) -> Finding:
    """Judge a server that answers."""
    if server.version is None:
        return note(CHECK, f"{address} answers; which version it is could not be checked: it does not say")
    try:
        old = Version(server.version) < OLDEST
    except InvalidVersion:
        old = False
    if old:
        return note(
            CHECK,
            f"{address} is MLflow {server.version}, with known holes",
            f"update the server to {OLDEST} or later, or keep it off shared networks",
        )
    if server.ahead is not None and abs(server.ahead) > SKEW:
        return note(
            CHECK, f"{address} is MLflow {server.version}, its clock is {server.ahead:+.0f} s off", "set it by NTP"
        )
    return ok(CHECK, f"{address} answers, MLflow {server.version}")


def ask(uri: str) -> Server:
    """Ask a server for its version, as MLflow's client would; what it does not say is None."""
    import requests

    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    try:
        answer = requests.get(
            uri.rstrip("/") + "/version",
            auth=(user, password) if user and password else None,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=False if insecure else os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True,
            timeout=SECONDS,
        )
    except (requests.exceptions.RequestException, ValueError):
        return Server(None, None)
    text = answer.text.strip()
    said = text if answer.status_code == 200 and _VERSION.fullmatch(text) else None
    return Server(said, _ahead(answer.headers.get("Date")))


def _ahead(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time() if date else None
    except ValueError:
        return None
