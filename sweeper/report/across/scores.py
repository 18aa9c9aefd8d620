"""Scores of the common families, study by study: confirmed, tuned, on test."""

from __future__ import annotations

import math

import pandas as pd

from sweeper.report.across.lineup import Lineup
from sweeper.report.evidence import Key


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
    return pd.DataFrame(rows, columns=columns)


def blocks(table: pd.DataFrame, lineup: Lineup) -> pd.DataFrame:
    """Return one block per study: its common families' scores averaged over its levels.

    Levels of one study share pictures, so that they are not blocks of their own: a study counts once, however many
    levels it has. A family without a score at some level has none in that study. Rows: studies; columns: families.
    """
    rows = {}
    for name in lineup.names:
        own = table[table["study"] == name]
        levels = own["level"].nunique()
        means = {}
        for family in lineup.families:
            values = own[own["family"] == family]["mean"].dropna()
            means[family] = float(values.mean()) if levels and len(values) == levels else math.nan
        rows[name] = means
    return pd.DataFrame.from_dict(rows, orient="index", columns=lineup.families)
