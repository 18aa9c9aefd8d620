"""Numbers of the literature beside the measured ones."""

from __future__ import annotations

import pandas as pd

from sweeper.report import literature as published
from sweeper.report.document import Document
from sweeper.report.output.columns import FAMILY, sentence
from sweeper.report.output.typeset import Cell, Column, Grid, Table, cell, table, word
from sweeper.report.output.writing import text
from sweeper.report.section import Section


def literature(document: Document) -> Section:
    """Build the section."""
    return Section(
        "literature",
        "Literature",
        tables={"literature": _literature()},
        figures={},
        words={"hypothesis": published.HYPOTHESIS},
    )


def _literature() -> Table:
    frame = published.literature()
    sources = list(dict.fromkeys(frame["source"]))
    listed_sources = " ".join(f"[{number}] {source}." for number, source in enumerate(sources, start=1))
    return table(
        "literature",
        "Literature numbers",
        f"{sentence(published.LABEL)}. {listed_sources}",
        frame,
        [
            FAMILY,
            Column("class", word("klass")),
            Column("metric", word("metric")),
            Column("value", lambda row: text(row.value), numeric=True),
            Column("source", lambda row: f"[{sources.index(row.source) + 1}]"),
        ],
        page=_literature_grid(frame, sources),
    )


def _literature_grid(frame: pd.DataFrame, sources: list[str]) -> Grid:
    """Gather the metrics that a source gives of a family and class in one row."""
    metrics = list(dict.fromkeys(frame["metric"]))
    rows = []
    for (family, klass, source), group in frame.groupby(["family", "class", "source"], sort=False):
        found = dict(zip(group["metric"], group["value"], strict=True))
        values = [cell(text(found.get(metric))) for metric in metrics]
        rows.append((Cell(str(family)), Cell(str(klass)), *values, Cell(f"[{sources.index(str(source)) + 1}]")))
    head = ("family", "class", *metrics, "source")
    return Grid(head, tuple(rows), frozenset(range(2, 2 + len(metrics))))
