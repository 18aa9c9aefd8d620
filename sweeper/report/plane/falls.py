"""How much a family's score falls as the imbalance grows: the measured counterpart of its overlap axis.

The fall is the negative slope of a least-squares line through the scores, drawn over the foreground share on a
logarithmic scale: so many points lost each time the foreground becomes ten times scarcer. All levels weigh alike, and
each stands where it was *measured* on test, not where it was aimed at. The slope is linear in the scores, so a resample
of seeds and images, the same for every level since all share them, gives the slope's interval at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from sweeper.report.comparisons import Headline
from sweeper.report.evidence import POINTS, Evidence, Key, Point, Shared
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Array, Interval

if TYPE_CHECKING:
    from sweeper.results.results import Results

FLOOR = 0.05
"""Scores below it have next to nothing left to lose, so a line through them is flatter than the loss is robust."""

CLOSEST = 0.02
"""Decades, 5 % of foreground, within which levels are one place and have no slope."""

COLUMNS = ["family", "point", "fall", "low", "high", "mildest", "hardest", "bend", "levels", "decades", "seeds",
           "images", "floor"]  # fmt: skip


@dataclass(frozen=True)
class Fall:
    """The fall of one tuned family at one operating point."""

    family: str
    point: Point
    levels: tuple[float, ...]
    """Aimed at, mildest first; at least two."""
    decades: Array
    """(L,) −log10 of the foreground share measured on test."""
    shared: Shared
    """The seeds and images that were tested at every one of the levels."""
    actual: Array
    """(S, L) score per seed and level."""
    drawn: Array
    """(S, R) fall per seed under every draw of images."""
    resample: statistics.Resample
    resting: float
    """How many images the scores rest on; see `statistics.effective`."""

    @cached_property
    def scores(self) -> Array:
        """(L,) mean over seeds."""
        return statistics.present_mean(self.actual, axis=0)

    @cached_property
    def interval(self) -> Interval:
        """Score lost per tenfold scarcer foreground, with its 95 % interval; positive where the score falls."""
        own = -self.actual @ slope_weights(self.decades)
        return statistics.intervals(own[None], self.drawn[None], self.resample, self.resting).one(0)

    @cached_property
    def repetitions(self) -> Array:
        """(R,) mean over the drawn seeds: paired with those of any fall over the same seeds and images."""
        return statistics.repetitions(self.drawn.T, self.resample.seeds)

    @property
    def bend(self) -> float:
        """Largest distance of a level's score from the line; 0 with two levels, whatever the truth."""
        line = self.scores.mean() - self.interval.mean * (self.decades - self.decades.mean())
        return float(np.abs(self.scores - line).max())

    @property
    def floor(self) -> bool:
        """Whether the score ran out of room: there is a level at which it is below `FLOOR`."""
        return bool((self.scores < FLOOR).any())


def falls(results: Results, evidence: Evidence, score: Headline) -> dict[tuple[str, Point], Fall]:
    """Return the fall of every tuned family with scores at two levels or more, at both operating points.

    Where seeds are missing at some levels, those that all its levels share count.
    """
    at = measured_levels(results)
    found = {}
    for family in results.meta["families"]:
        for point in POINTS:
            fall = _fall(evidence, family, point, at, score)
            if fall is not None:
                found[family, point] = fall
    return found


def table(found: Mapping[tuple[str, Point], Fall]) -> pd.DataFrame:
    """Return the falls as the columns `COLUMNS`.

    fall, low, high: score lost per tenfold scarcer foreground. mildest, hardest: the scores at the ends. bend: largest
    distance of a level's score from the line. levels: how many; decades: how far apart their ends are, as a power of
    ten of the foreground share. floor: whether the score ran out of room at some level.
    """
    rows = [
        (*key, fall.interval.mean, fall.interval.low, fall.interval.high, fall.scores[0], fall.scores[-1], fall.bend,
         len(fall.levels), fall.decades[-1] - fall.decades[0], *map(len, fall.shared), fall.floor)
        for key, fall in found.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def near(results: Results, evidence: Evidence) -> bool:
    """Return whether a tuned family was measured at two levels or more, but all of them at nearly one place."""
    at = measured_levels(results)
    places = [_places(evidence, family, point, at) for family in results.meta["families"] for point in POINTS]
    return any(len(own) > 1 and np.ptp(decades([at[level] for level in own])) < CLOSEST for own in places)


def measured_levels(results: Results) -> dict[float, float]:
    """Return the background fraction measured on test under the weights of every level.

    The weights are those of the data, so every trial of a level has the same; where none recorded it, the level aimed
    at stands in.
    """
    trials = results.trials
    rows = trials.filter(pc.is_valid(trials["level_test"])).select(["level", "level_test"]).to_pandas()
    recorded = rows.groupby("level")["level_test"].mean().to_dict()
    return {float(level): float(recorded.get(level, level)) for level in sorted(results.meta["levels"])}


def decades(background: Sequence[float]) -> Array:
    """Return −log10 of the foreground share: 1 for 90 % background, 2 for 99 %."""
    return -np.log10(1 - np.asarray(background, np.float64))


def slope_weights(x: Array) -> Array:
    """Return the weights (L,) whose sum with the values at `x` is the slope of the least-squares line."""
    centered: Array = x - x.mean()
    weights: Array = centered / (centered @ centered)
    return weights


def _places(evidence: Evidence, family: str, point: Point, at: Mapping[float, float]) -> list[float]:
    """Return the levels at which a tuned family was tested, mildest as measured first."""
    measured = [level for level in at if Key(family, level, "tuned", point) in evidence.counts and at[level] < 1]
    return sorted(measured, key=lambda level: at[level])


def _fall(evidence: Evidence, family: str, point: Point, at: Mapping[float, float], score: Headline) -> Fall | None:
    levels = _places(evidence, family, point, at)
    x = decades([at[level] for level in levels])
    if len(levels) < 2 or np.ptp(x) < CLOSEST:
        return None
    keys = [Key(family, level, "tuned", point) for level in levels]
    shared = evidence.shared(keys)
    if shared is None or not evidence.columns(score.klass):
        return None
    scored = [evidence.scored(key, score.metric, score.klass, shared) for key in keys]
    actual = np.stack([one.actual for one in scored], axis=1)
    if np.isnan(actual).any(axis=1).all():
        return None
    drawn = np.zeros_like(scored[0].drawn)
    for one, weight in zip(scored, slope_weights(x), strict=True):
        drawn -= weight * one.drawn
    return Fall(
        family=family,
        point=point,
        levels=tuple(levels),
        decades=x,
        shared=shared,
        actual=actual,
        drawn=drawn,
        resample=evidence.resample(shared),
        resting=min(evidence.resting(key, score.klass, shared) for key in keys),
    )
