"""Everything measured on test, tidy: one row per family, level, setting, class, metric and operating point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sweeper.report.evidence import ALL, SETTINGS, Evidence, confirmed
from sweeper.report.inference import statistics
from sweeper.results.schema import CURVE_METRICS, MINORITY, POOLED_METRICS

if TYPE_CHECKING:
    from sweeper.results.results import Results

HIGHEST = {"curve_mae": 0.5, "curve_coverage": 1.0}
"""A track wraps around, so nothing is farther off than half its width."""

COLUMNS = ["family", "level", "setting", "point", "class", "metric", "mean", "low", "high", "seeds", "images"]


def measured(results: Results, evidence: Evidence) -> pd.DataFrame:
    """Return the columns `COLUMNS`: the mean over seeds with its 95 % interval.

    Scores pooled from counts vary with seeds and images; those known once per seed, such as the error of a recovered
    curve, with seeds alone (`images` is then 0, and `seeds` counts those with a value). A class absent from every test
    image has NaN, never a score.
    """
    rows = [*_pooled(evidence), *_per_seed(results, evidence.seed)]
    # Typed also when empty, so that what joins or groups it need not care.
    numbers = {"level": float, "mean": float, "low": float, "high": float, "seeds": int, "images": int}
    return pd.DataFrame(rows, columns=COLUMNS).astype(numbers)


def select(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return the rows of `frame` whose columns equal the given values."""
    for column, value in values.items():
        frame = frame[frame[column.rstrip("_")] == value]
    return frame


def _pooled(evidence: Evidence) -> list[tuple[object, ...]]:
    classes = [*evidence.classes, *((MINORITY,) if evidence.minority else ()), ALL]
    rows: list[tuple[object, ...]] = []
    for key, cell in evidence.counts.items():
        for (klass, metric), found in evidence.scores(key, POOLED_METRICS, classes).items():
            shape = (len(cell.seeds), len(cell.images))
            rows.append((*key, klass, metric, found.mean, found.low, found.high, *shape))
    return rows


def _per_seed(results: Results, seed: int) -> list[tuple[object, ...]]:
    scores = results.scores
    wanted = pc.and_(
        pc.and_(pc.is_null(scores["image"]), pc.equal(scores["split"], "test")),
        pc.is_in(scores["metric"], pa.array(CURVE_METRICS)),
    )
    recorded = scores.filter(wanted).to_pandas().merge(confirmed(results), on="key")
    rows: list[tuple[object, ...]] = []
    for setting in SETTINGS:
        chosen = recorded[recorded["is_tuned" if setting == "tuned" else "is_default"]]
        for (family, level, point, klass, metric), group in chosen.groupby(
            ["family", "level", "point", "class", "metric"], sort=False
        ):
            # A curve drawn in no test log has no error.
            values = group.sort_values("seed")["value"].dropna().to_numpy(np.float64)
            found = _over_seeds(values, seed).clipped(0.0, HIGHEST[str(metric)])
            rows.append(
                (family, level, setting, point, klass, metric, found.mean, found.low, found.high, len(values), 0)
            )
    return rows


def _over_seeds(values: statistics.Array, seed: int) -> statistics.Interval:
    nothing = float("nan")
    if not len(values):
        return statistics.Interval(nothing, nothing, nothing)
    if len(values) == 1:
        # One value says nothing of how far another would be from it.
        return statistics.Interval(float(values[0]), nothing, nothing)
    return statistics.over_seeds(values, statistics.draw(len(values), 1, rng=np.random.default_rng(seed)))
