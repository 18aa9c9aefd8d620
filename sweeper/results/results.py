"""Results of a study: its tidy tables and what they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from sweeper.results.digest import digest
from sweeper.results.schema import EPOCHS, MARGINS, RELIABILITY, TABLES


@dataclass(frozen=True)
class Results:
    """What a report reads, wherever it came from: equal studies give equal results from Parquet and from MLflow."""

    trials: pa.Table
    """One row per trial, laid out as `schema.TRIALS`."""
    scores: pa.Table
    """One row per trial × split × point × image × class × metric, laid out as `schema.SCORES`."""
    meta: dict[str, Any]
    """Plain JSON, laid out as `meta.Meta`."""
    epochs: pa.Table = field(default_factory=EPOCHS.empty_table)
    """One row per trial × epoch, laid out as `schema.EPOCHS`."""
    margins: pa.Table = field(default_factory=MARGINS.empty_table)
    """One row per confirm trial × split × image, laid out as `schema.MARGINS`."""
    reliability: pa.Table = field(default_factory=RELIABILITY.empty_table)
    """One row per confirm trial × probability bin, laid out as `schema.RELIABILITY`."""

    @cached_property
    def digest(self) -> str:
        """A hash of all that is in here; worked out once."""
        return digest(self.meta, self.tables)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """All tables by their names, in the order of `schema.TABLES`."""
        return {name: getattr(self, name) for name in TABLES}
