"""Results as CSV files, one per table, for spreadsheets and for reading without Arrow."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from sweeper.results.files import replace_atomically
from sweeper.results.results import Results


def export_csv(results: Results, folder: Path) -> tuple[Path, ...]:
    """Write a file per table, e.g. `trials.csv` (RFC 4180, UTF-8, a header line), and return their paths.

    Null is an empty field; an empty text is `""`. Numbers are written so that they read back exactly. A list
    of numbers becomes a column per number, `found_0`, `found_1` and so on.

    Raises: ResultsError when the folder cannot be written.
    """
    options = arrow_csv.WriteOptions(quoting_style="needed")
    paths = []
    for name, table in results.tables.items():
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(_flat(table), sink, options)
        paths.append(folder / f"{name}.csv")
        replace_atomically(paths[-1], sink.getvalue().to_pybytes())
    return tuple(paths)


def _flat(table: pa.Table) -> pa.Table:
    columns: dict[str, pa.ChunkedArray] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_fixed_size_list(field.type):
            columns |= {f"{field.name}_{at}": pc.list_element(column, at) for at in range(field.type.list_size)}
        else:
            columns[field.name] = column
    return pa.table(columns)
