"""How dependable training is: failures, collapses, seeds, and the last epoch against the best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sweeper.report import stability as measures
from sweeper.report import tables
from sweeper.report.charts import stability as charts
from sweeper.report.document import Document
from sweeper.report.inference.seeds import deviation_factors
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.columns import FAMILY, LEVEL, rule, sentence
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Column, Grid, Table, decimal, grid, score_cell, spread, table, word
from sweeper.report.output.writing import digits, listed, percent
from sweeper.report.section import Section

LONGEST = 140
"""Letters of a reason that the page shows; the files have all."""


def stability(document: Document) -> Section | None:
    """Build the section; None where no trial is recorded."""
    if not len(document.results.trials):
        return None
    spreads = measures.spread(document.results, document.evidence, document.score)
    scores = measures.seed_scores(document.evidence, document.score)
    counts = measures.stability(document.results)
    return Section(
        "stability",
        "Stability",
        tables={
            "stability": _counts(document, counts),
            "spread": _spread(document, spreads) if len(spreads) else None,
            "failure_reasons": _reasons(document),
        },
        figures={"seeds": _figure(document, scores)},
        words={"findings": tuple(_findings(document, counts, spreads))},
    )


def _counts(document: Document, frame: pd.DataFrame) -> Table:
    return table(
        "stability",
        "What went wrong",
        "All levels together. Failed: ended with an error, out of memory among them. Collapsed: completed and found "
        "not one minority pixel at argmax, on validation in the search and on test for confirmed seeds; a trial that "
        "was stopped early is not called collapsed. Share: failed and collapsed of all, with its 95 % Wilson interval, "
        "which takes trials for independent. Tuned seeds are those of the setting chosen by the search; where this is "
        "the default they count as tuned.",
        frame,
        [
            FAMILY,
            Column("of", word("what")),
            *(Column(name, word(name), numeric=True) for name in ("trials", "failed")),
            Column("out of memory", word("memory"), numeric=True),
            Column("collapsed", word("collapsed"), numeric=True),
            Column("share", _share, numeric=True),
        ],
    )


def _share(row: Any) -> Cell:
    low, high = (f"{100 * value:.0f}" for value in (row.share_low, row.share_high))
    return Cell(f"{100 * row.share:.0f}\u00a0%", f"[{low}, {high}]")


def _spread(document: Document, frame: pd.DataFrame) -> Table:
    shown = frame[frame["level"].isin(tables.shown_levels(document.results))]
    columns = [
        FAMILY,
        LEVEL,
        Column("seeds", word("seeds"), numeric=True),
        Column("lowest", decimal("lowest"), numeric=True),
        Column("highest", decimal("highest"), numeric=True),
        Column("deviation", spread("sd", "sd_low", "sd_high"), numeric=True),
        Column("best − last epoch", _gap, numeric=True),
        Column("best epoch", decimal("best_epoch", 0), numeric=True),
    ]
    traced = "" if frame["traced"].any() else " These results hold no scores per epoch, so the last two are unknown."
    alone = " One seed has no deviation." if (frame["seeds"] == 1).any() else ""
    return table(
        "spread",
        "Spread over seeds, and the last epoch against the best",
        f"{sentence(document.score.label)}, tuned, argmax. On test: lowest and highest seed, and the standard "
        "deviation over seeds with the 95 % interval it has for normally distributed scores; all seeds see the same "
        f"test images.{alone} On validation: the best epoch's score minus that of the last, whose scores all tables "
        "show, mean of seeds with its 95 % interval, and the median best epoch. As a best of many noisy epochs it "
        "is above the last even where nothing was lost, and by more than a choice of the epoch would gain on "
        "test."
        f"{traced} Other levels are in the files. {rule(document)}",
        frame,
        columns,
        shown=shown,
        page=grid(shown, columns, stacked=True),
    )


def _gap(row: Any) -> Cell:
    return score_cell(Interval(row.gap, row.gap_low, row.gap_high))


def _reasons(document: Document) -> Table | None:
    frame = measures.reasons(document.results)
    if frame.empty:
        return None
    rows = tuple(
        (Cell(row["family"]), Cell(row["what"]), Cell(_cut(row["reason"])), Cell(str(row["trials"])))
        for row in frame.to_dict("records")
    )
    head = ("family", "of", "reason", "trials")
    set_rows = Grid(head, rows, frozenset({3}))
    return Table(
        "failure_reasons",
        "Why trials failed",
        "Reasons that differ in numbers alone, such as the epoch, are one; the files hold an example of each as it was "
        "recorded.",
        frame,
        tidy=set_rows,
        grid=set_rows,
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _figure(document: Document, scores: pd.DataFrame) -> Figure | None:
    rows = scores[scores["level"].isin(tables.shown_levels(document.results))].dropna(subset=["score"])
    if rows.empty:
        return None
    label = sentence(document.score.label)
    where = listed(percent(float(level)) for level in sorted(rows["level"].unique()))
    return Figure(
        "seeds",
        "Every seed",
        charts.seeds(rows, document.look, label=document.score.label, order=document.order),
        alt=f"{label} of every seed of {rows['family'].nunique()} families at {where} background.",
        caption="Tuned, argmax, test: a point per seed, a bar at their mean. A collapsed seed lies at 0; one that "
        "failed has no point.",
    )


def _findings(document: Document, counts: pd.DataFrame, spreads: pd.DataFrame) -> Iterator[str]:
    """Say what went wrong, which family's seeds lie farthest apart, and what the last epoch gave away."""
    bad = counts[(counts["what"] == measures.TUNED) & (counts["share"] > 0)].sort_values("share", ascending=False)
    seeds = int(counts[counts["what"] == measures.TUNED]["trials"].sum())
    if len(bad):
        parts = listed(
            f"{row['family']} ({row['failed'] + row['collapsed']} of {row['trials']})" for row in bad.to_dict("records")
        )
        yield f"Tuned seeds that failed or collapsed: {parts}."
    elif seeds:
        yield f"Of {seeds} tuned seeds, not one failed or collapsed."
    if not len(spreads):
        return
    level = float(spreads["level"].max())
    # Seeds that all collapsed agree without an interval, and are not what one calls stable.
    here = spreads[spreads["level"] == level].dropna(subset=["sd_low"])
    if len(here) > 1:
        least, *_, most = here.sort_values("sd").to_dict("records")
        number = int(here["seeds"].min())
        low, high = deviation_factors(number)
        apart = "lie apart" if most["sd_low"] > least["sd_high"] else "overlap"
        yield (
            f"At {percent(level)} the seeds of {most['family']} lie farthest apart (standard deviation "
            f"{digits(most['sd'])}), those of {least['family']} closest ({digits(least['sd'])}); their intervals "
            f"{apart}. Of {number} seeds, the true deviation may be {low:.1f} to {high:.1f} times the one seen."
        )
    lost = spreads[spreads["level"] == level].dropna(subset=["gap"])
    if len(lost):
        first = lost.sort_values("gap").to_dict("records")[-1]
        yield (
            f"On validation the best epoch is above the last by up to {digits(first['gap'])} there, for "
            f"{first['family']} (median over families {digits(float(lost['gap'].median()))}). Choosing the epoch would "
            "have gained so much on validation and, as this is a best of many, less on test."
        )
