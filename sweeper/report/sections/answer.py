"""The answer in words, the ranking behind it, and all families at a glance."""

from __future__ import annotations

from sweeper.report import comparisons, curves
from sweeper.report.document import Document
from sweeper.report.measured import select
from sweeper.report.output.columns import FAMILY, LEVEL, SHOWN, rule, sentence
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Column, Table, share, spread, table, word
from sweeper.report.output.writing import percent
from sweeper.report.section import Section
from sweeper.results.schema import MINORITY


def answer(document: Document) -> Section:
    """Build the section."""
    return Section(
        "answer",
        "The answer",
        tables={"standings": _standings(document)},
        figures={"glance": _glance(document)},
        words={"answer": document.answer, "margin": document.score.margin(document.rope)},
    )


def _standings(document: Document) -> Table:
    return table(
        "standings",
        "All standings",
        f"{sentence(document.score.label)} on test, tuned, argmax, with 95 % intervals. Behind: the highest minus it, "
        f"paired over seeds and images; the highest is: the verdict on it against this family. First in: share of "
        f"resamples in which it leads. {rule(document)}",
        comparisons.standings(document.answer.rankings),
        [
            LEVEL,
            Column("rank", word("rank"), numeric=True),
            FAMILY,
            Column("value", spread("score", "score_low", "score_high"), numeric=True),
            Column("behind", spread("behind", "behind_low", "behind_high", sign=True), numeric=True),
            Column("the highest is", word("verdict")),
            Column("first in", share("leads"), numeric=True),
        ],
    )


def _glance(document: Document) -> Figure | None:
    if not document.answer.rankings:
        return None
    hardest = document.answer.rankings[-1].level
    rows = select(document.measured, setting="tuned", point="argmax", class_=MINORITY, level=hardest)
    order = [standing.family for standing in document.answer.rankings[-1].standings]
    return Figure(
        "glance",
        f"All families at {percent(hardest)} background",
        curves.forest(rows, document.look, SHOWN, order),
        alt=f"Minority IoU, recall and precision of {len(order)} families at {percent(hardest)} background.",
        caption="Tuned setting, argmax, test; mean over the minority classes and seeds with 95 % intervals.",
    )
