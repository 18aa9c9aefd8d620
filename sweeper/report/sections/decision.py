"""Which family costs least, by level and by what a miss costs."""

from __future__ import annotations

import pandas as pd

from sweeper.report import decision as decisions
from sweeper.report.columns import FAMILY, LEVEL
from sweeper.report.document import Document
from sweeper.report.section import Section
from sweeper.report.typeset import Cell, Column, Grid, Table, decimal, share, table
from sweeper.report.writing import MISSING, percent


def decision(document: Document) -> Section:
    """Build the section."""
    return Section("decision", "If a miss costs more", tables={"decision": _decision(document)}, figures={})


def _decision(document: Document) -> Table:
    frame = decisions.decision_map(document.evidence, document.families, document.results.meta["levels"])
    return table(
        "decision",
        "Which family at which cost of a miss",
        "Tuned family of least expected cost at argmax, where a missed minority pixel costs so many false alarms. "
        f"Confidence: share of resamples of seeds and test images in which it is the cheapest. {decisions.NOTHING}: no "
        "family saves more than its false alarms cost.",
        frame,
        [
            LEVEL,
            Column("a miss costs", lambda row: _times(row.ratio), numeric=True),
            FAMILY,
            Column("cost per true pixel", decimal("cost", 2), numeric=True),
            Column("confidence", share("share"), numeric=True),
        ],
        page=_decision_grid(frame),
    )


def _decision_grid(frame: pd.DataFrame) -> Grid:
    """Lay the costs out as columns: the family in each cell, its confidence beside it."""
    ratios = sorted(frame["ratio"].unique())
    confidence = share("share")
    rows = []
    for at, group in frame.groupby("level", sort=False):
        found = {row.ratio: Cell(str(row.family), str(confidence(row))) for row in group.itertuples()}
        rows.append((Cell(percent(float(str(at)))), *(found.get(ratio, Cell(MISSING)) for ratio in ratios)))
    return Grid(("background", *(_times(ratio) for ratio in ratios)), tuple(rows), frozenset({0}))


def _times(ratio: float) -> str:
    return f"{ratio:g}\u00a0×"
