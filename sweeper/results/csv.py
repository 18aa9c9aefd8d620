"""Results as two CSV files, for spreadsheets and for reading without Arrow."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv

from sweeper.results.files import replace_atomically
from sweeper.results.results import Results


def export_csv(results: Results, folder: Path) -> tuple[Path, Path]:
    """Write `trials.csv` and `scores.csv` (RFC 4180, UTF-8, a header line) and return their paths.

    Null is an empty field; an empty text is `""`. Numbers are written so that they read back exactly.

    Raises: ResultsError when the folder cannot be written.
    """
    paths = (folder / "trials.csv", folder / "scores.csv")
    options = arrow_csv.WriteOptions(quoting_style="needed")
    for path, table in zip(paths, (results.trials, results.scores), strict=True):
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(table, sink, options)
        replace_atomically(path, sink.getvalue().to_pybytes())
    return paths
