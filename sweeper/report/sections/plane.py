"""The two-axis design space with what was measured in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeper.report import tables
from sweeper.report.columns import FAMILY, LEVEL, SHOWN, rule
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.section import Section
from sweeper.report.typeset import Column, Table, grid, spread, table, word
from sweeper.report.writing import digits, percent


def plane(document: Document) -> Section:
    """Build the section."""
    return Section(
        "plane",
        "Two-axis design space",
        tables={"design_space": _design_space(document)},
        figures={},
        words={"plane": _plane(document)},
    )


def _design_space(document: Document) -> Table:
    where = " and ".join(percent(one) for one in tables.shown_levels(document.results))
    frame = tables.design_space(document.results, document.measured)
    columns = [
        Column("overlap", word("overlap")),
        Column("trade-off", word("tradeoff")),
        FAMILY,
        LEVEL,
        *(Column(METRIC_NAMES[m], spread(m, f"{m}_low", f"{m}_high"), numeric=True) for m in SHOWN),
        Column("seeds", word("seeds"), numeric=True),
    ]
    return table(
        "design_space",
        "Two-axis design space",
        "Mean over the minority classes, tuned, argmax, test, mean of seeds with 95 % intervals, "
        f"at {where}. {rule(document)}",
        frame,
        columns,
        page=grid(frame, columns, stacked=True),
    )


@dataclass(frozen=True)
class Plane:
    """The two axes with the families in their cells."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: dict[tuple[str, str], list[dict[str, Any]]]
    """Per (row, column): `family`, `title`, and `scores`, a list of the written scores per level."""


def _plane(document: Document) -> Plane:
    """Lay the design space out as the page shows it."""
    frame = tables.design_space(document.results, document.measured)
    present = set(frame["overlap"])
    rows = [*tables.OVERLAPS[:2], *(name for name in tables.OVERLAPS[2:] if name in present)]
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (overlap, tradeoff, family), group in frame.groupby(["overlap", "tradeoff", "family"], sort=False):
        title = document.results.meta["families"][family]["title"]
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
        cells.setdefault((str(overlap), str(tradeoff)), []).append({"family": family, "title": title, "scores": scores})
    for entries in cells.values():
        entries.sort(key=lambda entry: document.order.index(entry["family"]))
    return Plane(tuple(rows), tables.TRADEOFFS, cells)
