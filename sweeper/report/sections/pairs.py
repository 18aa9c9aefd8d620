"""Who beats whom: every pair of families, their mean ranks, and how their scores of single images are spread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sweeper.report import pairs as contests
from sweeper.report import tables
from sweeper.report.charts import pairs as charts
from sweeper.report.document import Document
from sweeper.report.evidence import POINTS
from sweeper.report.inference import profiles as profiling
from sweeper.report.inference.multiplicity import ALPHA
from sweeper.report.inference.ranks import FEW, Ranks, cliques, ranks
from sweeper.report.inference.verdict import Verdict
from sweeper.report.output.columns import rule, sentence
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Column, Grid, Table, spread, table, word
from sweeper.report.output.writing import MISSING, digits, listed, p_value, percent
from sweeper.report.pairs import ALL_LEVELS, Contest, Level
from sweeper.report.section import Section

MOST = 20
"""Families the page shows against each other, the best at the hardest level; the files have all."""

ROWS = 400
"""Pairs beyond which the page's table shows the hardest level alone."""

MEAN = "mean of levels"


def pairs(document: Document) -> Section | None:
    """Build the section; None where no two families can be compared."""
    frame = contests.table(document.contests)
    if frame.empty:
        return None
    ranked = list(_ranked(document))
    return Section(
        "pairs",
        "Who beats whom",
        tables={"pairs": _pairs(document, frame), "ranks": _ranks(document, ranked), "profiles": _profiles(document)},
        figures={
            "verdicts": _matrix(document, frame),
            "ranks": _diagram(document, ranked),
            "profiles": _profile_chart(document),
        },
        words={"notes": tuple(_notes(document)), "margin": document.score.margin(document.rope), "alpha": ALPHA},
    )


def _place(level: Level) -> str:
    return MEAN if level is ALL_LEVELS or level != level else percent(level)


def _hardest(document: Document) -> Contest:
    return next(contest for contest in reversed(list(document.contests)) if contest.point == "argmax" and _one(contest))


def _one(contest: Contest) -> bool:
    return contest.level is not ALL_LEVELS


def _notes(document: Document) -> Iterator[str]:
    """Say how the pairs of each level fall out, and where the data cannot settle any."""
    for contest in document.contests:
        if contest.point != "argmax":
            continue
        made = contest.pairs.values()
        separable, equivalent, lacking = (
            sum(pair.verdict in kinds for pair in made)
            for kinds in ((Verdict.BETTER, Verdict.WORSE), (Verdict.EQUIVALENT,), (Verdict.OPEN,))
        )
        where = "In the mean of the levels" if contest.level is ALL_LEVELS else f"At {percent(contest.level)}"
        text = (
            f"{where}: one is better than the other in {separable} of {len(made)} "
            f"{'pair' if len(made) == 1 else 'pairs'}, {equivalent} {'is' if equivalent == 1 else 'are'} equivalent, "
            f"{lacking} {'lacks' if lacking == 1 else 'lack'} evidence."
        )
        seeds, images = min(pair.seeds for pair in made), max(pair.images for pair in made)
        if seeds == 1:
            text += " A single seed settles nothing."
        elif contest.least >= ALPHA:
            text += (
                f" With {images} test {'image' if images == 1 else 'images'} no corrected p-value can be below "
                f"{contest.least:.2g}, so that none could be called better."
            )
        yield text


def _pairs(document: Document, frame: pd.DataFrame) -> Table:
    best = set(document.order[:MOST])
    shown = frame[(frame["point"] == "argmax") & frame["first"].isin(best) & frame["second"].isin(best)]
    what = "at argmax"
    if len(shown) > ROWS:
        hardest = _hardest(document).level
        shown, what = shown[shown["level"] == hardest], f"at argmax and {_place(hardest)} background"
    if len(document.families) > MOST:
        what += f", among the {MOST} best"
    return table(
        "pairs",
        "Every pair",
        f"{sentence(document.score.label)} on test, tuned: the first minus the second, paired over seeds and images, "
        "with its 95 % interval. Improvement: share of runs (seed and image) in which the first scores higher, ties "
        "half. p: Wilcoxon's signed-rank test over images, corrected by Holm's method over all pairs of the level. "
        f"Shown are the pairs {what}; the files have every pair, level and point, a missing level standing for the "
        f"mean of the levels. {rule(document)}",
        frame,
        [
            Column("background", lambda row: _place(float(row.level)), numeric=True),
            Column("first", word("first")),
            Column("second", word("second")),
            Column("difference", spread("difference", "low", "high", sign=True), numeric=True),
            Column("improvement", _improvement, numeric=True),
            Column("p", lambda row: _p(row.corrected), numeric=True),
            Column("the first is", word("verdict")),
        ],
        shown=shown,
        about=f"pairs of {len({*shown['first'], *shown['second']})} families {what}",
    )


def _improvement(row: Any) -> Cell:
    low, high = (f"{100 * end:.0f}" if end == end else "" for end in (row.improvement_low, row.improvement_high))
    share = MISSING if row.improvement != row.improvement else f"{100 * row.improvement:.0f}\u00a0%"
    return Cell(share, f"[{low}, {high}]" if low else "")


def _p(value: float) -> str:
    if value != value:
        return MISSING
    return "< 0.001" if value < 0.001 else digits(value, 3)


def _matrix(document: Document, frame: pd.DataFrame) -> Figure:
    own = frame[frame["point"] == POINTS[0]]
    order = [family for family in document.order if family in {*own["first"], *own["second"]}][:MOST]
    levels = [contest.level for contest in document.contests if contest.point == POINTS[0]]
    if len(order) > charts.WIDE:
        levels = [level for level in levels if level in (ALL_LEVELS, _hardest(document).level)]
    own = own[own["first"].isin(order) & own["second"].isin(order)]
    back = own.rename(columns={"first": "column", "second": "row"}).assign(
        difference=-own["difference"],
        low=-own["high"],
        high=-own["low"],
        improvement=1 - own["improvement"],
        verdict=[str(Verdict(verdict).turned) for verdict in own["verdict"]],
    )
    cells = pd.concat([own.rename(columns={"first": "row", "second": "column"}), back], ignore_index=True)
    cells["panel"] = [_title(level) for level in cells["level"]]
    kept = ["row", "column", "panel", "difference", "low", "high", "improvement", "corrected", "verdict"]
    panels = [_title(level) for level in levels]
    left = f" The {MOST} best families are shown." if len(document.families) > MOST else ""
    return Figure(
        "verdicts",
        "Row against column",
        charts.matrix(cells.loc[cells["panel"].isin(panels), kept], order, panels, document.score.label),
        alt=f"Verdicts on every pair of {len(order)} families: {listed(panels)}.",
        caption=f"Tuned, argmax, test: difference in {document.score.label}, row minus column, in points. +, −: "
        f"better, worse; ≈: equivalent, within {document.score.margin(document.rope)}; ?: not enough evidence.{left}",
    )


def _ranked(document: Document) -> Iterator[tuple[Level, str, tuple[str, ...], Ranks]]:
    """Yield the ranks of every contest: level, point, its families, and how they rank."""
    for contest in document.contests:
        blocks = document.contests.blocks(contest.level, contest.point)
        yield contest.level, contest.point, contest.order, ranks(blocks, seed=document.seed)


def _ranks(document: Document, ranked: list[tuple[Level, str, tuple[str, ...], Ranks]]) -> Table:
    rows = [
        (float("nan") if level is ALL_LEVELS else level, point, family, mean, found.blocks, found.statistic, found.p,
         found.way, found.critical)
        for level, point, order, found in ranked
        for family, mean in zip(order, found.mean.tolist(), strict=True)
    ]  # fmt: skip
    columns = ["level", "point", "family", "rank", "images", "friedman", "p", "p_from", "critical_difference"]
    frame = pd.DataFrame(rows, columns=columns)
    own = {level: dict(zip(order, found.mean.tolist(), strict=True)) for level, point, order, found in ranked
           if point == POINTS[0]}  # fmt: skip
    last = ALL_LEVELS if ALL_LEVELS in own else next(reversed(own))
    families = sorted({family for by in own.values() for family in by},
                      key=lambda family: (own[last].get(family, float("inf")), family))  # fmt: skip
    grid = Grid(
        ("family", *(_place(level) for level in own)),
        tuple((Cell(family), *(Cell(digits(by.get(family), 2)) for by in own.values())) for family in families),
        frozenset(range(1, len(own) + 1)),
    )
    return Table(
        "ranks",
        "Mean ranks",
        f"Over test images, by {document.score.label} of the image, mean over seeds; 1 is best, ties share. "
        f"{sentence(MEAN)}: by the image's mean over the levels. Tuned, argmax; the files have both points, "
        f"Friedman's test (p exact or from random orders up to {FEW} images, else by Iman and Davenport) and Nemenyi's "
        f"critical difference. {rule(document)}",
        frame,
        tidy=grid,
        grid=grid,
        about=f"{len(families)} families",
    )


def _diagram(document: Document, ranked: list[tuple[Level, str, tuple[str, ...], Ranks]]) -> Figure | None:
    by_level = {level: (order, found) for level, point, order, found in ranked if point == POINTS[0]}
    chosen = [level for level in (ALL_LEVELS, _hardest(document).level) if level in by_level]
    places, joined, reading = [], [], []
    for level in chosen:
        order, found = by_level[level]
        if not found.blocks:
            continue
        mean = dict(zip(order, found.mean.tolist(), strict=True))
        best = sorted(mean, key=lambda family: mean[family])[:MOST]
        contest, panel = document.contests.at(level), _title(level)
        places += [(panel, family, mean[family]) for family in best]
        bars = cliques(range(len(best)), lambda one, other: contest.separable(best[one], best[other]))  # noqa: B023
        joined += [(panel, bar, best[first], best[stop]) for bar, (first, stop) in enumerate(bars)]
        if found.p == found.p:
            reading.append(
                f"{panel}: {found.blocks} images, Friedman's test {p_value(found.p)} ({found.way}), Nemenyi's critical "
                f"difference {found.critical:.2f} ranks."
            )
    if not places:
        return None
    panels = list(dict.fromkeys(place[0] for place in places))
    return Figure(
        "ranks",
        "Mean ranks, and what is not separable",
        charts.ranking(
            pd.DataFrame(places, columns=["panel", "family", "rank"]),
            pd.DataFrame(joined, columns=["panel", "bar", "first", "last"]),
            document.look,
            panels,
        ),
        alt=f"Mean ranks of the families over test images, {listed(panels)}, with bars joining those not separable.",
        caption="Tuned, argmax, test. Blocks are images, scored by the mean over seeds. A bar joins neighbors of which "
        "none is better than another by the verdicts above; whether two are joined does not depend on the others, as "
        "it does with Nemenyi's critical difference (Benavoli et al. 2016).",
        reading=" ".join(reading),
    )


def _title(level: Level) -> str:
    return sentence(MEAN) if level is ALL_LEVELS or level != level else f"{percent(level)} background"


def _profiles(document: Document) -> Table:
    frame = profiling.profiles(
        document.evidence, document.families, document.contests.levels, document.score.metric, document.score.klass
    )
    # Thousands of rows: a file to draw from, not a table to read.
    return table(
        "profiles",
        "Performance profiles",
        "Share of runs (seed and test image) with a score of the image above each threshold, tuned, with 95 % "
        f"intervals at each threshold over seeds and images. {rule(document)}",
        frame,
        [],
    )


def _profile_chart(document: Document) -> Figure | None:
    levels = tables.shown_levels(document.results)
    frame = profiling.profiles(
        document.evidence, document.order[:MOST], levels, document.score.metric, document.score.klass, points=POINTS[:1]
    )
    if frame.empty:
        return None
    left = f" The {MOST} best families are shown." if len(document.families) > MOST else ""
    return Figure(
        "profiles",
        "Performance profiles",
        charts.profiles(frame, document.look, document.score.label),
        alt=f"Share of runs above each {document.score.label} of one image, a line per family.",
        caption="Tuned, argmax, test: in which share of runs, one test image under one seed, a family scores above the "
        "threshold. Higher is better; a line that starts lower has failed on some images outright. Bands: 95 % at each "
        f"threshold, over seeds and images.{left}",
    )
