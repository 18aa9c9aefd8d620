"""Two values per family joined by a line: before and after tuning, at one operating point and the other."""

from __future__ import annotations

from sweeper.report import curves
from sweeper.report.document import Document
from sweeper.report.measured import select
from sweeper.report.output.figure import Figure
from sweeper.report.search.searched import tunable


def dumbbell(document: Document, name: str, kind: str, first: str, second: str, title: str) -> Figure | None:
    """Return the figure `name`; None where the column `kind` does not hold both values."""
    score = document.score
    same = {"point": "argmax"} if kind == "setting" else {"setting": "tuned"}
    rows = select(document.measured, class_=score.klass, metric=score.metric, **same).dropna(subset=["mean"])
    if kind == "setting":
        rows = rows[rows["family"].isin(tunable(document.results)[0])]
    if set(rows[kind]) != {first, second}:
        return None
    return Figure(
        name,
        title,
        curves.dumbbell(rows, kind=kind, first=first, second=second, label=score.label, order=document.order),
        alt=f"{score.label} per family and level, {first} against {second}.",
        caption=f"Hollow: {first}; filled: {second}. Whether a difference is clear of noise is in the table.",
    )
