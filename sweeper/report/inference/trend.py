"""Whether a score goes up or down with a hyperparameter, read from search trials no more surely than they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sweeper.report.output.writing import digits

LEAST = 4
"""Trials below which nothing is said at all."""
ENOUGH = 5
"""Trials below which even a perfect order comes about by chance more often than once in 20 (4 values: 2 of 24)."""
CHANCE = 0.05
SHUFFLES = 4999


@dataclass(frozen=True, slots=True)
class Trend:
    """A rank correlation over some trials."""

    correlation: float
    """Spearman's, within levels; NaN where either side is constant."""
    chance: float
    """Share of shuffles that correlate as strongly."""
    trials: int

    @property
    def readable(self) -> bool:
        return self.chance <= CHANCE


def trend(values: ArrayLike, scores: ArrayLike, levels: ArrayLike, *, seed: int = 0) -> Trend:
    """Correlate the ranks of values and scores, both (N,), among trials of the same level (N,).

    Scores fall as levels rise, so ranks are taken within a level; with a single one this is Spearman's correlation. The
    chance is that of a permutation test, whose p-values hold for few trials too.
    """
    level = np.asarray(levels)
    groups = [np.flatnonzero(level == one) for one in np.unique(level)]
    first, second = (_centered_ranks(np.asarray(column, np.float64), groups) for column in (values, scores))
    size = float(np.sqrt((first @ first) * (second @ second)))
    if size == 0:
        return Trend(float("nan"), 1.0, len(level))
    rng = np.random.default_rng(seed)
    shuffled = np.tile(second, (SHUFFLES, 1))
    for group in groups:
        shuffled[:, group] = rng.permuted(shuffled[:, group], axis=1)
    actual = first @ second
    # Equal sums may differ in their last bit.
    as_strong = np.abs(shuffled @ first) >= abs(actual) - 1e-9
    return Trend(float(actual / size), (1 + int(as_strong.sum())) / (1 + SHUFFLES), len(level))


def reading(rows: pd.DataFrame, symbol: str, measures: Sequence[str], *, seed: int = 0) -> str:
    """Say in a sentence how `measures` move with a hyperparameter; empty with fewer than `LEAST` trials.

    `rows` has value, level, status, measure, score. Trials stopped early were trained less, so those that ran to the
    end are read alone where they are enough.
    """
    said: dict[str, list[tuple[str, Trend]]] = {}
    for measure in measures:
        own = rows[rows["measure"] == measure]
        ended = own[own["status"] == "completed"]
        kept = ended if len(ended) >= ENOUGH else own
        if len(kept) < LEAST:
            continue
        found = trend(kept["value"], kept["score"], kept["level"], seed=seed)
        said.setdefault(_over(kept), []).append((measure, found))
    text = "; ".join(f"{over}, {_clauses(found, symbol)}" for over, found in said.items())
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _centered_ranks(values: NDArray[np.float64], groups: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    ranks = np.zeros_like(values)
    for group in groups:
        own = stats.rankdata(values[group])
        ranks[group] = own - own.mean()
    return ranks


def _over(trials: pd.DataFrame) -> str:
    stopped = int((trials["status"] == "stopped").sum())
    remark = f" ({stopped} of them stopped early, and so trained less)" if stopped else ""
    levels = trials["level"].nunique()
    return f"over {len(trials)} trials{f' at {levels} levels' if levels > 1 else ''}{remark}"


def _clauses(found: Sequence[tuple[str, Trend]], symbol: str) -> str:
    clauses = []
    open_ones = [(measure, one) for measure, one in found if not one.readable and not np.isnan(one.correlation)]
    for measure, one in found:
        if np.isnan(one.correlation):
            clauses.append(f"{measure} does not move with {symbol}")
        elif one.readable:
            way = "rises" if one.correlation > 0 else "falls"
            clauses.append(f"{measure} {way} with {symbol} (rank correlation {_signed(one)})")
    if open_ones:
        names = " or ".join(measure for measure, _ in open_ones)
        values = " and ".join(_signed(one) for _, one in open_ones)
        plural = "s" if len(open_ones) > 1 else ""
        clauses.append(f"no direction of {names} with {symbol} can be read (rank correlation{plural} {values})")
    return " and ".join(clauses)


def _signed(found: Trend) -> str:
    return digits(found.correlation, 2, sign=True)
