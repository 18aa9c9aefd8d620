"""Every family at argmax and with its threshold tuned on validation."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sweeper.report import comparisons, curves, tables
from sweeper.report.columns import FAMILY, LEVEL, SHOWN, places, sentence
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.evidence import POINTS
from sweeper.report.figure import Figure
from sweeper.report.measured import select
from sweeper.report.pairings import dumbbell
from sweeper.report.section import Section
from sweeper.report.typeset import Cell, Column, Grid, Table, decimal, spread, table, word
from sweeper.report.writing import MISSING, digits, percent
from sweeper.results.schema import MINORITY


def points(document: Document) -> Section:
    """Build the section."""
    base = comparisons.baseline(document.results)
    return Section(
        "points",
        "Two operating points",
        tables={
            "operating_points": _operating_points(document),
            "against_baseline": None if base is None else _against(document, base),
        },
        figures={
            "precision_recall": _precision_recall(document),
            "thresholds": dumbbell(
                document, "thresholds", "point", "argmax", "shifted", "What tuning the threshold alone gains"
            ),
        },
    )


def _operating_points(document: Document) -> Table:
    frame = tables.operating_points(document.results, document.measured)
    return table(
        "operating_points",
        "Scores at both points",
        "Tuned, mean over the minority classes: argmax → shifted, each with its 95 % interval. Shifted: the offset "
        "chosen on validation is added to the background logit; its mean over seeds is shown.",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("metric", lambda row: METRIC_NAMES[row.metric]),
            Column("argmax", spread("argmax", "argmax_low", "argmax_high"), numeric=True),
            Column("shifted", spread("shifted", "shifted_low", "shifted_high"), numeric=True),
            Column("offset", decimal("offset", 2, sign=True), numeric=True),
        ],
        page=_operating_grid(frame, document.families),
    )


def _operating_grid(frame: pd.DataFrame, families: list[str]) -> Grid:
    """Gather the metrics of a family at a level in one row, `argmax → shifted` in each cell."""
    rows = []
    for family, at, group in places(frame, families):
        found = {str(row.metric): _both_points(row) for row in group.itertuples()}
        offset = digits(group["offset"].iloc[0], 2, sign=True)
        rows.append((Cell(family), Cell(percent(at)), *(found.get(m, Cell(MISSING)) for m in SHOWN), Cell(offset)))
    head = ("family", "background", *(METRIC_NAMES[metric] for metric in SHOWN), "offset")
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)


def _both_points(row: Any) -> Cell:
    values, ranges = [], []
    for point in POINTS:
        low, high = (digits(getattr(row, f"{point}_{end}")) for end in ("low", "high"))
        values.append(digits(getattr(row, point)))
        ranges.append(MISSING if low == MISSING else f"{low}–{high}")
    return Cell(" → ".join(values), " → ".join(ranges))


def _against(document: Document, base: str) -> Table:
    return table(
        "against_baseline",
        f"Does a difference from {base} survive equal tuning of the threshold?",
        f"{sentence(document.score.label)} on test of each tuned family minus that of tuned {base}, paired over "
        "seeds and images, with 95 % intervals.",
        comparisons.against(document.evidence, document.results, base, document.score),
        [
            LEVEL,
            FAMILY,
            Column("at argmax", spread("argmax_difference", "argmax_low", "argmax_high", sign=True), numeric=True),
            Column(
                "thresholds tuned",
                spread("shifted_difference", "shifted_low", "shifted_high", sign=True),
                numeric=True,
            ),
            Column("reading", word("reading")),
        ],
    )


def _precision_recall(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", class_=MINORITY)
    wide = rows.pivot_table(index=["family", "level", "point"], columns="metric", values="mean").reset_index()
    if not {"precision", "recall"} <= set(wide.columns) or wide[["precision", "recall"]].dropna().empty:
        return None
    return Figure(
        "precision_recall",
        "Precision and recall at both operating points",
        curves.precision_recall(wide, document.look),
        alt="Precision over recall per level; each family's argmax and shifted point joined by a line.",
        caption="Filled: argmax; hollow: the threshold tuned on validation. Grey curves: equal IoU of a single class.",
    )
