"""What the search saw of every hyperparameter: curves, maps, fronts, importance, and where it ran into an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweeper.report import tables
from sweeper.report.document import Document
from sweeper.report.output.columns import FAMILY, LEVEL
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Column, Table, decimal, table, word
from sweeper.report.output.writing import MISSING, percent, text
from sweeper.report.search.dial_figures import front_rows, fronts, importance_chart, maps, single_dials
from sweeper.report.search.dials import FamilySearch
from sweeper.report.search.explored import edge_words
from sweeper.report.search.importance import LEAST as LEAST_RANKED
from sweeper.report.search.importance import SHUFFLES
from sweeper.report.section import Section

EDGES = 8
"""Warnings in words; all of them are in the table."""

GUESSED = (
    "Scores are of validation at the last epoch reached, one seed per trial, and the best of many are best in part by "
    "luck: they show what a dial does, and are no results."
)


@dataclass(frozen=True)
class Drawn:
    """The charts of one family."""

    family: str
    figures: tuple[Figure, ...]


def dials(document: Document) -> Section:
    """Build the section."""
    searches = _ordered(document)
    singles, undrawn = single_dials(document, searches)
    mapped, unmapped = maps(document, searches)
    families = _by_family(searches, singles, mapped)
    trade = fronts(document, searches)
    ranked = _importance(document)
    figures: dict[str, Figure | None] = {"fronts": trade, "importance": importance_chart(document, ranked)}
    figures |= {figure.name: figure for one in families for figure in one.figures}
    edges = document.explored.edges
    return Section(
        "dials",
        "The dials",
        tables={
            "dials": _dials(document, searches) if searches else None,
            "responses": _responses(document) if searches else None,
            "fronts": _front_table(document, searches) if trade is not None else None,
            "importance": _importance_table(ranked) if ranked["importance"].notna().any() else None,
            "settings": _settings(document),
        },
        figures=figures,
        words={
            "families": families,
            "fronts": trade,
            "undrawn": undrawn,
            "unmapped": unmapped,
            "still": _still(searches),
            "edges": [edge_words(edge) for edge in edges[:EDGES]],
            "more_edges": max(len(edges) - EDGES, 0),
            "unranked": LEAST_RANKED if ranked["importance"].isna().all() and len(ranked) else None,
        },
    )


def _ordered(document: Document) -> list[FamilySearch]:
    place = {family: index for index, family in enumerate(document.order)}
    return sorted(document.explored.searches, key=lambda search: place[search.family])


def _by_family(
    searches: Sequence[FamilySearch], singles: dict[str, list[Figure]], maps: dict[str, list[Figure]]
) -> list[Drawn]:
    found = [
        Drawn(search.family, (*singles.get(search.family, []), *maps.get(search.family, []))) for search in searches
    ]
    return [one for one in found if one.figures]


def _front_table(document: Document, searches: Sequence[FamilySearch]) -> Table:
    _, rows = front_rows(document, searches)
    kept = rows[rows["front"]].drop(columns=["front", "place"]).sort_values(["family", "recall"], kind="stable")
    return table(
        "fronts",
        "Precision-recall fronts",
        "Search trials that no other of their family beats in validation recall and precision at argmax.",
        kept.reset_index(drop=True),
        [],
    )


def _importance(document: Document) -> pd.DataFrame:
    frame = document.explored.importance.copy()
    place = {family: index for index, family in enumerate(document.order)}
    frame["ratio"] = frame["importance"] / frame["shuffled"].where(frame["shuffled"] > 0)
    return frame.sort_values(["family"], key=lambda column: column.map(place), kind="stable", ignore_index=True)


def _importance_table(frame: pd.DataFrame) -> Table:
    return table(
        "importance",
        "Importance of the hyperparameters",
        "Optuna's PED-ANOVA over the search trials of all levels, each ranked within its level. Share: of the family's "
        f"sum. Times noise: over what {SHUFFLES} shuffles of the scores reach once in 20. Of 20 dials that do nothing "
        f"one comes out clear of noise. Below {LEAST_RANKED} trials nothing is said.",
        frame,
        [
            FAMILY,
            Column("hyperparameter", word("hyperparameter")),
            Column("trials", word("trials"), numeric=True),
            Column("share", decimal("share", 2), numeric=True),
            Column("times noise", decimal("ratio", 1), numeric=True),
            Column("reading", _clear),
        ],
    )


def _clear(row: Any) -> str:
    if row.importance != row.importance:
        return "too few trials"
    return "clear of noise" if row.clear else "not clear of noise"


def _dials(document: Document, searches: Sequence[FamilySearch]) -> Table:
    edges = {(edge.family, edge.level, edge.dial.name): edge for edge in document.explored.edges}
    rows = []
    for search in searches:
        for level in search.levels:
            response = document.explored.responses.get((search.family, level))
            here = (search.trials["level"] == level).to_numpy()
            ended = here & (search.trials["status"] == "completed").to_numpy()
            best = search.trials["score"].where(ended).to_numpy(np.float64) if ended.any() else None
            for index, dial in enumerate(search.dials):
                edge = edges.get((search.family, level, dial.name))
                region = [] if response is None or index not in response.moved else response.curves[index].regions
                rows.append(
                    {
                        "family": search.family,
                        "level": level,
                        "hyperparameter": dial.name,
                        "symbol": dial.symbol,
                        "low": dial.low,
                        "high": dial.high,
                        "trials": int(here.sum()),
                        "ended": int(ended.sum()),
                        "best_trial": float("nan") if best is None else search.values[int(np.nanargmax(best)), index],
                        "region": " or ".join(_from_to(*one) for one in region),
                        "whole": region == [(dial.low, dial.high)],
                        "edge": "" if edge is None else _edge(edge.end, near=edge.near, rising=edge.rising),
                    }
                )
    return table(
        "dials",
        "What the search says of each dial",
        "Best trial: the value with the highest search score, which the study then used. As good: values at which the "
        f"smoothed score cannot be told from its best ({MISSING}: too few trials to smooth). Edge: where better values "
        f"may lie outside the domain. {GUESSED}",
        pd.DataFrame(rows),
        [
            FAMILY,
            LEVEL,
            Column("dial", lambda row: row.symbol or row.hyperparameter),
            Column("domain", lambda row: _from_to(row.low, row.high)),
            Column("ended / trials", lambda row: f"{row.ended} / {row.trials}", numeric=True),
            Column("best trial", word("best_trial"), numeric=True),
            Column("as good", lambda row: "anywhere" if row.whole else row.region or MISSING),
            Column("edge", lambda row: row.edge or MISSING),
        ],
    )


def _edge(end: str, *, near: bool, rising: bool) -> str:
    words = [*(["best"] if near else []), *(["rising"] if rising else [])]
    return f"{' and '.join(words)} at the {end} end"


def _from_to(low: float, high: float) -> str:
    """Write a range in three digits: a smoothed curve knows its ends no better."""
    ends = [f"{end:.3g}".replace("-", "−") for end in (low, high)]
    return ends[0] if low == high else " to ".join(ends)


def _responses(document: Document) -> Table:
    parts = []
    for (family, level), response in document.explored.responses.items():
        for index in response.moved:
            curve = response.curves[index]
            parts.append(
                pd.DataFrame(
                    {
                        "family": family,
                        "level": level,
                        "hyperparameter": response.search.dials[index].name,
                        "value": curve.values,
                        "mean": curve.mean,
                        "low": curve.low,
                        "high": curve.high,
                        "ended": response.ended,
                        "trials": response.scored,
                    }
                )
            )
    columns = ["family", "level", "hyperparameter", "value", "mean", "low", "high", "ended", "trials"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return table("responses", "Response curves", f"Smoothed validation {document.score.label}. {GUESSED}", frame, [])


def _settings(document: Document) -> Table:
    frame = tables.chosen_settings(document.results)
    everywhere = document.results.meta["study"]["search"].get("levels") == "reference"
    reference = document.results.meta["reference"]
    kept = frame["searched"]
    if everywhere and reference in set(frame["level"]):
        kept &= frame["level"] == reference
    return table(
        "settings",
        "Settings in use",
        "What the search chose, beside the default of the family; what the study holds fixed is in the CSV file."
        + (f" Searched at {percent(reference)}, used at every level." if everywhere else ""),
        frame,
        [
            FAMILY,
            LEVEL,
            Column("hyperparameter", word("hyperparameter")),
            Column("symbol", word("symbol")),
            Column("tuned", word("tuned"), numeric=True),
            Column("default", word("default"), numeric=True),
        ],
        shown=frame[kept],
    )


def _still(searches: Sequence[FamilySearch]) -> list[str]:
    """Say of which dials every scored trial has the same value."""
    found = []
    for search in searches:
        for dial in search.still:
            values = search.values[:, search.dials.index(dial)]
            values = values[np.isfinite(values)]
            if len(values):
                found.append(f"{search.family}: {dial.short} = {text(float(values[0]))}")
    return found
