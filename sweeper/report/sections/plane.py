"""The two-axis design space: where the literature puts every family, and where this study measured it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweeper.report import tables
from sweeper.report.charts import axes as charts
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.columns import FAMILY, LEVEL, SHOWN, rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Column, Table, decimal, grid, score_cell, spread, table, word
from sweeper.report.output.writing import MISSING, bounds, digits, percent
from sweeper.report.plane import placing, spans
from sweeper.report.plane.contradictions import AWARE, PIXEL
from sweeper.report.plane.spans import F1_PER_ROPE, FEW, FIXED, MEASURED
from sweeper.report.section import Section

NAMED = 12
"""Families whose names are written on the measured plane; of more, those in color and those that contradict."""


def plane(document: Document) -> Section:
    """Build the section."""
    axes = document.axes
    frame = tables.design_space(document.results, document.measured, axes.frame)
    return Section(
        "plane",
        "Two-axis design space",
        tables={
            "design_space": _design_space(document, frame),
            "axes": _axes(document),
            "recall_spans": _spans(document),
        },
        figures={"plane": _figure(document)},
        words={
            "plane": _plane(document, frame),
            "contradicted": bool(axes.contradictions),
            "verdicts": placing.verdicts(axes),
            "remarks": [
                text
                for text in (placing.overlap_reading(axes), placing.tradeoff_reading(axes), *placing.left_out(axes))
                if text
            ],
        },
    )


def _design_space(document: Document, frame: pd.DataFrame) -> Table:
    where = " and ".join(percent(one) for one in tables.shown_levels(document.results))
    columns = [
        Column("overlap", word("overlap")),
        Column("trade-off", word("tradeoff")),
        FAMILY,
        LEVEL,
        *(Column(METRIC_NAMES[m], spread(m, f"{m}_low", f"{m}_high"), numeric=True) for m in SHOWN),
        Column("falls by", _fall, numeric=True),
        Column("recall span", _span, numeric=True),
    ]
    return table(
        "design_space",
        "Two-axis design space",
        "Overlap and trade-off as the literature has them. Mean over the minority classes, tuned, argmax, test, mean "
        f"of seeds with 95 % intervals, at {where}. Falls by: {document.axes.metric} lost per foreground ten times "
        f"scarcer. Recall span: what the dials buy at equal F1, on validation. {rule(document)}",
        frame,
        columns,
        page=grid(frame, columns, stacked=True),
    )


def _axes(document: Document) -> Table:
    axes = document.axes
    about = f" Searched, and so measured, at {percent(axes.level)}." if len(document.results.meta["levels"]) > 1 else ""
    return table(
        "axes",
        "Label and measurement",
        f"Falls by: minority {axes.metric} lost per foreground ten times scarcer, tuned, argmax, test, with 95 % "
        "intervals. Recall span: the recall that the family's own dials buy while F1 stays within "
        f"{digits(F1_PER_ROPE * document.rope)} of its best, along the front of its completed search trials.{about} "
        "It is read off validation scores chosen among many, over equally many trials per family: it says what a dial "
        "can do, is no result, and a search that climbs to the best score may have left some reach untried. Without "
        "a trial: the smallest span left when any one is taken away. Luck: what as many trainings of one setting, "
        f"which differ in nothing but the seed, exceed once in 20 times. {rule(document)}",
        axes.frame,
        [
            FAMILY,
            Column("called", word("overlap")),
            Column("falls by", _fall, numeric=True),
            Column("and called", word("tradeoff")),
            Column("recall span", _span, numeric=True),
            Column("without a trial", decimal("without_one"), numeric=True),
            Column("luck", decimal("luck"), numeric=True),
            Column("contradicts", lambda row: row.contradicts or MISSING),
        ],
    )


def _spans(document: Document) -> Table | None:
    frame = spans.table(document.axes.spans)
    shown = frame[frame["status"] != FIXED]
    if shown.empty:
        return None
    return table(
        "recall_spans",
        "How the recall spans were read",
        "Search trials at argmax, on validation, mean over the minority classes. Completed: of the first so many "
        "trials of the search, equally many for every family; the others were stopped early or failed, and are no "
        "points. Equal F1: how many of them are within the tolerance of the best, and the recall between the ends of "
        "their front; then the span with half and twice the tolerance. Whole front: the recall between its ends "
        "whatever the F1, which is what the dials buy if precision is no object.",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("dials", word("dials")),
            Column("completed", lambda row: f"{row.completed} of {row.trials}", numeric=True),
            Column("equal F1", lambda row: str(row.near) if row.status == MEASURED else MISSING, numeric=True),
            Column("recall from", decimal("low"), numeric=True),
            Column("to", decimal("high"), numeric=True),
            Column("tolerance / 2", decimal("half"), numeric=True),
            Column("× 2", decimal("double"), numeric=True),
            Column("whole front", decimal("whole"), numeric=True),
        ],
        shown=shown,
    )


def _figure(document: Document) -> Figure | None:
    axes = document.axes
    frame = axes.frame.dropna(subset=["fall", "span"])
    if frame.empty:
        return None
    measured = list(frame["family"])
    named = measured
    if len(measured) > NAMED:
        against = {one.family for one in axes.contradictions}
        named = [family for family in measured if family in document.look or family in against][: 2 * NAMED]
    groups = axes.groups
    medians = {} if groups is None else dict(zip((AWARE, PIXEL), groups.medians, strict=True))
    crowd = "" if len(named) == len(measured) else " Without a name: the other families, which the tooltip names."
    return Figure(
        "plane",
        "The measured plane",
        charts.plane(frame, document.look, metric=f"minority {axes.metric}", medians=medians, named=named),
        alt="Every family as a point: what its dials buy in recall against how much it falls as the foreground gets "
        "scarce.",
        caption=f"Up: {axes.metric} falls faster as the foreground gets scarce, on test, with 95 % intervals. Right: "
        "the dials buy more recall at equal F1, on validation; the thin line runs from the span without its most "
        "important trial to that with twice the tolerance, and is no interval. Families without dials stand at 0. "
        f"Dashed: medians of what the literature calls {AWARE} and {PIXEL}.{crowd}",
        reading=placing.plane_gaps(axes),
    )


@dataclass(frozen=True)
class Plane:
    """The two axes with the families in their cells."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: dict[tuple[str, str], list[dict[str, Any]]]
    """Per (row, column): `family`, `title`, `fall`, `span` and `against` in words, and `scores`, a list of the written
    scores per level."""


def _plane(document: Document, frame: pd.DataFrame) -> Plane:
    """Lay the design space out as the page shows it."""
    present = set(frame["overlap"])
    rows = [*tables.OVERLAPS[:2], *(name for name in tables.OVERLAPS[2:] if name in present)]
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (overlap, tradeoff, family), group in frame.groupby(["overlap", "tradeoff", "family"], sort=False):
        scores = [
            {
                "level": percent(row["level"]),
                "measured": row["iou"] == row["iou"],
                "values": [
                    (METRIC_NAMES[m], digits(row[m]), f"{digits(row[f'{m}_low'])}–{digits(row[f'{m}_high'])}")
                    for m in SHOWN
                ],
            }
            for row in group.to_dict("records")
        ]
        first = next(group.itertuples())
        entry = {
            "family": family,
            "title": document.results.meta["families"][family]["title"],
            "scores": scores,
            "fall": _fall(first),
            "span": _span(first),
            "against": first.contradicts,
        }
        cells.setdefault((str(overlap), str(tradeoff)), []).append(entry)
    for entries in cells.values():
        entries.sort(key=lambda entry: document.order.index(entry["family"]))
    return Plane(tuple(rows), tables.TRADEOFFS, cells)


def _fall(row: Any) -> Cell:
    value = Interval(row.fall, row.fall_low, row.fall_high)
    return Cell(f"{digits(value.mean)} (at the floor)", bounds(value)) if row.floor else score_cell(value)


def _span(row: Any) -> str:
    return str(row.status) if row.status == FEW else f"0 ({FIXED})" if row.status == FIXED else digits(row.span)
