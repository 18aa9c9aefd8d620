"""Whether a predicted probability is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from sweeper.report import calibration as measures
from sweeper.report import tables
from sweeper.report.calibration import OVERLAP, PIXEL, Cells
from sweeper.report.charts.calibration import reliability
from sweeper.report.document import Document
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.columns import FAMILY, LEVEL, rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Column, Table, decimal, grid, spread, table, word
from sweeper.report.output.writing import digits, listed, percent, signed
from sweeper.report.section import Section
from sweeper.results.margins import PROBABILITY_BINS


def calibration(document: Document) -> Section | None:
    """Build the section; None for results without reliability bins, as older ones are."""
    cells = measures.gather_bins(document.results)
    if not cells:
        return None
    frame = measures.calibration(cells, seed=document.seed)
    return Section(
        "calibration",
        "Calibration",
        tables={"calibration": _table(document, frame)},
        figures={"reliability": _figure(document, cells)},
        words={"findings": tuple(_findings(document, cells, frame))},
    )


def _table(document: Document, frame: pd.DataFrame) -> Table:
    columns = [
        FAMILY,
        LEVEL,
        Column("ECE", spread("ece", "ece_low", "ece_high"), numeric=True),
        Column("minority ECE", spread("minority_ece", "minority_ece_low", "minority_ece_high"), numeric=True),
        Column("promised", decimal("promised"), numeric=True),
        Column("kept", decimal("kept"), numeric=True),
        Column("gap", spread("gap", "gap_low", "gap_high", sign=True), numeric=True),
        Column("expected area", spread("area", "area_low", "area_high"), numeric=True),
        Column("seeds", word("seeds"), numeric=True),
    ]
    shown = frame[frame["level"].isin(tables.shown_levels(document.results))]
    alone = " With one seed there is no interval." if (frame["seeds"] == 1).any() else ""
    return table(
        "calibration",
        "Expected calibration error",
        "Tuned, test, under the level weights; the probability is that of any minority class together, in "
        f"{PROBABILITY_BINS} equal bins. ECE: mean of |share − probability| over bins, weighted by pixels; minority "
        "ECE: the same weighted by minority pixels, so what a random one meets. Promised and kept: mean probability of "
        "the pixels given 0.5 or more, and the share of them that are of a minority class; gap: promised − kept. "
        "Expected area: the probabilities of all pixels added up, over the true minority pixels. Mean of seeds, 95 % "
        f"intervals over seeds alone (bins are pooled over test images).{alone} Other levels are in the files. "
        f"{rule(document)}",
        frame,
        columns,
        shown=shown,
        page=grid(shown, columns, stacked=True),
    )


def _figure(document: Document, cells: Cells) -> Figure | None:
    rows = measures.curves(cells)
    levels = sorted({float(level) for level in rows["level"]} & set(tables.shown_levels(document.results)))
    drawn = rows[rows["level"].isin(levels) & rows["family"].isin(list(document.look))]
    if drawn.empty:
        return None
    left_out = len(set(rows["family"]) - set(drawn["family"]))
    crowd = f" {left_out} more families are in the table." if left_out else ""
    where = listed(percent(level) for level in levels)
    return Figure(
        "reliability",
        "Reliability curves",
        reliability(drawn, document.look),
        alt=f"Share of minority pixels over their predicted probability at {where} background, one line per family.",
        caption="Tuned, test, seeds pooled. On the dotted line promises are kept; below it a family is over-confident "
        "that there is something. A point is a bin, as large as its share of the minority pixels; below, the share of "
        f"all pixels in each bin on a logarithmic scale, cut at 0.001 %.{crowd}",
    )


def _findings(document: Document, cells: Cells, frame: pd.DataFrame) -> Iterator[str]:
    """Say who promises more than it keeps at the hardest level, and whether overlap losses do so more than others."""
    level = float(frame["level"].max())
    here = frame[frame["level"] == level]
    # The best at this level first, as in all other lists.
    here = here.set_index("family").loc[[name for name in document.order if name in set(here["family"])]].reset_index()
    where = f"At {percent(level)} background"
    groups: dict[str, list[str]] = {"over": [], "under": [], "open": [], "alone": [], "silent": []}
    for row in here.to_dict("records"):
        gap = Interval(row["gap"], row["gap_low"], row["gap_high"])
        if gap.mean != gap.mean:
            groups["silent"].append(row["family"])
        elif gap.low != gap.low:
            groups["alone"].append(f"{row['family']} ({digits(gap.mean, sign=True)})")
        else:
            kind = "open" if not gap.excludes_zero else "over" if gap.mean > 0 else "under"
            groups[kind].append(f"{row['family']} ({signed(gap)})")
    parts = [
        f"{words}: {listed(groups[name])}."
        for name, words in (
            ("over", "promise more than they keep"),
            ("under", "keep more than they promise"),
            ("open", "not told apart from calibrated"),
            ("alone", "known from one seed, so without an interval"),
            ("silent", "give no pixel so much"),
        )
        if groups[name]
    ]
    text = " ".join(part[:1].upper() + part[1:] for part in parts)
    yield (
        f"{where}, promised − kept of the pixels given a minority probability of 0.5 or more, with 95 % intervals over "
        f"seeds, each by itself. {text}"
    )
    yield from _axes(document, cells, level)


def _axes(document: Document, cells: Cells, level: float) -> Iterator[str]:
    """Compare the overlap-aware families with the per-pixel ones, where a study has both, no surer than the seeds."""
    about = document.results.meta["families"]
    overlap, pixel = ([f for f in about if about[f]["overlap"] == kind and (f, level) in cells]
                      for kind in (OVERLAP, PIXEL))  # fmt: skip
    own = measures.group_gap(cells, overlap, level, seed=document.seed)
    if own is None or own.low != own.low:
        return
    names = listed(overlap)
    if own.low > 0:
        text = f"The overlap-aware families ({names}) are over-confident: their mean gap is {signed(own)}"
    elif own.high < 0:
        text = f"The overlap-aware families ({names}) are under-confident: their mean gap is {signed(own)}"
    else:
        text = f"The overlap-aware families ({names}) are not over-confident beyond noise: mean gap {signed(own)}"
    beside = measures.group_difference(cells, overlap, pixel, level, seed=document.seed)
    if not pixel or beside is None or beside.low != beside.low:
        yield f"{text}."
    elif beside.excludes_zero:
        more = "above" if beside.mean > 0 else "below"
        yield (
            f"{text}, and it lies {more} that of the per-pixel families ({listed(pixel)}) by "
            f"{digits(abs(beside.mean))} (paired over seeds: {signed(beside)})."
        )
    else:
        yield f"{text}; against the per-pixel families ({listed(pixel)}) the difference, {signed(beside)}, is open."
