"""A methods paragraph for a paper, generated from the study."""

from __future__ import annotations

from sweeper.report.document import Document
from sweeper.report.methods import methods as paragraphs
from sweeper.report.methods import to_text
from sweeper.report.output.typeset import latex_text
from sweeper.report.section import Section


def methods(document: Document) -> Section:
    """Build the section."""
    made = paragraphs(document)
    return Section(
        "methods",
        "Methods, to paste",
        words={"paragraphs": made},
        files={
            "methods.txt": to_text(made).encode(),
            "methods.tex": "\n\n".join(latex_text(one) for one in made).encode() + b"\n",
        },
    )
