"""Every table and figure of a report by its name, and pictures that cost nothing where a test does not look at them."""

from __future__ import annotations

from sweeper.report.document import Document
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Table
from sweeper.report.sections import build_sections


def all_tables(document: Document) -> dict[str, Table]:
    sections = build_sections(document)
    return {name: table for section in sections for name, table in section.tables.items() if table is not None}


def all_figures(document: Document) -> dict[str, Figure]:
    sections = build_sections(document)
    return {name: figure for section in sections for name, figure in section.figures.items() if figure is not None}


def without_pictures(monkeypatch) -> None:
    """Leave the drawing of files out: it takes a second per figure."""
    monkeypatch.setattr(Figure, "begin", lambda figure: None)
    monkeypatch.setattr(Figure, "svg", "<svg/>")
    monkeypatch.setattr(Figure, "png", b"")
    monkeypatch.setattr(Figure, "pdf", b"")
