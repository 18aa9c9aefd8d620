"""The sections of the report, in the order of the page; each is one file here and two templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sweeper.report.document import Document
from sweeper.report.section import Section
from sweeper.report.sections.answer import answer
from sweeper.report.sections.boundaries import boundaries
from sweeper.report.sections.budget import budget
from sweeper.report.sections.calibration import calibration
from sweeper.report.sections.classes import classes
from sweeper.report.sections.curves import curves
from sweeper.report.sections.decision import decision
from sweeper.report.sections.dials import dials
from sweeper.report.sections.how import how
from sweeper.report.sections.learning import learning
from sweeper.report.sections.literature import literature
from sweeper.report.sections.methods import methods
from sweeper.report.sections.pairs import pairs
from sweeper.report.sections.panels import panels
from sweeper.report.sections.plane import plane
from sweeper.report.sections.points import points
from sweeper.report.sections.provenance import provenance
from sweeper.report.sections.sensitivity import sensitivity
from sweeper.report.sections.stability import stability
from sweeper.report.sections.tuning import tuning

SECTIONS: tuple[Callable[[Document], Section | None], ...] = (
    answer,
    how,
    plane,
    sensitivity,
    decision,
    pairs,
    points,
    calibration,
    stability,
    dials,
    tuning,
    classes,
    boundaries,
    curves,
    panels,
    learning,
    budget,
    methods,
    provenance,
    literature,
)
"""Each returns its section, or None where the study has nothing for it."""


def build_sections(document: Document) -> Iterator[Section]:
    """Build every section a report of these results has."""
    for build in SECTIONS:
        section = build(document)
        if section is not None:
            yield section
