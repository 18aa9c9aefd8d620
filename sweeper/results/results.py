"""Results of a study: two tidy tables and what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Results:
    """What a report reads, wherever it came from: equal studies give equal results from Parquet and from MLflow."""

    trials: pa.Table
    """One row per trial, laid out as `schema.TRIALS`."""
    scores: pa.Table
    """One row per trial × split × point × image × class × metric, laid out as `schema.SCORES`."""
    meta: dict[str, Any]
    """Plain JSON, laid out as `meta.Meta`."""
