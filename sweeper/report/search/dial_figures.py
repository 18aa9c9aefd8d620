"""The figures of the dials: which trials and curves go into which chart, and the words around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweeper.report import tables
from sweeper.report.charts import dials as charts
from sweeper.report.document import Document
from sweeper.report.inference.trend import reading
from sweeper.report.output.figure import Figure
from sweeper.report.output.writing import listed, percent, text
from sweeper.report.search.dial_pairs import chosen, named
from sweeper.report.search.dials import MEASURES, FamilySearch
from sweeper.report.search.fronts import leading_dial, points
from sweeper.report.search.responses import LEAST, MOST, SPREAD, Response, respond, spread

DRAWN = 12
"""Charts of single dials on a page, families best first; what more there are is in the CSV file."""
MAPS = 4
"""Maps of two dials that the report chooses; those a reader names come beside them."""
NAMED_MAPS = 12
POINTS = 60
"""Trials drawn per level and panel: the curves are fitted to more (`responses.MOST`), and a page has to be loaded."""
PANELS = 9
"""Families whose fronts are drawn."""
BARS = 24
"""Hyperparameters whose importance is drawn."""
STEM = 80
"""Letters of a file's name: those of families may be far too long for one."""


def single_dials(document: Document, searches: Sequence[FamilySearch]) -> tuple[dict[str, list[Figure]], list[str]]:
    """Return the charts of single dials by family, and the families for which there was no room."""
    found: dict[str, list[Figure]] = {}
    undrawn: list[str] = []
    taken: set[str] = set()
    for search in searches:
        moved = _moved(document, search)
        if not moved:
            continue
        if len(taken) + len(moved) > DRAWN and taken:
            undrawn.append(search.family)
            continue
        smooth = _smooth(document, search)
        for index in moved:
            figure = _single(
                document, search, index, smooth, _stem(f"dial_{search.family}_{search.dials[index].name}", taken)
            )
            taken.add(figure.name)
            found.setdefault(search.family, []).append(figure)
    return found, undrawn


def _moved(document: Document, search: FamilySearch) -> list[int]:
    """Return the dials of which the levels shown have more than one value."""
    here = search.trials["level"].isin(document.explored.levels(search)).to_numpy()
    return [
        index
        for index in search.moved
        if len(np.unique(search.values[here, index][np.isfinite(search.values[here, index])])) > 1
    ]


def _smooth(document: Document, search: FamilySearch) -> dict[tuple[str, float], Response]:
    found = {}
    for level in document.explored.levels(search):
        for measure in MEASURES:
            response = (
                document.explored.responses.get((search.family, level))
                if measure == "score"
                else respond(search, level, measure, seed=document.seed)
            )
            if response is not None:
                found[measure, level] = response
    return found


def _single(
    document: Document, search: FamilySearch, index: int, smooth: dict[tuple[str, float], Response], name: str
) -> Figure:
    about = search.dials[index]
    rows = _drawn_rows(document, search)
    shown = search.trials.iloc[rows].assign(value=search.values[rows, index])
    shown = shown[np.isfinite(shown["value"])]
    curves = {key: one.curves[index] for key, one in smooth.items() if index in one.moved}
    titles = {"score": f"validation {document.score.label}", "recall": "recall", "precision": "precision"}
    return Figure(
        name,
        f"{search.family}: {about.label}",
        charts.dial(shown, curves, about=about, measures=titles),
        alt=f"Search trials of {search.family}: validation scores over {about.name}.",
        caption=_single_caption(search, index, shown, bool(curves)),
        reading=reading(_long(document, search, index), about.short, ("recall", "precision"), seed=document.seed),
    )


def _drawn_rows(document: Document, search: FamilySearch) -> np.ndarray[Any, np.dtype[np.intp]]:
    parts = [np.flatnonzero(search.trials["level"] == level) for level in document.explored.levels(search)]
    return np.concatenate([part[spread(len(part), POINTS)] for part in parts])


def _long(document: Document, search: FamilySearch, index: int) -> pd.DataFrame:
    """Return all trials of the levels shown as `trend.reading` takes them."""
    frame = search.trials.assign(value=search.values[:, index])
    frame = frame[frame["level"].isin(document.explored.levels(search))]
    parts = [
        frame[["value", "level", "status"]].assign(measure=measure, score=frame[measure])
        for measure in ("recall", "precision")
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset=["value", "score"])


def _single_caption(search: FamilySearch, index: int, shown: pd.DataFrame, smoothed: bool) -> str:
    about = search.dials[index]
    parts = ["A point per search trial, on validation."]
    if about.effect:
        parts.append(f"{about.short}: {about.effect.rstrip('.')}.")
    if smoothed:
        parts.append("Curve: smoothed mean with its 95 % band (not the scatter of single trials).")
        if len(search.moved) > 1:
            parts.append("Averaged over the other dials as the search set them.")
    else:
        parts.append(f"No curve: it takes {LEAST} trials that ran to the end, and two more for every further dial.")
    if about.default is not None and about.low <= about.default <= about.high:
        parts.append(f"Dashed: the default, {text(about.default)}.")
    stopped = shown[shown["status"] == "stopped"]
    if len(stopped):
        parts.append("Hollow: stopped early, scored at the epoch reached.")
        if smoothed:
            parts.append("The curve takes into account that they were trained less.")
        if stopped[["recall", "precision"]].isna().all(axis=None):
            parts.append("Their recall and precision were not recorded.")
    others = [*(search.dials[one].short for one in search.moved if one != index), *search.others]
    if others:
        parts.append(f"Varied too: {listed(others)}.")
    if smoothed and set(search.levels) - set(shown["level"]):
        parts.append("Other levels were searched too; their curves are among the files below.")
    if (search.trials["level"].isin(shown["level"])).sum() > len(shown):
        parts.append(
            f"Drawn are {POINTS} trials of a level, spread evenly over the search, and fitted are {MOST} at most."
        )
    return " ".join(parts)


def maps(document: Document, searches: Sequence[FamilySearch]) -> tuple[dict[str, list[Figure]], list[str]]:
    """Return the maps by family, and what a reader asked for that cannot be drawn, in words."""
    found: dict[str, list[Figure]] = {}
    unmapped: list[str] = []
    taken: set[str] = set()
    done: set[tuple[str, frozenset[int]]] = set()
    for names in named(document.results, document.dials):
        for search in searches:
            first, second = (search.index(name) for name in names)
            if first is None or second is None:
                continue
            if len(taken) >= NAMED_MAPS:
                unmapped.append(f"{search.family}: {' and '.join(names)}, for want of room (at most {NAMED_MAPS} maps)")
                continue
            figure = _map(document, search, first, second, taken)
            if figure is None:
                unmapped.append(f"{search.family}: {' and '.join(names)}, for want of trials")
                continue
            done.add((search.family, frozenset((first, second))))
            taken.add(figure.name)
            found.setdefault(search.family, []).append(figure)
    room = len(taken) + MAPS
    weights = document.explored.importance
    for search in searches:
        own = weights[weights["family"] == search.family].dropna(subset=["importance"])
        pair = chosen(search, dict(zip(own["hyperparameter"], own["importance"], strict=True)))
        if pair is None or len(taken) >= room or (search.family, frozenset(pair)) in done:
            continue
        figure = _map(document, search, *pair, taken)
        if figure is not None:
            taken.add(figure.name)
            found.setdefault(search.family, []).append(figure)
    return found, unmapped


def _map(document: Document, search: FamilySearch, first: int, second: int, taken: set[str]) -> Figure | None:
    """Draw the search score over two dials at the hardest level shown that allows it."""
    for level in reversed(document.explored.levels(search)):
        response = document.explored.responses.get((search.family, level))
        if response is not None and response.ended >= SPREAD and {first, second} <= set(response.moved):
            break
    else:
        return None
    one, other = search.dials[first], search.dials[second]
    found = response.sheet(first, second)
    trials = search.trials.iloc[response.rows]
    best = (trials["status"] == "completed") & (
        trials["score"] == trials.loc[trials["status"] == "completed", "score"].max()
    )
    rows = pd.DataFrame(
        {
            "first": search.values[response.rows, first],
            "second": search.values[response.rows, second],
            "score": trials["score"].to_numpy().round(4),
            "status": trials["status"].to_numpy(),
            "number": trials["number"].to_numpy(),
            "best": best.to_numpy() & ~best.duplicated().to_numpy() if best.sum() == 1 else best.to_numpy(),
        }
    )
    label = f"validation {document.score.label}"
    rest = [search.dials[index].short for index in response.moved if index not in (first, second)]
    averaged = f" Averaged over {listed(rest)} as the search set {'it' if len(rest) == 1 else 'them'}." if rest else ""
    share = float(found.best.mean())
    return Figure(
        _stem(f"map_{search.family}_{one.name}_{other.name}", taken),
        f"{search.family}: {one.short} and {other.short} at {percent(level)} background",
        charts.sheet(found, rows, first=one, second=other, label=label),
        alt=f"{label} of {search.family} over {one.name} and {other.name}, smoothed, with its best region.",
        caption=f"Color: smoothed {label}, fading where the trials say little. Outlined: where it cannot be told from "
        "the best, the upper end of its 95 % band reaching the highest mean. Circles: trials, in the color of their "
        f"own score; crosses: stopped early; diamond: the best.{averaged}",
        reading=_region(share, response),
    )


def _region(share: float, response: Response) -> str:
    trials = f"{response.ended} trials that ran to the end"
    if share > 0.8:
        return f"After {trials} no part of the map can be told from the best."
    return f"After {trials} the outlined {100 * share:.0f}\u00a0% of the map cannot be told from the best."


def fronts(document: Document, searches: Sequence[FamilySearch]) -> Figure | None:
    level, rows = front_rows(document, searches)
    if rows.empty:
        return None
    order = [search.family for search in searches if search.family in set(rows["family"])]
    more = f" Of {len(order)} families the best {PANELS}." if len(order) > PANELS else ""
    order = order[:PANELS]
    crowded = rows["family"].value_counts().max() > POINTS
    thin = f" Of trials behind the front at most {POINTS} are drawn." if crowded else ""
    rows = _thinned(rows[rows["family"].isin(order)])
    leading = {search.family: leading_dial(search, rows) for search in searches if search.family in order}
    return Figure(
        "fronts",
        f"What the dials trade at {percent(level)} background",
        charts.fronts(rows, document.look, leading, order),
        alt=f"Validation precision over recall of the search trials of {len(order)} families, with their fronts.",
        caption="Validation, argmax, the minority; trials that ran to the end. Line: the family's front, the trials "
        "that no other beats in both; grey: those of the other families. Color: the dial that recall follows most. "
        f"More trials make a longer front.{more}{thin}",
    )


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep every trial on a front, and of the others as many of a family as are drawn."""
    kept = [
        own.iloc[np.union1d(np.flatnonzero(own["front"]), spread(len(own), POINTS))]
        for _, own in rows.groupby("family", sort=False)
    ]
    return pd.concat(kept, ignore_index=True)


def front_rows(document: Document, searches: Sequence[FamilySearch]) -> tuple[float, pd.DataFrame]:
    for level in reversed(tables.shown_levels(document.results)):
        rows = points(searches, level)
        counts = rows["family"].value_counts()
        rows = rows[rows["family"].isin(counts[counts > 1].index)]
        if len(rows):
            return level, rows
    return float("nan"), points([], 0.0)


def importance_chart(document: Document, frame: pd.DataFrame) -> Figure | None:
    rows = frame.dropna(subset=["ratio"])
    if rows.empty:
        return None
    more = f" The first {BARS} of {len(rows)}." if len(rows) > BARS else ""
    rows = rows.iloc[:BARS].copy()
    rows["shown"] = [f"{family} · {name}" for family, name in zip(rows["family"], rows["hyperparameter"], strict=True)]
    return Figure(
        "importance",
        "Which dials matter",
        charts.importance(rows, document.look),
        alt=f"Importance of {len(rows)} hyperparameters against what shuffled scores reach.",
        caption="PED-ANOVA over the search trials: how differently the best of them lie along a hyperparameter. "
        f"Dashed: what shuffled scores reach once in 20; pale bars are not clear of it.{more}",
    )


def _stem(name: str, taken: set[str]) -> str:
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)[:STEM]
    candidate, number = safe, 2
    while candidate in taken:
        candidate, number = f"{safe}_{number}", number + 1
    return candidate
