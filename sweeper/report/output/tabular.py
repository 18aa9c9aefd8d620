"""A table's numbers as files for programs: CSV and Parquet."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweeper.report.output.typeset import Table

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins that a spreadsheet would compute (OWASP, CSV Injection); the last four are full-width."""


def to_csv(table: Table) -> bytes:
    """Return CSV (UTF-8, a header line). A text that a spreadsheet would take for a formula gets an apostrophe before
    it; numbers are written so that they read back exactly."""
    return _csv(table.frame.copy())


def rows_to_csv(rows: list[dict[str, Any]]) -> bytes:
    """Return what a chart draws as CSV, under the columns that any of its rows has."""
    return _csv(pd.DataFrame(rows))


def _csv(frame: pd.DataFrame) -> bytes:
    for name in frame.columns:
        if frame[name].dtype == object or str(frame[name].dtype).startswith(("str", "category")):
            frame[name] = pd.Series([_safe(value) for value in frame[name]], index=frame.index, dtype=object)
    frame.columns = pd.Index([_safe(name) for name in frame.columns])
    return frame.to_csv(index=False, lineterminator="\n").encode()


def to_parquet(table: Table) -> bytes:
    """Return Parquet with the table's title and caption, which says by which rule the numbers were chosen."""
    frame = table.frame.copy()
    for name in frame.columns:
        if frame[name].dtype == object and len({type(value) for value in frame[name].dropna()}) > 1:
            # Numbers and words in one column, as the settings of different families are: Parquet has one type.
            written = [None if value is None or value != value else json.dumps(value) for value in frame[name]]
            frame[name] = pd.Series(written, index=frame.index, dtype=object)
    content = pa.Table.from_pandas(frame, preserve_index=False)
    content = content.replace_schema_metadata({"sweeper.title": table.title, "sweeper.caption": table.caption})
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink, compression="zstd")
    return bytes(sink.getvalue())


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
