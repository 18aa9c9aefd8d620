"""Parameters and metrics of a run, in as few calls as MLflow allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sweeper.tracking.mlflow_entries import Point

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

METRICS_PER_CALL = 800
"""MLflow takes 1000 entities and 1 MB per call."""
PARAMS_PER_CALL = 100


def log(client: MlflowClient, run: Run, params: Mapping[str, str], points: Iterable[Point] = ()) -> None:
    """Log parameters and metrics, mostly in one call. A parameter the run has is left: none can be changed."""
    from mlflow.entities import Metric, Param

    start = run.info.start_time
    metrics = [Metric(p.name, p.value, start + round(p.seconds * 1000), p.step) for p in points]
    texts = [Param(name, text) for name, text in params.items() if name not in run.data.params]
    for some_metrics, some_texts in zip_longest(_pieces(metrics, METRICS_PER_CALL), _pieces(texts, PARAMS_PER_CALL)):
        client.log_batch(run.info.run_id, metrics=some_metrics or (), params=some_texts or ())


def _pieces(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
