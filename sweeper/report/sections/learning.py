"""How scores rise over the epochs, and whether the search has seen enough trials. Validation scores, not results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeper.report import learning as measures
from sweeper.report import tables
from sweeper.report.charts import learning as charts
from sweeper.report.document import Document
from sweeper.report.output.columns import FAMILY, LEVEL, sentence
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Column, Table, decimal, table, word
from sweeper.report.output.writing import digits, listed, percent
from sweeper.report.search import search_budget
from sweeper.report.section import Section

DRAWN = 12
"""Families whose search is drawn: the best at the hardest level."""


def learning(document: Document) -> Section | None:
    """Build the section; None where neither epochs nor search trials are recorded."""
    history = measures.histories(document.results)
    levels = tables.shown_levels(document.results)
    shown = history[history["level"].isin(levels)]
    targets = measures.to_target(history, measures.lost_seeds(document.results))
    searched = search_budget.budget_curves(document.results)
    if shown.dropna(subset=["score"]).empty and searched.empty:
        return None
    gains = search_budget.last_third(searched)
    return Section(
        "learning",
        "Learning and search budget",
        tables={
            "epochs_to_target": _to_target(document, targets) if len(targets) else None,
            "search_gain": _gains(document, gains) if len(gains) else None,
        },
        figures={
            "learning": _learning(document, shown, targets),
            "search_budget": _budget(document, searched, gains),
        },
    )


def _learning(document: Document, history: pd.DataFrame, targets: pd.DataFrame) -> Figure | None:
    rows = measures.curves(history)
    if rows.empty:
        return None
    goals = {float(level): float(target) for level, target in targets[["level", "target"]].drop_duplicates().values}
    label = f"validation {document.score.label}"
    single = " One seed: no band." if rows["seeds"].max() < 2 else ""
    return Figure(
        "learning",
        "Learning curves",
        charts.learning(rows, document.look, goals, label),
        alt=f"{sentence(label)} over the epochs, one line per family.",
        caption="Tuned setting, confirm trials, argmax, on validation after every epoch: mean of seeds with its 95 % "
        f"interval over seeds.{single} Dashed: {measures.TARGET:.0%} of the best family's final score. "
        "Click a family in the legend to single it out.".replace("%", "\u00a0%"),
        reading=_first(targets),
    )


def _first(targets: pd.DataFrame) -> str:
    """Say which families are there first, at the hardest level."""
    if targets.empty:
        return ""
    level = targets["level"].max()
    own = targets[targets["level"] == level]
    there = own[own["median"].map(math.isfinite)].sort_values("median")
    never = list(own[own["reached"] == 0]["family"])
    goal = f"a validation score of {digits(float(own['target'].iloc[0]))} at {percent(level)} background"
    parts = []
    if len(there):
        said = [f"{row.family} ({_epochs(row.median)})" for row in there.itertuples()]
        parts.append(f"Median epochs to {goal}: {listed(said)}")
    else:
        parts.append(f"No family reaches {goal} with more than half of its seeds")
    if never:
        parts.append(f"never, with any seed: {listed(never)}")
    return "; ".join(parts) + "."


def _to_target(document: Document, frame: pd.DataFrame) -> Table:
    return table(
        "epochs_to_target",
        "Epochs to a shared target",
        f"Epochs until {document.score.label} on validation first reaches the target, which is {measures.TARGET:.0%} "
        "of the highest final mean of any family at that level. Median over seeds; seeds that failed or "
        "never got there count as slower than any, so that a dash is a median beyond the last "
        "epoch.".replace("%", "\u00a0%"),
        frame.assign(median=frame["median"].where(frame["median"].map(math.isfinite))),
        [
            FAMILY,
            LEVEL,
            Column("target", decimal("target"), numeric=True),
            Column("median epochs", lambda row: _epochs(row.median), numeric=True),
            Column("seeds there", lambda row: f"{row.reached} of {row.seeds}", numeric=True),
        ],
    )


def _epochs(value: float) -> str:
    return "–" if value != value or math.isinf(value) else f"{value:g}"


def _budget(document: Document, rows: pd.DataFrame, gains: pd.DataFrame) -> Figure | None:
    # A family with one setting has nothing to search.
    several = rows.groupby(["family", "level"])["trials"].transform("max") > 1 if len(rows) else pd.Series(dtype=bool)
    rows = rows[several]
    levels = [level for level in tables.shown_levels(document.results) if level in set(rows["level"])]
    rows = rows[rows["level"].isin(levels)]
    if rows.empty:
        return None
    families = [family for family in document.order if family in set(rows["family"])]
    left = (
        f" The {DRAWN} best of {len(families)} families; the others are in the files." if len(families) > DRAWN else ""
    )
    label = f"validation {document.score.label}"
    return Figure(
        "search_budget",
        "Would a larger search budget have helped?",
        charts.budget(rows, document.look, families[:DRAWN], label),
        alt=f"Best {label} by the number of completed search trials, one line per family.",
        caption="Thick: best score to expect of so many of the completed trials, whatever their order; thin steps: "
        "best so far in the order they were tried. Search scores are of validation and chosen among many: they say "
        "when to stop searching, not which family is better. The sampler learns from earlier trials, so that more "
        f"of them may gain more than the thick line promises.{left}",
        reading=_more(document, gains),
    )


def _more(document: Document, gains: pd.DataFrame) -> str:
    """Say in which cells the last third of the trials still paid, by more than the region of equivalence."""
    known = gains.dropna(subset=["gain"])
    if known.empty:
        return f"With fewer than {search_budget.LEAST} completed trials per cell, nothing can be said of more."
    open_ones = known[known["gain"] > document.rope]
    limit = f"more than {document.rope:g}"
    if open_ones.empty:
        return (
            f"More trials would hardly help: in none of the {len(known)} cells with enough trials did the last third "
            f"raise the expected best validation score by {limit}."
        )
    said = [f"{row.family} at {percent(row.level)} (+{digits(row.gain)})" for row in _largest(open_ones)]
    return (
        f"More trials may still help: in {len(open_ones)} of {len(known)} cells with enough trials the last third "
        f"raised the expected best validation score by {limit}: {listed(said)}."
    )


def _largest(frame: pd.DataFrame) -> Sequence[Any]:
    return list(frame.sort_values("gain", ascending=False).itertuples())


def _gains(document: Document, frame: pd.DataFrame) -> Table:
    return table(
        "search_gain",
        "What the last third of the search gained",
        f"Gain in the expected best validation score ({document.score.label}) from the last third of the completed "
        f"trials of a cell; a dash with fewer than {search_budget.LEAST}. Above {document.rope:g}, more trials may "
        "still help.",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("completed trials", word("trials"), numeric=True),
            Column("gain", decimal("gain", 4, sign=True), numeric=True),
        ],
    )
