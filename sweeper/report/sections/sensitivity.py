"""How scores fall as the imbalance grows."""

from __future__ import annotations

from sweeper.report import curves, tables
from sweeper.report.columns import SHOWN
from sweeper.report.document import Document
from sweeper.report.figure import Figure
from sweeper.report.measured import select
from sweeper.report.section import Section
from sweeper.report.theme import MOST
from sweeper.report.typeset import Column, Table, decimal, level, table, word
from sweeper.results.schema import MINORITY


def sensitivity(document: Document) -> Section:
    """Build the section."""
    return Section(
        "sensitivity",
        "As the imbalance grows",
        tables={"levels": _levels(document)},
        figures={"sensitivity": _sensitivity(document)},
        words={"ranked": bool(document.answer.rankings)},
    )


def _levels(document: Document) -> Table:
    return table(
        "levels",
        "How the levels were reached",
        "Test patches are weighted, never altered. Mixture changes the share of patches that hold minority pixels; "
        "tilt favors patches by their foreground. The effective number of patches says how much sample is left.",
        tables.levels_reached(document.results),
        [
            Column("aimed at", level, numeric=True),
            Column("measured", decimal("measured", 4), numeric=True),
            Column("weighting", word("weighting")),
            Column("effective test patches", decimal("ess", 0), numeric=True),
        ],
    )


def _sensitivity(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", point="argmax", class_=MINORITY)
    if rows.dropna(subset=["mean"])["level"].nunique() < 2:
        return None
    crowd = ""
    if len(document.families) > len(document.look):
        crowd = f" The baseline and the {MOST} best at the hardest level are in color, the others grey."
    return Figure(
        "sensitivity",
        "Imbalance-sensitivity curves",
        curves.sensitivity(rows, document.look, SHOWN),
        alt="Minority IoU, recall and precision over the background fraction, one line per family.",
        caption="Tuned setting, argmax, test; 95 % intervals, families set a little apart sideways. The x axis is "
        f"logarithmic in the foreground share. Click a family in the legend to single it out.{crowd}",
    )
