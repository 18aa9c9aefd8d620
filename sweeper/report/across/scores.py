"""Scores of the common families, study by study: confirmed, tuned, on test."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from sweeper.report.across.lineup import Lineup
from sweeper.report.evidence import Key
from sweeper.report.output.writing import listed, percent


def scores(lineup: Lineup) -> pd.DataFrame:
    """Return the headline score of every common family in every study at its own levels.

    Columns: study, family, level, is_reference, is_hardest, mean, low, high, seeds.
    """
    metric, klass = lineup.score.metric, lineup.score.klass
    rows = []
    for name, document in zip(lineup.names, lineup.documents, strict=True):
        meta = document.results.meta
        for family in lineup.families:
            for level in meta["levels"]:
                key = Key(family, float(level))
                if key not in document.evidence.counts:
                    continue
                found = document.evidence.scores(key, (metric,), (klass,))[klass, metric]
                seeds = len(document.evidence.counts[key].seeds)
                places = (level == meta["reference"], level == max(meta["levels"]))
                rows.append((name, family, float(level), *places, found.mean, found.low, found.high, seeds))
    columns = ["study", "family", "level", "is_reference", "is_hardest", "mean", "low", "high", "seeds"]
    kinds = {"level": float, "is_reference": bool, "is_hardest": bool, "mean": float, "low": float, "high": float,
             "seeds": int}  # fmt: skip
    # Without a row the columns would have no type, and a condition on them no meaning.
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def study_means(table: pd.DataFrame, lineup: Lineup) -> pd.DataFrame:
    """Return every study's scores averaged over its levels. Rows: studies; columns: families.

    Levels of one study share pictures, so that none counts by itself. A family without a score at some level of a study
    has none in that study.
    """
    known = {(row.study, row.family, row.level): row.mean for row in table.itertuples(index=False)}
    rows = []
    for name, document in zip(lineup.names, lineup.documents, strict=True):
        levels = [float(level) for level in document.results.meta["levels"]]
        values = [[known.get((name, family, level), math.nan) for level in levels] for family in lineup.families]
        rows.append(np.array(values, np.float64).mean(axis=1))
    return pd.DataFrame(np.array(rows), index=list(lineup.names), columns=lineup.families)


def blocks(means: pd.DataFrame, lineup: Lineup) -> pd.DataFrame:
    """Return one block per data set: the mean over the studies on it in which every common family has a score.

    Studies on the same data share pictures: a data set counts once, however often it was studied. Rows: data sets, in
    the order of their first study; columns: families. NaN where no study on the data has them all.
    """
    whole = means[means.notna().all(axis=1)]
    rows = [whole.loc[[name for name in group if name in whole.index]].mean() for group in lineup.data_sets]
    names = [listed(group) for group in lineup.data_sets]
    return pd.DataFrame(np.array(rows), index=names, columns=lineup.families)


def dropped(table: pd.DataFrame, lineup: Lineup) -> Iterator[str]:
    """Say of every study that takes no part in the ranks which scores it lacks."""
    known = {(row.study, row.family, row.level) for row in table.dropna(subset=["mean"]).itertuples(index=False)}
    for name, document in zip(lineup.names, lineup.documents, strict=True):
        levels = [float(level) for level in document.results.meta["levels"]]
        lacking = {
            family: [level for level in levels if (name, family, level) not in known] for family in lineup.families
        }
        lacking = {family: missed for family, missed in lacking.items() if missed}
        if not lacking:
            continue
        if all(missed == levels for missed in lacking.values()) and len(lacking) == len(lineup.families):
            yield f"{name} takes no part in the ranks: no common family has a confirmed score there."
            continue
        parts = [
            f"{family} at {'any level' if missed == levels else listed(percent(level) for level in missed)}"
            for family, missed in lacking.items()
        ]
        yield f"{name} takes no part in the ranks: it has no confirmed score of {listed(parts)}."
