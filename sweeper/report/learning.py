"""How scores rise over the epochs, and how soon they reach what is worth reaching. Validation throughout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from sweeper.report.evidence import confirmed
from sweeper.report.inference.statistics import COVERAGE

if TYPE_CHECKING:
    from sweeper.results.results import Results

TARGET = 0.9
"""Share of the best family's final score that counts as having learned the task."""


def metric_of(results: Results) -> str:
    """Return the column of the epochs table that the study's search maximized."""
    return str(results.meta["study"]["search"]["metric"])


def histories(results: Results) -> pd.DataFrame:
    """Return the validation score of every epoch of tuned confirm trials. Columns: family, level, seed, epoch, score.

    Empty where the results hold no epochs.
    """
    trials = confirmed(results)
    kept = trials.loc[trials["is_tuned"], ["key", "family", "level", "seed"]]
    rows = results.epochs.filter(pc.is_in(results.epochs["key"], pa.array(kept["key"], pa.string())))
    frame = rows.select(["key", "epoch", metric_of(results)]).to_pandas()
    frame = frame.rename(columns={metric_of(results): "score"}).merge(kept, on="key")
    found: pd.DataFrame = frame[["family", "level", "seed", "epoch", "score"]]
    return found


def curves(history: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds per epoch with its 95 % interval over seeds (Student's t, cut to [0, 1]).

    Columns: family, level, epoch, mean, low, high, seeds. One seed has no interval.
    """
    grouped = history.dropna(subset=["score"]).groupby(["family", "level", "epoch"], sort=False)["score"]
    frame = grouped.agg(["mean", "std", "count"]).reset_index().rename(columns={"count": "seeds"})
    number = frame["seeds"].to_numpy(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stats.t.ppf((1 + COVERAGE) / 2, number - 1) * frame["std"].to_numpy(np.float64) / np.sqrt(number)
    frame["low"] = np.maximum(frame["mean"] - half, 0.0).where(number > 1)
    frame["high"] = np.minimum(frame["mean"] + half, 1.0).where(number > 1)
    return frame[["family", "level", "epoch", "mean", "low", "high", "seeds"]]


def lost_seeds(results: Results) -> dict[tuple[str, float], int]:
    """Return how many tuned confirm trials failed, by family and level; they never reached anything."""
    trials = results.trials.select(["family", "level", "stage", "status", "is_tuned"]).to_pandas()
    lost = trials[(trials["stage"] == "confirm") & trials["is_tuned"] & (trials["status"] == "failed")]
    found: dict[tuple[str, float], int] = {}
    for family, level in zip(lost["family"], lost["level"], strict=True):
        found[str(family), float(level)] = found.get((str(family), float(level)), 0) + 1
    return found


def to_target(history: pd.DataFrame, lost: Mapping[tuple[str, float], int] | None = None) -> pd.DataFrame:
    """Return how many epochs each family needs to a score that is the same for all at a level.

    The target is `TARGET` of the highest mean, over families, at the last epoch: it comes from the study itself and no
    family can lower it for itself alone.

    Args:
        lost: Seeds that failed, see `lost_seeds`: they count as never getting there.

    Columns: family, level, target, median (epochs, over seeds; infinite where half of the seeds or more never got
    there), reached, seeds.
    """
    rows = []
    known = history.dropna(subset=["score"])
    for level, own in known.groupby("level", sort=True):
        last = own[own["epoch"] == own.groupby(["family", "seed"])["epoch"].transform("max")]
        target = TARGET * float(last.groupby("family")["score"].mean().max())
        for family, trials in own.groupby("family", sort=False):
            there = trials[trials["score"] >= target].groupby("seed")["epoch"].min()
            seeds = int(trials["seed"].nunique()) + (lost or {}).get((str(family), float(str(level))), 0)
            epochs = np.concatenate([there.to_numpy(np.float64), np.full(seeds - len(there), np.inf)])
            rows.append((family, level, target, middle(epochs), len(there), seeds))
    return pd.DataFrame(rows, columns=["family", "level", "target", "median", "reached", "seeds"])


def middle(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return the median of values of which some may be infinite; of two middle ones the mean, infinite if either is."""
    ordered = np.sort(values)
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)
