"""Pictures of what each family predicts."""

from __future__ import annotations

from sweeper.report.document import Document
from sweeper.report.section import Section


def panels(document: Document) -> Section:
    """Build the section."""
    return Section("panels", "What they see", tables={}, figures={}, words={"panels": document.panels})
