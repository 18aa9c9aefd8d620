"""The files of one figure and of one table, by their paths."""

from __future__ import annotations

from sweeper.report.output.figure import Figure
from sweeper.report.output.tabular import rows_to_csv, to_csv, to_parquet
from sweeper.report.output.typeset import Table, to_latex


def figure_files(figure: Figure) -> dict[str, bytes]:
    """Return a figure as SVG, PNG and PDF, and what it draws as CSV."""
    stem = f"figures/{figure.name}"
    return {
        f"{stem}.svg": figure.svg.encode(),
        f"{stem}.png": figure.png,
        f"{stem}.pdf": figure.pdf,
        f"{stem}.csv": rows_to_csv(figure.rows),
    }


def table_files(table: Table) -> dict[str, bytes]:
    """Return a table as CSV and Parquet, and as LaTeX where it is one to be read."""
    stem = f"tables/{table.name}"
    files = {f"{stem}.csv": to_csv(table), f"{stem}.parquet": to_parquet(table)}
    if table.tidy.head:
        files[f"{stem}.tex"] = to_latex(table).encode()
    return files
