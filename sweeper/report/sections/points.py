"""Every family at argmax and with its threshold tuned on validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sweeper.report import comparisons, curves, survival, tables
from sweeper.report.charts import points as charts
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.evidence import POINTS
from sweeper.report.inference.multiplicity import ALPHA
from sweeper.report.measured import select
from sweeper.report.output.columns import FAMILY, LEVEL, SHOWN, places, rule, sentence
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Column, Grid, Table, decimal, grid, spread, table, word
from sweeper.report.output.writing import MISSING, digits, listed, percent
from sweeper.report.pairings import dumbbell
from sweeper.report.section import Section
from sweeper.results.schema import MINORITY


def points(document: Document) -> Section:
    """Build the section."""
    base = comparisons.baseline(document.results)
    frame = survival.differences(document.contests, document.families, document.answer.rankings, base)
    return Section(
        "points",
        "Two operating points",
        tables={
            "survival": _survival(document, frame) if len(frame) else None,
            "operating_points": _operating_points(document),
        },
        figures={
            "survival": _scatter(document, frame, base),
            "precision_recall": _precision_recall(document),
            "thresholds": dumbbell(
                document, "thresholds", "point", "argmax", "shifted", "What tuning the threshold alone gains"
            ),
        },
        words={"findings": tuple(_findings(document, frame, base))},
    )


def _findings(document: Document, frame: pd.DataFrame, base: str | None) -> Iterator[str]:
    """Say which differences vanish once thresholds are tuned alike, and where another family then leads."""
    leading = frame[frame["role"] != survival.BASELINE]
    several = len(document.answer.rankings) > 1
    if len(leading):
        each = "its level" if several else percent(document.answer.rankings[0].level)
        yield survival.summary(leading, f"from the family with the highest {document.score.label} at {each}")
    against = frame[frame["other"] == base]
    if base is not None and len(against):
        yield survival.summary(against, f"from {base}")
    moved = []
    for ranking in document.answer.rankings:
        other = comparisons.rank(document.contests, ranking.level, "shifted")
        if other is not None and other.leader.family != ranking.leader.family:
            moved.append(f"{other.leader.family} instead of {ranking.leader.family} at {percent(ranking.level)}")
    if len(frame) and all(contest.least >= ALPHA for contest in document.contests):
        yield (
            "There are too few test images for so many pairs: even if one family were ahead on every image, no "
            "difference could be called separable. The intervals say what can be said."
        )
    if moved:
        yield f"With thresholds tuned alike the highest value is that of {listed(moved)}."


def _operating_points(document: Document) -> Table:
    frame = tables.operating_points(document.results, document.measured)
    return table(
        "operating_points",
        "Scores at both points",
        "Tuned, mean over the minority classes: argmax → shifted, each with its 95 % interval. Shifted: the offset "
        f"chosen on validation is added to the background logit; its mean over seeds is shown. {rule(document)}",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("metric", lambda row: METRIC_NAMES[row.metric]),
            Column("argmax", spread("argmax", "argmax_low", "argmax_high"), numeric=True),
            Column("shifted", spread("shifted", "shifted_low", "shifted_high"), numeric=True),
            Column("offset", decimal("offset", 2, sign=True), numeric=True),
        ],
        page=_operating_grid(frame, document.families),
    )


def _operating_grid(frame: pd.DataFrame, families: list[str]) -> Grid:
    """Gather the metrics of a family at a level in one row, `argmax → shifted` in each cell."""
    rows = []
    for family, at, group in places(frame, families):
        found = {str(row.metric): _both_points(row) for row in group.itertuples()}
        offset = digits(group["offset"].iloc[0], 2, sign=True)
        rows.append((Cell(family), Cell(percent(at)), *(found.get(m, Cell(MISSING)) for m in SHOWN), Cell(offset)))
    head = ("family", "background", *(METRIC_NAMES[metric] for metric in SHOWN), "offset")
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)


def _both_points(row: Any) -> Cell:
    values, ranges = [], []
    for point in POINTS:
        low, high = (digits(getattr(row, f"{point}_{end}")) for end in ("low", "high"))
        values.append(digits(getattr(row, point)))
        ranges.append(MISSING if low == MISSING else f"{low}–{high}")
    return Cell(" → ".join(values), " → ".join(ranges))


def _survival(document: Document, frame: pd.DataFrame) -> Table:
    columns = [
        LEVEL,
        Column("family", word("family")),
        Column("minus", lambda row: f"{row.other} ({row.role})"),
        Column("at argmax", spread("argmax_difference", "argmax_low", "argmax_high", sign=True), numeric=True),
        Column("verdict", word("argmax_verdict")),
        Column(
            "thresholds tuned", spread("shifted_difference", "shifted_low", "shifted_high", sign=True), numeric=True
        ),
        Column("verdict", word("shifted_verdict")),
        Column("change", spread("change", "change_low", "change_high", sign=True), numeric=True),
        Column("reading", lambda row: f"{row.reading}; {row.size}"),
    ]
    return table(
        "survival",
        "Differences at argmax and with thresholds tuned",
        f"{sentence(document.score.label)} on test of each tuned family minus that of another, paired over seeds and "
        "images, with 95 % intervals: at every level from the family that is highest there at argmax, and from the "
        "study's baseline. Thresholds tuned: each family's own background offset, chosen on validation. Verdict on the "
        f"family: better, worse, equivalent (within {document.score.margin(document.rope)}) or not enough evidence. "
        "Change: of the difference, under the same draws at both points; it shrinks or grows where the interval of the "
        "change excludes 0, and so does that of the mean of both differences. Each interval stands for itself: of "
        f"changes that are none, about one in twenty is taken for one. {rule(document)}",
        frame,
        columns,
        page=grid(frame, columns, stacked=True),
    )


def _scatter(document: Document, frame: pd.DataFrame, base: str | None) -> Figure | None:
    """Draw the differences from the baseline, or from the highest where the study has none, at the shown levels."""
    own = frame[frame["other"] == base] if base is not None else frame
    own = own[own["level"].isin(tables.shown_levels(document.results)) & own["family"].isin(list(document.look))]
    own = own.dropna(subset=["argmax_difference", "shifted_difference"])
    if own.empty:
        return None
    other = base or "the highest"
    return Figure(
        "survival",
        f"What is left of the differences from {other}",
        charts.survival(own, document.look, other=other),
        alt=f"Differences in {document.score.label} from {other} with thresholds tuned, over those at argmax.",
        caption=f"{sentence(document.score.label)} on test, tuned, with 95 % intervals both ways. On the dotted "
        "diagonal tuning the threshold changes nothing; near the horizontal line it takes the difference away. Filled: "
        "that the difference shrinks or grows is established; hollow: it is not.",
    )


def _precision_recall(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", class_=MINORITY)
    wide = rows.pivot_table(index=["family", "level", "point"], columns="metric", values="mean").reset_index()
    if not {"precision", "recall"} <= set(wide.columns) or wide[["precision", "recall"]].dropna().empty:
        return None
    return Figure(
        "precision_recall",
        "Precision and recall at both operating points",
        curves.precision_recall(wide, document.look),
        alt="Precision over recall per level; each family's argmax and shifted point joined by a line.",
        caption="Filled: argmax; hollow: the threshold tuned on validation. Grey curves: equal IoU of a single class.",
    )
