"""What the search spent, and what went wrong."""

from __future__ import annotations

from sweeper.report import tables
from sweeper.report.columns import FAMILY, LEVEL
from sweeper.report.document import Document
from sweeper.report.section import Section
from sweeper.report.typeset import Column, Table, share, table, word
from sweeper.report.writing import digits


def budget(document: Document) -> Section:
    """Build the section."""
    return Section(
        "budget",
        "Budget and failures",
        tables={"budget": _budget(document), "failures": _failures(document)},
        figures={},
    )


def _budget(document: Document) -> Table:
    return table(
        "budget",
        "Budget of the search",
        "One row per cell. Every cell may use the same number of trials; a cell with fewer possible settings, such as "
        "that of a family without hyperparameters, tries each once.",
        tables.budget(document.results),
        [
            FAMILY,
            LEVEL,
            *(
                Column(name, word(name), numeric=True)
                for name in ("trials", "completed", "stopped", "failed", "epochs")
            ),
            Column("minutes", lambda row: digits(row.seconds / 60, 1), numeric=True),
        ],
    )


def _failures(document: Document) -> Table:
    return table(
        "failures",
        "Failures",
        "Search and confirm trials. Collapsed: completed without finding one minority pixel at argmax. Share: "
        "failed and collapsed of all.",
        tables.failures(document.results),
        [
            FAMILY,
            Column("trials", word("trials"), numeric=True),
            Column("failed", word("failed"), numeric=True),
            Column("collapsed", word("collapsed"), numeric=True),
            Column("share", share("share"), numeric=True),
            Column("most common reason", word("reason")),
        ],
    )
