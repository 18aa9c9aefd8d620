"""How well the curves of raster logs are recovered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from sweeper.report import curves as charts
from sweeper.report import tables
from sweeper.report.document import Document
from sweeper.report.inference.statistics import Interval
from sweeper.report.measured import select
from sweeper.report.output.columns import FAMILY, LEVEL, places, rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Column, Grid, Table, score_cell, table, word
from sweeper.report.output.writing import MISSING, percent
from sweeper.report.section import Section
from sweeper.results.schema import CURVE_METRICS


def curves(document: Document) -> Section | None:
    """Build the section; None for data without curves."""
    found = _table(document)
    if found is None:
        return None
    return Section("curves", "Recovered curves", tables={"curves": found}, figures={"curves": _chart(document)})


def _table(document: Document) -> Table | None:
    frame = tables.curves(document.measured)
    if frame.empty:
        return None

    def error(row: Any) -> Cell:
        found = score_cell(Interval(row.mae, row.mae_low, row.mae_high), factor=100, places=1)
        return found if row.mae_seeds in (0, row.seeds) else Cell(found.text, f"{row.mae_seeds} of {row.seeds} seeds")

    def coverage(row: Any) -> Cell:
        return score_cell(Interval(row.coverage, row.coverage_low, row.coverage_high), factor=100, places=1)

    partial = ""
    if (frame["mae_seeds"] < frame["seeds"]).any():
        partial = " Where only some seeds have an MAE, it is their mean, and their number stands for the interval."
    return table(
        "curves",
        "Curves recovered from the masks",
        "Tuned, argmax, whole test logs, which have no level weights: the level is that of training. MAE: mean "
        "distance to the true curve, in % of the track width; a position at random is 25 % off, and a log in which a "
        "curve is never predicted counts as that. Coverage: % of the depth rows with ink of the curve in which it was "
        f"found. Mean of seeds with 95 % intervals over seeds alone.{partial} Scores at the shifted threshold are in "
        f"the files. {rule(document)}",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("curve", word("klass")),
            Column("point", word("point")),
            Column("MAE, % of width", error, numeric=True),
            Column("coverage, %", coverage, numeric=True),
        ],
        page=_curves_grid(frame[frame["point"] == "argmax"], document.families, error, coverage),
    )


def _curves_grid(
    frame: pd.DataFrame, families: list[str], error: Callable[[Any], Cell], coverage: Callable[[Any], Cell]
) -> Grid:
    """Gather the curves of a family at a level in one row, every MAE with its coverage beside it."""
    names = sorted(frame["class"].unique())
    rows = []
    for family, at, group in places(frame.rename(columns={"class": "klass"}), families):
        found = {row.klass: (error(row), coverage(row)) for row in group.itertuples()}
        cells = [one for name in names for one in found.get(name, (Cell(MISSING), Cell(MISSING)))]
        rows.append((Cell(family), Cell(percent(at)), *cells))
    head = ("family", "background", *(part for name in names for part in (f"{name}: MAE %", "coverage %")))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)


def _chart(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", point="argmax")
    rows = rows[rows["metric"].isin(CURVE_METRICS)].dropna(subset=["mean"])
    if rows["level"].nunique() < 2:
        return None
    return Figure(
        "curves",
        "Error and coverage of the recovered curves",
        charts.recovered(rows, document.look),
        alt="Error and coverage of every recovered curve over the background fraction, one line per family.",
        caption="Tuned setting, argmax, test; 95 % intervals over seeds, families set a little apart sideways. A log "
        "in which a curve is never predicted counts with the error of a blind guess, 25 % of the track width.",
    )
