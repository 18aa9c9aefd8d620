"""Precision-recall fronts of the search: what a family's dials trade, one for the other, at an unmoved threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sweeper.report.plane.spans import front
from sweeper.report.search.dials import Dial, FamilySearch

COLUMNS = ["family", "level", "number", "recall", "precision", "f1", "dial", "value", "place", "front"]


def points(searches: Sequence[FamilySearch], level: float) -> pd.DataFrame:
    """Return the validation recall and precision at argmax of every trial of a level that ran to the end.

    Columns: family, level, number, recall, precision, f1, dial (the leading one's name), value (of it), place (of that
    value in its domain, 0 to 1), front (whether no trial of the family beats this one in both). Trials stopped early
    are left out: they were trained less, and so compare unequally.
    """
    parts = []
    for search in searches:
        trials = search.trials
        here = (trials["level"] == level) & (trials["status"] == "completed")
        here &= trials["recall"].notna() & trials["precision"].notna()
        rows = np.flatnonzero(here)
        if not len(rows) or not search.moved:
            continue
        index = leading(search, rows)
        own = trials.iloc[rows][["level", "number", "recall", "precision"]].copy()
        recall, precision = (own[name].to_numpy(np.float64) for name in ("recall", "precision"))
        both = recall + precision
        values = search.values[rows, index]
        own.insert(0, "family", search.family)
        own["f1"] = np.where(both > 0, 2 * recall * precision / np.where(both > 0, both, 1), 0.0)
        own["dial"] = search.dials[index].name
        own["value"] = values
        own["place"] = np.clip(search.dials[index].unit(values), 0, 1)
        own["front"] = front(recall, precision)
        parts.append(own)
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return found[COLUMNS]


def leading(search: FamilySearch, rows: NDArray[np.intp]) -> int:
    """Return the moved dial whose rank correlation with recall is strongest over some trials of one level."""
    recall = search.trials["recall"].to_numpy(np.float64)[rows]

    def strength(index: int) -> float:
        values = search.values[rows, index]
        known = np.isfinite(values)
        ranks = np.stack([rankdata(values[known]), rankdata(recall[known])])
        if not known.any() or (np.ptp(ranks, axis=1) == 0).any():
            return 0.0
        return abs(float(np.corrcoef(ranks)[0, 1]))

    return max(search.moved, key=strength)


def leading_dial(search: FamilySearch, frame: pd.DataFrame) -> Dial:
    """Return the dial that colors a family's rows of `points`."""
    name = frame.loc[frame["family"] == search.family, "dial"].iloc[0]
    return next(dial for dial in search.dials if dial.name == name)
