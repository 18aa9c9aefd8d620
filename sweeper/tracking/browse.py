"""The MLflow UI on a study's store, for this machine only."""

from __future__ import annotations

import sys
from pathlib import Path

from sweeper.errors import TrackingError
from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import DEFAULTS, connect, redact, search_runs, sqlite_path
from sweeper.tracking.identity import known_identity
from sweeper.tracking.view import page_path


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


def study_page(uri: str, experiment: str, study: str, run_folder: Path | None = None) -> str:
    """Return the path of a study's page, one row per family, on a server of the store at `uri`; "" before it is there.

    The store is only read.

    Args:
        run_folder: Whose study is meant, where several have one of this name.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    database = sqlite_path(uri)
    if database is not None and not database.is_file():
        return ""
    try:
        client = connect(uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return ""
        own = None if run_folder is None else known_identity(run_folder)
        for run in search_runs(client, found.experiment_id, f"tags.`{layout.KIND}` = 'study'"):
            tags = run.data.tags
            if tags.get(layout.STUDY) == study and (own is None or tags.get(layout.RUN_FOLDER, own) == own):
                return page_path(found.experiment_id, run.info.run_id)
    except (MlflowException, SQLAlchemyError):
        return ""  # the server will say what is wrong with the store
    return ""
