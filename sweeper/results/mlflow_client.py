"""One way to reach MLflow: quiet, impatient, and with its errors in one line without passwords."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sweeper.results.mlflow_secrets import one_line as one_line
from sweeper.results.mlflow_secrets import redact as redact

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

DEFAULTS = {
    # MLflow's own patience, 7 retries of up to 120 s, blocks for minutes when a server is gone.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A server may ask for an hour; whoever waits here has other things to do, and tries again by itself.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Standard output is for answers; progress is the command line's to show.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
"""Settings of the MLflow client in this process, where the user has set none."""

PAGE = 200
"""Runs per request: with hundreds of metrics each, a few megabytes."""


def connect(uri: str) -> MlflowClient:
    """Return a client of the MLflow store or server at `uri`; no global state of MLflow is touched.

    A database is opened, and made where it is SQLite and missing; a server is not contacted yet.
    """
    configure()
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an `sqlite:///file` address, or None for any other address, or one without a file."""
    scheme, separator, rest = uri.partition(":///")
    path = unquote(rest.partition("?")[0])
    return Path(path) if separator and scheme.lower() == "sqlite" and path.strip("/") else None


def sqlite_uri(path: Path) -> str:
    """Return the address of an SQLite file. SQLAlchemy decodes percent signs, and ends the path at a question mark."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def configure() -> None:
    """Put `DEFAULTS` into the environment. To be called before MLflow is first imported: it reads some of them then."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # MLflow 3.17 maps its tables in a way SQLAlchemy 2.1 deprecates; its user cannot mend that.
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy", category=DeprecationWarning)


def search_runs(client: MlflowClient, experiment_id: str, condition: str, *, deleted: bool = False) -> Iterator[Run]:
    """Yield the runs of an experiment that meet `condition`, oldest first, page by page; deleted ones only if asked."""
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id], condition, view, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return
