"""The MLflow UI on a study's store, for this machine only."""

from __future__ import annotations

import sys

from sweeper.errors import TrackingError
from sweeper.results.mlflow_client import DEFAULTS, redact


def browse_command(uri: str, artifacts: str | None = None, *, port: int = 5000) -> list[str]:
    """Return the command that serves the store at `uri` on 127.0.0.1; run it with `browse_environment(uri)` added.

    Args:
        uri: Address of a database, e.g. `sqlite:////abs/mlflow.db`.
        artifacts: Folder or bucket for artifacts of experiments made through this server; existing ones know theirs.
        port: Port to listen on.

    Raises: TrackingError when `uri` is a server already.
    """
    if uri.lower().startswith(("http://", "https://")):
        raise TrackingError(f"{redact(uri)}: is a server already; open it in a web browser")
    # One worker and no job runners: on SQLite, five times faster than the default, and 2 processes instead of 15.
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return command if artifacts is None else [*command, "--artifacts-destination", artifacts]


def browse_environment(uri: str) -> dict[str, str]:
    """Return the environment `browse_command` needs; the address is in it, since `ps` shows arguments to everyone."""
    return {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": DEFAULTS["MLFLOW_DISABLE_TELEMETRY"],
    }
