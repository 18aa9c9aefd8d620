"""Boundaries, thin structures and objects, in whole test pictures."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from sweeper.report import surfaces, tables
from sweeper.report.charts import boundaries as charts
from sweeper.report.document import Document
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.columns import rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Grid, Table, score_cell
from sweeper.report.output.writing import MISSING, digits, listed, percent
from sweeper.report.section import Section
from sweeper.results.schema import MINORITY, NSD_TOLERANCE

NAMES = {"nsd": "NSD", "cldice": "clDice", "hd95": "HD95, px", "object_miss_rate": "objects missed"}
"""As the figure heads them; the Hausdorff distance next to what it hides."""

HEAD = ("NSD", "clDice", "HD95, px", "covers", "HD95 in common", "objects missed")


def boundaries(document: Document) -> Section | None:
    """Build the section; None for results without such scores, as older ones are."""
    found = surfaces.gather_surfaces(document.results, seed=document.seed)
    if found is None:
        return None
    frame = surfaces.surfaces(found)
    whole = MINORITY if len(found.classes) > 1 else found.classes[0]
    return Section(
        "boundaries",
        "Boundaries and objects",
        tables={
            "boundaries": _table(document, found, frame, whole),
            "boundaries_per_class": _per_class(document, frame) if len(found.classes) > 1 else None,
        },
        figures={"boundaries": _figure(document, frame, whole)},
        words={"tolerance": f"{NSD_TOLERANCE:g}", "findings": tuple(_findings(document, found, frame, whole))},
    )


def _table(document: Document, found: surfaces.Surfaces, frame: pd.DataFrame, whole: str) -> Table:
    rows = tuple(_rows(document, frame[frame["class"] == whole], classes=False))
    head = ("family", "background", *HEAD)
    numeric = frozenset(range(1, len(head)))
    about = "mean over the minority classes" if whole == MINORITY else whole
    return Table(
        "boundaries",
        "Boundary and object scores",
        f"Tuned, argmax, whole test pictures without level weights ({about}); mean over pictures and seeds with 95 % "
        f"intervals over both. NSD: share of both boundaries within {NSD_TOLERANCE:g} px of the other. clDice: "
        "agreement of the center lines, for thin structures (Shit et al. 2021, arXiv:2003.07311). HD95: 95th "
        "percentile of the distances between the boundaries; covers: pictures in which it is defined, of those that "
        "show the class, mean of seeds, a picture counted once per class. HD95 in common: over the pictures that every "
        "family covers with every seed. Objects missed: share of the 8-connected regions of the truth of which no "
        "pixel is predicted. Empty classes: a picture that does not show a class counts for none of these; where "
        f"it shows it and nothing is predicted, NSD and clDice are 0 and HD95 is undefined. {rule(document)}",
        frame,
        tidy=Grid(head, rows, numeric),
        grid=Grid(head, rows, numeric, stacked=True),
        about=_extent(document),
    )


def _per_class(document: Document, frame: pd.DataFrame) -> Table:
    single = frame[frame["class"] != MINORITY]
    rows = tuple(_rows(document, single, classes=True))
    head = ("family", "background", "class", *HEAD)
    numeric = frozenset({1, *range(3, len(head))})
    return Table(
        "boundaries_per_class",
        "Boundary and object scores per class",
        f"As above, every class by itself. {rule(document)}",
        single.reset_index(drop=True),
        tidy=Grid(head, rows, numeric),
        grid=Grid(head, rows, numeric, stacked=True),
        about=_extent(document),
    )


def _extent(document: Document) -> str:
    return f"at {listed(percent(level) for level in tables.shown_levels(document.results))} background"


def _rows(document: Document, frame: pd.DataFrame, *, classes: bool) -> Iterator[tuple[Cell, ...]]:
    shown = frame[frame["level"].isin(tables.shown_levels(document.results))]
    order = {family: place for place, family in enumerate(document.families)}
    shown = shown.assign(_place=shown["family"].map(order)).sort_values(["_place", "level"], kind="stable")
    for (family, level, klass), group in shown.groupby(["family", "level", "class"], sort=False):
        by_metric = {row["metric"]: row for row in group.to_dict("records")}
        cells = []
        for metric in ("nsd", "cldice", "hd95", "covers", "hd95_common", "object_miss_rate"):
            row = by_metric["hd95" if metric == "covers" else metric]
            if metric == "covers":
                cells.append(Cell(f"{_count(row['covered'])} of {row['pictures']}"))
                continue
            distance = metric.startswith("hd95")
            found = score_cell(Interval(row["mean"], row["low"], row["high"]), places=1 if distance else 3)
            if metric == "hd95_common" and found.text != MISSING:
                found = Cell(found.text, f"{found.range} {_count(row['covered'])} of {row['pictures']}".strip())
            cells.append(found)
        own = (Cell(str(klass)),) if classes else ()
        yield (Cell(str(family)), Cell(percent(float(str(level)))), *own, *cells)


def _count(number: float) -> str:
    """Write a number of pictures, which as a mean over seeds may be broken."""
    return digits(number, 1).removesuffix(".0")


def _figure(document: Document, frame: pd.DataFrame, whole: str) -> Figure | None:
    level = float(frame["level"].max())
    rows = frame[(frame["level"] == level) & (frame["class"] == whole)]
    drawn = rows[rows["metric"].isin(NAMES)].dropna(subset=["mean"])
    if drawn.empty:
        return None
    return Figure(
        "boundaries",
        f"Boundaries and objects at {percent(level)} background",
        charts.boundaries(rows, document.look, names=NAMES, order=document.order),
        alt=f"NSD, clDice, HD95 and the share of objects missed of {drawn['family'].nunique()} families at "
        f"{percent(level)} background.",
        caption="Tuned, argmax, test, with 95 % intervals over seeds and pictures. NSD and clDice are better when "
        "larger, HD95 and the objects missed when smaller. Read HD95 with the panel to its right: it leaves out the "
        "pictures in which a family finds nothing.",
    )


def _findings(document: Document, found: surfaces.Surfaces, frame: pd.DataFrame, whole: str) -> Iterator[str]:
    """Say where HD95 flatters: who has the lowest, what it misses, and how many pictures all families cover."""
    level = float(frame["level"].max())
    here = frame[(frame["level"] == level) & (frame["class"] == whole)]
    distance, missed = (here[here["metric"] == metric].set_index("family") for metric in ("hd95", "object_miss_rate"))
    known = distance["mean"].dropna()
    if len(known) > 1:
        near, kind = str(known.idxmin()), str(missed["mean"].idxmin())
        text = (
            f"At {percent(level)} background {near} has the lowest HD95, {digits(known[near], 1)} px, and misses "
            f"{100 * missed['mean'][near]:.0f} % of the objects"
        )
        if missed["mean"][near] > missed["mean"][kind]:
            other = f", at an HD95 of {digits(known[kind], 1)} px" if kind in known else ""
            text += f"; {kind} misses the fewest, {100 * missed['mean'][kind]:.0f} %{other}"
        yield f"{text}."
    short = distance[distance["covered"] < distance["pictures"]]
    if len(short):
        parts = listed(
            f"{row['family']} {_count(row['covered'])} of {row['pictures']}"
            for row in short.reset_index().to_dict("records")
        )
        yield (
            f"Where a family finds nothing, its HD95 leaves the picture out. It covers: {parts}. HD95 in common "
            "compares on equal pictures."
        )
    _, silent = found.common(level)
    if silent:
        yield (
            f"Seeds that found nothing at all of a class are left out of the pictures in common: "
            f"{listed(name for name in document.order if name in silent)}."
        )
