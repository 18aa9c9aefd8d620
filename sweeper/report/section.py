"""One section of the report: its tables, its figures and its words, rendered by templates of its own name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Table


@dataclass(frozen=True)
class Section:
    """Rendered by `templates/sections/<name>.html.j2` and `.md.j2`, which see `section`, `document` and `meta`."""

    name: str
    """Its anchor on the page, and the stem of its templates."""
    title: str
    tables: Mapping[str, Table | None] = field(default_factory=dict)
    """By the name of their files; None where the results have nothing for it."""
    figures: Mapping[str, Figure | None] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Other files of the section, by their names beside the page."""
    words: Mapping[str, object] = field(default_factory=dict)
    """Whatever else its templates say."""
