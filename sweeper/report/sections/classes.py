"""Scores of single classes."""

from __future__ import annotations

from sweeper.report import tables
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.evidence import ALL
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.columns import rule
from sweeper.report.output.typeset import Cell, Grid, Table, score_cell, table
from sweeper.report.output.writing import MISSING, listed, percent
from sweeper.report.section import Section
from sweeper.results.schema import POOLED_METRICS


def classes(document: Document) -> Section:
    """Build the section."""
    return Section(
        "classes", "Per class", tables={"per_class": _per_class(document), "measured": _measured(document)}, figures={}
    )


def _per_class(document: Document) -> Table:
    frame = tables.per_class(document.measured)
    names = [METRIC_NAMES[metric] for metric in POOLED_METRICS]
    levels = tables.shown_levels(document.results)
    # The mean over all classes says little beside that over the minority: it stays in the files.
    kept = frame[frame["level"].isin(levels) & (frame["class"] != ALL) & frame["metric"].isin(POOLED_METRICS)]
    wide: dict[tuple[str, float, str], dict[str, Cell]] = {}
    for row in kept.to_dict("records"):
        cells = wide.setdefault((row["family"], row["level"], row["class"]), {})
        cells[METRIC_NAMES[row["metric"]]] = score_cell(Interval(row["mean"], row["low"], row["high"]))
    rows = tuple(
        (Cell(family), Cell(percent(at)), Cell(klass), *(cells.get(name, Cell(MISSING)) for name in names))
        for (family, at, klass), cells in wide.items()
    )
    head = ("family", "background", "class", *names)
    numeric = frozenset({1, *range(3, len(head))})
    return Table(
        "per_class",
        "Scores per class",
        "Tuned, argmax, test, mean of seeds with 95 % intervals; a dash is a class that no test picture shows, or "
        f"precision of one never predicted. All levels are in the CSV file. {rule(document)}",
        frame,
        tidy=Grid(head, rows, numeric),
        grid=Grid(head, rows, numeric, stacked=True),
        about=f"every class of every family at {listed(percent(one) for one in levels)} background",
    )


def _measured(document: Document) -> Table:
    # Thousands of rows: a file to compute with, not a table to read.
    caption = f"95 % intervals over seeds and test images. {rule(document)}"
    return table("measured", "Everything measured on test", caption, document.measured, [])
