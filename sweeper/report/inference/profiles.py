"""Performance profiles: in which share of all runs a family scores above a threshold (Agarwal et al. 2021).

A run is one test image under one seed. Unlike a mean, a profile shows whether a family is a little better everywhere or
fails outright on some images; where one profile lies above another everywhere, no choice of threshold turns them round.

Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.2, "score distributions".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sweeper.report.evidence import POINTS, Evidence, Key, Point, Shared
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Array
from sweeper.results.schema import MINORITY

THRESHOLDS: Array = np.linspace(0, 1, 51)
"""Of the score of one image."""

COLUMNS = ["family", "level", "point", "threshold", "share", "low", "high", "seeds", "images"]


def profiles(
    evidence: Evidence,
    families: Sequence[str],
    levels: Sequence[float],
    metric: str,
    klass: str = MINORITY,
    *,
    points: Sequence[Point] = POINTS,
) -> pd.DataFrame:
    """Return the profiles of the tuned families, in the columns `COLUMNS`, with 95 % intervals at each threshold.

    Images that show no class compared are left out; `images` counts the others. Where all runs agree, on the left and
    on the right, resampling shows no spread and the interval closes.
    """
    parts = []
    for family in families:
        for level in levels:
            for point in points:
                key = Key(family, level, "tuned", point)
                if key in evidence.counts:
                    part = _profile(evidence, key, metric, klass)
                    parts.append(part.assign(family=family, level=level, point=point))
    numbers = dict.fromkeys(("level", "threshold", "share", "low", "high"), float) | {"seeds": int, "images": int}
    frame = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    return frame.astype(numbers)


def _profile(evidence: Evidence, key: Key, metric: str, klass: str) -> pd.DataFrame:
    cell = evidence.counts[key]
    own = Shared(cell.seeds, cell.images)
    scores = evidence.image_scores(key, metric, klass, own)
    shown = ~np.isnan(scores).all(axis=0)
    above = np.where(np.isnan(scores), np.nan, scores > THRESHOLDS[:, None, None])
    found = statistics.mean_intervals(above, evidence.resample(own))
    defined = shown.any()
    return pd.DataFrame(
        {
            "threshold": THRESHOLDS if defined else THRESHOLDS[:0],
            "share": found.mean if defined else [],
            "low": np.clip(found.low, 0, 1) if defined else [],
            "high": np.clip(found.high, 0, 1) if defined else [],
            "seeds": len(own.seeds),
            "images": int(shown.sum()),
        }
    )
