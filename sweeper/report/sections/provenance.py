"""What made the numbers."""

from __future__ import annotations

from sweeper.report import tables
from sweeper.report.document import Document
from sweeper.report.output.typeset import Column, Table, table, word
from sweeper.report.section import Section


def provenance(document: Document) -> Section:
    """Build the section."""
    return Section("provenance", "Provenance", tables={"provenance": _provenance(document)}, figures={})


def _provenance(document: Document) -> Table:
    columns = [Column(name, word(name)) for name in ("section", "key", "value")]
    return table(
        "provenance",
        "Provenance",
        "What made these numbers.",
        tables.provenance(document.results),
        columns,
        about="the study as it was written, its data, versions and host",
    )
