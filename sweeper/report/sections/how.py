"""How to read the report."""

from __future__ import annotations

from sweeper.report.document import Document
from sweeper.report.inference.multiplicity import ALPHA
from sweeper.report.inference.statistics import REPS, stretch
from sweeper.report.section import Section


def how(document: Document) -> Section:
    """Build the section."""
    return Section(
        "how",
        "How to read this",
        tables={},
        figures={},
        words={
            "resamples": REPS,
            "stretches": [(units, f"{stretch(units):.1f}") for units in (2, 3, 5, 10)],
            "margin": document.score.margin(document.rope),
            "alpha": ALPHA,
        },
    )
