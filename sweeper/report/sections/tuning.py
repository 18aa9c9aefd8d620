"""What tuning the hyperparameters gained over the defaults."""

from __future__ import annotations

from sweeper.report import comparisons
from sweeper.report.document import Document
from sweeper.report.output.columns import FAMILY, LEVEL, rule, sentence
from sweeper.report.output.typeset import Column, Table, decimal, spread, table, word
from sweeper.report.pairings import dumbbell
from sweeper.report.search.searched import tunable
from sweeper.report.section import Section


def tuning(document: Document) -> Section:
    """Build the section."""
    return Section(
        "tuning",
        "Tuned against default",
        tables={"tuned_vs_default": _tuned_vs_default(document)},
        figures={
            "tuning": dumbbell(
                document, "tuning", "setting", "default", "tuned", "What tuning the hyperparameters gains"
            )
        },
        words={"fixed": tunable(document.results)[1]},
    )


def _tuned_vs_default(document: Document) -> Table:
    return table(
        "tuned_vs_default",
        "Tuned against default",
        f"{sentence(document.score.label)} on test at argmax; the difference, tuned minus default, is paired over "
        f"seeds and images, with its 95 % interval. {rule(document)}",
        comparisons.tuned_vs_default(document.evidence, document.results, document.score, rope=document.rope),
        [
            FAMILY,
            LEVEL,
            Column("default", decimal("default"), numeric=True),
            Column("tuned", decimal("tuned"), numeric=True),
            Column("difference", spread("difference", "low", "high", sign=True), numeric=True),
            Column("reading", word("reading")),
        ],
    )
