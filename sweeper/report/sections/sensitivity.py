"""How scores fall as the imbalance grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweeper.report import curves, tables
from sweeper.report.charts import axes as charts
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.measured import select
from sweeper.report.output.columns import FAMILY, SHOWN, rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.theme import MOST
from sweeper.report.output.typeset import Column, Table, decimal, level, spread, table, word
from sweeper.report.output.writing import digits, percent
from sweeper.report.plane import falls, placing
from sweeper.report.plane.falls import FLOOR
from sweeper.report.section import Section
from sweeper.results.schema import MINORITY

PANELS = 25
"""Families that get a panel of their own: five rows of five."""


def sensitivity(document: Document) -> Section:
    """Build the section."""
    return Section(
        "sensitivity",
        "As the imbalance grows",
        tables={"falls": _falls(document), "levels": _levels(document)},
        figures={"sensitivity": _sensitivity(document), "each_family": _each(document)},
        words={"ranked": bool(document.answer.rankings), "near": _near(document)},
    )


def _near(document: Document) -> str:
    """Say why there is no table of falls although there are levels to fall between; empty where that is not so."""
    return placing.overlap_reading(document.axes) if document.axes.near and not document.axes.falls else ""


def _falls(document: Document) -> Table | None:
    """Set one row per family: the fall at both points, and the scores at argmax between which it lies."""
    found = document.axes.falls
    if not found:
        return None
    frame = falls.table(found)
    keys = ["family", "levels", "seeds"]
    ends = ["fall", "low", "high"]
    wide = frame[frame["point"] == "argmax"].drop(columns=["point"])
    shifted = frame[frame["point"] == "shifted"][["family", *ends]]
    wide = wide.merge(shifted, how="left", on="family", suffixes=("", "_shifted"))
    wide = wide.sort_values("fall", kind="stable", ignore_index=True)
    wide = wide[[*keys, *ends, *(f"{end}_shifted" for end in ends), "mildest", "hardest", "bend", "floor"]]
    return table(
        "falls",
        "How steeply each family falls",
        f"{_slope_words(document)} Off the line: the largest distance of a level's mean score from it; where that is "
        f"not small beside the fall, read the curve. A score below {digits(FLOOR, 2)} at some level has run out of "
        f"room: the fall is then flatter than the loss is robust. Tuned, test, most robust first. {rule(document)}",
        wide,
        [
            FAMILY,
            Column("falls by, argmax", spread("fall", "low", "high"), numeric=True),
            Column("threshold tuned", spread("fall_shifted", "low_shifted", "high_shifted"), numeric=True),
            Column("mildest level", decimal("mildest"), numeric=True),
            Column("hardest", decimal("hardest"), numeric=True),
            Column("off the line", _bend, numeric=True),
            Column("levels", word("levels"), numeric=True),
            Column("seeds", word("seeds"), numeric=True),
        ],
    )


def _slope_words(document: Document) -> str:
    metric = document.axes.metric
    widest = max(document.axes.falls.values(), key=lambda fall: float(np.ptp(fall.decades)))
    factor = 10 ** float(np.ptp(widest.decades))
    ends = f"{percent(widest.levels[0])} and {percent(widest.levels[-1])}"
    how = (
        f"the difference between {ends}, as there are no other levels"
        if len(widest.levels) == 2
        else f"the slope of a least-squares line through {len(widest.levels)} levels from {ends.replace('and', 'to')}"
    )
    beyond = "" if factor >= 9.5 else ", so that ten times is an extrapolation of the same line"
    return (
        f"Falls by: minority {metric} lost per foreground ten times scarcer, with its 95 % interval over seeds and "
        f"images; {how}, at the imbalance measured on test. From end to end the foreground gets "
        f"{factor:.3g} times scarcer{beyond}."
    )


def _bend(row: Any) -> str:
    # Two points always lie on a line.
    return digits(row.bend if row.levels > 2 else None)


def _levels(document: Document) -> Table:
    return table(
        "levels",
        "How the levels were reached",
        "Test patches are weighted, never altered. Mixture changes the share of patches that hold minority pixels; "
        "tilt favors patches by their foreground. The effective number of patches says how much sample is left.",
        tables.levels_reached(document.results),
        [
            Column("aimed at", level, numeric=True),
            Column("measured", decimal("measured", 4), numeric=True),
            Column("weighting", word("weighting")),
            Column("effective test patches", decimal("ess", 0), numeric=True),
        ],
    )


def _sensitivity(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", point="argmax", class_=MINORITY)
    if rows.dropna(subset=["mean"])["level"].nunique() < 2:
        return None
    crowd = ""
    if len(document.families) > len(document.look):
        crowd = f" The baseline and the {MOST} best at the hardest level are in color, the others grey."
    return Figure(
        "sensitivity",
        "Imbalance-sensitivity curves",
        curves.sensitivity(rows, document.look, SHOWN),
        alt="Minority IoU, recall and precision over the background fraction, one line per family.",
        caption="Tuned setting, argmax, test; 95 % intervals, families set a little apart sideways. The x axis is "
        f"logarithmic in the foreground share. Click a family in the legend to single it out.{crowd}",
    )


def _each(document: Document) -> Figure | None:
    """Draw every family by itself where they are too many for one panel."""
    if len(document.families) <= len(document.look):
        return None
    metric = document.score.metric
    rows = select(document.measured, setting="tuned", point="argmax", class_=MINORITY, metric=metric)
    rows = rows.dropna(subset=["mean"])
    if rows["level"].nunique() < 2:
        return None
    measured = set(rows["family"])
    order = [family for family in document.order if family in measured]
    shown = order[:PANELS]
    rest = "" if len(shown) == len(order) else f" The {PANELS} best at the hardest level; the table has all."
    return Figure(
        "each_family",
        "Every family by itself",
        charts.each(rows, document.look, label=f"minority {METRIC_NAMES[metric]}", order=shown),
        alt=f"Minority {METRIC_NAMES[metric]} over the background fraction, a small panel per family.",
        caption=f"Minority {METRIC_NAMES[metric]}, tuned, argmax, test, with 95 % intervals, best first at the hardest "
        f"level. Grey: the range of all families. The x axis is that of the curves above.{rest}",
    )
