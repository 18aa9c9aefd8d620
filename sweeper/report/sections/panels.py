"""Pictures of what each family predicts, chosen by rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweeper.report.charts import panels as charts
from sweeper.report.comparisons import BASELINE
from sweeper.report.document import Document
from sweeper.report.gallery import panel_words, tracks
from sweeper.report.gallery.cases import MissedObject
from sweeper.report.gallery.panels import Case, PanelGrid
from sweeper.report.gallery.pictures import (
    ERROR_COLORS,
    ERROR_WORDS,
    WRONG,
    Tally,
    data_uri,
    error_map,
    judge,
    paint,
    photograph,
    tally,
)
from sweeper.report.output.columns import FAMILY, LEVEL, rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Column, Table, decimal, grid, table, word
from sweeper.report.output.writing import listed, percent
from sweeper.report.section import Section

MOST = 8
"""Families beyond so many are not shown, but for the baseline; the table has all."""
SIDE = 128
"""About the side of a picture on the page, in pixels; smaller patches are enlarged by whole factors."""
RING = 0.08
"""Least size that a missed object is ringed as, as a share of the picture's side."""


@dataclass(frozen=True)
class Tile:
    """One family's prediction of a patch, and what is wrong with it."""

    family: str
    color: str | None
    prediction: str
    """As a data URI, as all pictures here."""
    errors: str
    tally: Tally


@dataclass(frozen=True)
class Row:
    """All families at one level; of those without a picture, the reason."""

    level: float
    tiles: tuple[Tile | tuple[str, str], ...]


@dataclass(frozen=True)
class Shown:
    """One patch as the page shows it."""

    titles: str
    reasons: tuple[str, ...]
    place: str
    minority: str
    """Minority pixels of its truth, with thousands set apart."""
    image: str
    truth: str
    ring: tuple[float, float, float, float] | None
    """Left, top, width and height of a ring around the missed object, in percent of the side; None without one."""
    rows: tuple[Row, ...]


def panels(document: Document) -> Section:
    """Build the section."""
    kept = document.panels
    if kept is None or not kept.cases:
        words = {"shown": (), "absence": panel_words.absence(document)}
        return Section("panels", "What they see", tables={}, figures={}, words=words)
    families = _families(document, kept)
    strict = {*document.results.meta["data"]["minority"], document.results.meta["data"]["background"]}
    side = kept.patches.truths.shape[1]
    return Section(
        "panels",
        "What they see",
        tables={"pictures": _pictures(document, kept), "recovered": _errors(document, kept)},
        figures={"recovered": _recovered(document, kept, families)},
        words={
            "shown": tuple(_shown(document, kept, case, families) for case in kept.cases),
            "absence": "",
            "intro": panel_words.intro(kept),
            "crowd": panel_words.crowd(document, families, MOST),
            "omitted": tuple(panel_words.omitted(kept)),
            "key": tuple(
                (ERROR_COLORS[kind], text)
                for kind, text in ERROR_WORDS.items()
                if kind != WRONG or len(document.minority) > 1
            ),
            "others": len(document.results.meta["data"]["classes"]) > len(strict),
            "width": side * max(1, round(SIDE / side)) if side <= SIDE else SIDE,
            "crisp": side <= SIDE,
            "patch": side,
        },
    )


def _families(document: Document, kept: PanelGrid) -> list[str]:
    """Return the families to show: best first, as everywhere; of many only the best and the baseline."""
    if len(document.order) <= MOST + 1:
        return document.order
    best = [family for family in document.order if family in kept.families][:MOST]
    if BASELINE in document.families and BASELINE not in best:
        best.append(BASELINE)
    return best


def _shown(document: Document, kept: PanelGrid, case: Case, families: list[str]) -> Shown:
    data, patches = document.results.meta["data"], kept.patches
    truth, side = patches.truths[case.patch], patches.truths.shape[1]
    colors = {int(one["index"]): str(one["color"]) for one in data["classes"]}
    row, col = int(patches.row[case.patch]), int(patches.col[case.patch])
    rows = []
    for level, predicted in case.predicted.items():
        tiles: list[Tile | tuple[str, str]] = []
        for family in families:
            if family not in predicted:
                failed = (family, level) in kept.failed
                tiles.append((family, "its trial failed" if failed else "no prediction kept"))
                continue
            verdict = judge(truth, predicted[family], data["minority"])
            tiles.append(
                Tile(
                    family=family,
                    color=document.look[family].color if family in document.look else None,
                    prediction=data_uri(paint(predicted[family], colors)),
                    errors=data_uri(error_map(verdict)),
                    tally=tally(verdict),
                )
            )
        rows.append(Row(level, tuple(tiles)))
    return Shown(
        titles=", and ".join(
            panel_words.title(one).lower() if place else panel_words.title(one) for place, one in enumerate(case.rules)
        ),
        reasons=tuple(panel_words.reason(document, kept, one) for one in case.rules),
        place=f"{patches.stems[case.patch]}, rows {row} to {row + side - 1}, columns {col} to {col + side - 1}",
        minority=f"{tally(judge(truth, truth, data['minority'])).found:,}",
        image=data_uri(photograph(patches.images[case.patch])),
        truth=data_uri(paint(truth, colors)),
        ring=_ring(kept, case),
        rows=tuple(rows),
    )


def _ring(kept: PanelGrid, case: Case) -> tuple[float, float, float, float] | None:
    """Return where to draw a ring around the missed object, of which a few pixels are easily overlooked."""
    number = next((one.number for one in case.rules if isinstance(one, MissedObject)), None)
    if number is None:
        return None
    rows, cols = np.nonzero(kept.patches.objects[case.patch] == number)
    side = kept.patches.truths.shape[1]
    diameter = 1.5 * max(int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1, RING * side)
    left, top = ((int(edge.min()) + int(edge.max()) + 1 - diameter) / 2 for edge in (cols, rows))
    share = round(100 * diameter / side, 1)
    return round(100 * left / side, 1), round(100 * top / side, 1), share, share


def _pictures(document: Document, kept: PanelGrid) -> Table:
    minority = document.results.meta["data"]["minority"]
    rows = []
    for case in kept.cases:
        truth = kept.patches.truths[case.patch]
        place = (
            str(kept.patches.stems[case.patch]),
            int(kept.patches.row[case.patch]),
            int(kept.patches.col[case.patch]),
        )
        why = "; ".join(panel_words.title(one) for one in case.rules)
        for level, predicted in case.predicted.items():
            for family in (one for one in document.order if one in predicted):
                counted = tally(judge(truth, predicted[family], minority))
                found = (counted.found, counted.missed, counted.alarms, counted.wrong)
                rows.append((why, *place, level, family, *found))
    numbers = ["found", "missed", "alarms", "wrong"]
    frame = pd.DataFrame(rows, columns=["chosen", "picture", "row", "column", "level", "family", *numbers])
    headings = ["found", "missed", "false alarms", "wrong class"]
    return table(
        "pictures",
        "Pixels found and missed in these patches",
        "Minority pixels of single test patches, counted as they are; tuned setting, argmax. Wrong class: predicted as "
        f"another minority class. {rule(document)} Here of seed {kept.seed} alone.",
        frame,
        [
            Column("chosen as", word("chosen")),
            Column("picture", word("picture")),
            LEVEL,
            FAMILY,
            *(Column(head, decimal(one, 0), numeric=True) for head, one in zip(headings, numbers, strict=True)),
        ],
    )


def _curve_classes(document: Document, kept: PanelGrid) -> list[str]:
    return [panel_words.class_name(document, int(index)) for index in kept.patches.curve_classes]


def _errors(document: Document, kept: PanelGrid) -> Table | None:
    classes = _curve_classes(document, kept)
    rows = [
        (track.stem, track.rule, family, klass, track.errors.get((family, klass), float("nan")))
        for track in kept.tracks
        for family in document.order
        if family in track.recovered
        for klass in classes
    ]
    if not rows:
        return None
    columns = ["picture", "chosen", "family", "class", "curve_mae"]
    frame = pd.DataFrame(rows, columns=columns)
    first = [Column("log", word("picture")), Column("chosen for its", word("chosen")), FAMILY]
    # On the page a column per curve; names of classes may be anything, so the columns are numbered.
    wide = frame.drop_duplicates(columns[:3])[columns[:3]].reset_index(drop=True)
    for place in range(len(classes)):
        wide[f"curve_{place}"] = frame["curve_mae"].to_numpy()[place :: len(classes)]
    return table(
        "recovered",
        "Curve errors in these logs",
        f"Mean distance of the recovered curve to the true one in track widths, at {percent(kept.level)} background; "
        f"tuned setting, argmax. {rule(document)} Here of seed {kept.seed} alone.",
        frame,
        [*first, Column("curve", word("klass")), Column("curve MAE", decimal("curve_mae", 4), numeric=True)],
        page=grid(
            wide,
            [
                *first,
                *(Column(f"MAE of {name}", decimal(f"curve_{n}", 4), numeric=True) for n, name in enumerate(classes)),
            ],
        ),
    )


def _recovered(document: Document, kept: PanelGrid, families: list[str]) -> Figure | None:
    families = [family for family in families if family in kept.families]
    if not kept.tracks or not families:
        return None
    classes, step = _curve_classes(document, kept), tracks.thinning(kept.tracks)
    chart = charts.recovered(
        [(track.stem, tracks.lines(track, families, classes, step)) for track in kept.tracks],
        families,
        classes,
        document.look,
        depth=kept.patches.curves.shape[2],
    )
    chosen = listed(f"{track.stem} ({track.rule})" for track in kept.tracks)
    many = "these logs are" if len(kept.tracks) > 1 else "this log is"
    thinned = "" if step == 1 else f" One row in {step} is drawn."
    return Figure(
        "recovered",
        "Recovered curves over the true ones",
        chart,
        alt=f"True and recovered curves of {chosen}, a panel per family. {panel_words.best_and_worst(kept, families)}",
        caption=f"Thick gray: the true curve. Thin, in the family's color: the curve recovered from its prediction at "
        f"{percent(kept.level)} background, broken where the curve wraps around the track and where nothing was "
        "predicted; in the error such rows count with the nearest row's position, and a curve found nowhere with a "
        f"guess's 0.25. Of the test logs {many} of "
        f"{' and '.join(track.rule for track in kept.tracks)}, on average over families and curves.{thinned}",
        reading=panel_words.best_and_worst(kept, families),
    )
