"""Which family to use when a miss costs more, or less, than a false alarm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sweeper.report import statistics
from sweeper.report.evidence import Evidence, Key
from sweeper.report.statistics import FN, FP, TP

COST_RATIOS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Cost of a missed minority pixel in units of a false alarm."""

NOTHING = "(predict nothing)"
"""Stands for a family where none is worth its false alarms."""


def decision_map(evidence: Evidence, families: Sequence[str], levels: Sequence[float]) -> pd.DataFrame:
    """Return, per level and cost ratio, the tuned family of least expected cost at argmax.

    The cost is (ratio × FN + FP) / (TP + FN), summed over the minority classes: false alarms one true minority pixel is
    worth. Predicting no minority pixel at all costs exactly `ratio`; where nothing is cheaper, `family` is NOTHING.

    Columns: level, ratio, family, cost, share (of the resampled repetitions in which that family is the cheapest),
    nothing (the cost of predicting nothing).
    """
    rows = []
    columns = [evidence.classes.index(name) for name in evidence.minority]
    for level in levels:
        keys = [Key(family, level) for family in families if Key(family, level) in evidence.counts]
        common = evidence.common(keys)
        if common is None or not columns:
            continue
        cells, resample = common
        pools = [statistics.pool(cell[:, :, columns], resample) for cell in cells]
        for ratio in COST_RATIOS:
            actual = [float(statistics.present_mean(_cost(pooled, ratio))) for pooled, _ in pools]
            if np.isnan(actual).all():
                continue
            drawn = np.stack([statistics.repetitions(_cost(draws, ratio), resample.seeds) for _, draws in pools])
            drawn = np.where(np.isnan(drawn), np.inf, drawn)
            best = int(np.nanargmin(actual))
            silent = actual[best] >= ratio
            cheapest = np.where(drawn.min(axis=0) >= ratio, len(keys), drawn.argmin(axis=0))
            rows.append(
                (
                    level,
                    ratio,
                    NOTHING if silent else keys[best].family,
                    ratio if silent else actual[best],
                    float((cheapest == (len(keys) if silent else best)).mean()),
                    ratio,
                )
            )
    return pd.DataFrame(rows, columns=["level", "ratio", "family", "cost", "share", "nothing"])


def _cost(pooled: statistics.Array, ratio: float) -> statistics.Array:
    total = pooled.sum(axis=-2)
    target = total[..., TP] + total[..., FN]
    cost = (ratio * total[..., FN] + total[..., FP]) / np.where(target > 0, target, 1.0)
    return np.where(target > 0, cost, np.nan)
