"""Which configuration to use where a miss costs more, or less, than a false alarm: the map, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sweeper.report.choice.costs import Mistakes
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Array, Interval
from sweeper.results.margins import OFFSETS

if TYPE_CHECKING:
    from sweeper.report.choice.costs import Configuration

_STEPS = (1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8, 3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0, 10.0,
          11.2, 12.5, 14.0, 16.0, 18.0, 20.0)  # fmt: skip

RATIOS: tuple[float, ...] = (*(1 / step for step in _STEPS[:0:-1]), *_STEPS)
"""Cost of a missed minority pixel in false alarms: 1/20 to 20 in steps of 12 % (the preferred numbers R20 of ISO 3), as
far apart as the offsets tried."""

ROUND: tuple[float, ...] = (1 / 20, 1 / 10, 1 / 5, 1 / 2, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Those of `RATIOS` that tables show and axes name."""

NOTHING = "(predict nothing)"
"""Stands for a family where none is worth its false alarms: every minority pixel missed, not one false alarm."""

PER = 1e6
"""Costs and errors are per so many pixels."""

_TIE = 1e-6
"""Relative: errors are sums of numbers in single precision, and less is no difference."""

SEPARABLE, UNSURE, TIE, UNKNOWN = "separable", "not separable", "no family does better", "not known"
"""Verdicts on a cell. Separable: the interval of the difference to the cheapest other family excludes 0. A tie:
predicting nothing wins, and the cheapest family costs the same, which it does where its threshold silences it. Not
known: there is one seed or one test image, whose luck no interval holds."""

COLUMNS = ["level", "ratio", "family", "setting", "hyperparameters", "offset", "offset_least", "offset_most",
           "at_limit", "cost", "cost_low", "cost_high", "misses", "alarms", "nothing", "share", "family_share",
           "runner_up", "runner_up_setting", "difference", "difference_low", "difference_high", "separable", "verdict",
           "seeds", "images"]  # fmt: skip


def decision_map(found: Iterable[Mistakes], *, seed: int) -> pd.DataFrame:
    """Return a row per level and ratio: the configuration of least expected cost on test.

    The cost is (ratio × misses + false alarms) per million pixels of all test images together, a mean over seeds.
    Predicting nothing is a configuration too. Where several cost the same, predicting nothing comes first, then the
    order of the study.

    Columns:
        level, ratio; family, setting (empty for NOTHING), hyperparameters (JSON).
        offset: the median over seeds, each of which has its own; offset_least, offset_most: of these; at_limit: the
            share of seeds whose offset is the least or the greatest tried, so that a better one may lie beyond.
        cost, cost_low, cost_high; misses, alarms: what it is made of; nothing: the cost of predicting nothing.
        share: of the resamples of seeds and test images in which this configuration is the cheapest; family_share:
            some configuration of its family is. Equal costs share a resample; where predicting nothing is among them,
            it has it whole.
        runner_up, runner_up_setting: the cheapest configuration of any other family, NOTHING among them; difference,
            difference_low, difference_high: its cost minus the winner's, paired, 0 where it is a rounding.
        verdict: SEPARABLE, UNSURE, TIE or UNKNOWN; separable: whether it is the first.
        seeds, images: what all of this rests on.

    Intervals and shares are NaN where there is one seed and one image, and so nothing to draw from. Offsets were chosen
    on validation once per trial; they are not chosen again in a resample.
    """
    rows = [row for one in found for row in _weigh(one, seed)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    numbers = [name for name in COLUMNS if name not in _WORDS]
    return frame.astype(dict.fromkeys(numbers, float) | {"separable": bool, "seeds": int, "images": int})


_WORDS = {"family", "setting", "hyperparameters", "runner_up", "runner_up_setting", "separable", "verdict", "seeds",
          "images"}  # fmt: skip


def _weigh(found: Mistakes, seed: int) -> Iterator[tuple[object, ...]]:
    seeds, images = len(found.seeds), len(found.images)
    resample = statistics.draw(seeds, images, rng=np.random.default_rng(seed)) if seeds * images > 1 else None
    weights = None if resample is None else _seed_weights(resample)
    resting = statistics.effective(found.target[:, None])
    total = found.pixels.sum() / PER
    owners = np.array([NOTHING, *(one.family for one in found.configurations)], dtype=object)
    for index, ratio in enumerate(found.ratios):
        costs = _costs(found, index)
        actual = costs.sum(axis=0) / total
        means = actual.mean(axis=1)
        best = _cheapest(means, np.arange(len(owners)))
        runner = _cheapest(means, np.flatnonzero(owners != owners[best]))
        cost = Interval(means[best], np.nan, np.nan)
        behind = Interval(means[runner] - means[best], np.nan, np.nan)
        share = family_share = np.nan
        if resample is not None and weights is not None:
            drawn = _drawn(costs, found.pixels, resample)
            shares = _shares(np.einsum("rks,rs->kr", drawn, weights), scale=float(np.abs(means).max()))
            share, family_share = float(shares[best]), float(shares[owners == owners[best]].sum())
            cost = statistics.interval(actual[best], drawn[:, best], resample, resting)
            behind = statistics.interval(
                actual[runner] - actual[best], drawn[:, runner] - drawn[:, best], resample, resting
            )
        # What is paid cannot be less than nothing, which a widened interval may overshoot.
        cost = cost.clipped(0.0, np.inf)
        behind = _without_residue(behind, _TIE * abs(cost.mean))
        verdict = _verdict(behind, silent=best == 0, known=seeds > 1 and images > 1)
        yield (
            found.level, ratio, *_name(found, best), *_offsets(found, index, best), cost.mean, cost.low, cost.high,
            *_errors(found, index, best, total), means[0], share, family_share, *_name(found, runner)[:2],
            behind.mean, behind.low, behind.high, verdict == SEPARABLE, verdict, seeds, images,
        )  # fmt: skip


def _without_residue(value: Interval, residue: float) -> Interval:
    """Set to 0 what is no more than a rounding."""
    return Interval(*(0.0 if abs(one) <= residue else one for one in (value.mean, value.low, value.high)))


def _verdict(behind: Interval, *, silent: bool, known: bool) -> str:
    """Judge how far the cheapest other family is behind; `silent` where predicting nothing wins."""
    if silent and behind.mean == 0:
        return TIE
    if not known:
        return UNKNOWN
    return SEPARABLE if behind.excludes_zero else UNSURE


def _costs(found: Mistakes, index: int) -> Array:
    """Return the cost per image, configuration and seed at one ratio, (N, 1 + K, S); first, that of nothing."""
    ratio = found.ratios[index]
    silence = np.broadcast_to((ratio * found.target)[:, None, None], (len(found.target), 1, len(found.seeds)))
    return np.concatenate([silence, ratio * found.misses[index] + found.alarms[index]], axis=1)


def _drawn(costs: Array, pixels: Array, resample: statistics.Resample) -> Array:
    """Return the cost per million pixels in every repetition, (R, 1 + K, S)."""
    totals = resample.images @ pixels / PER
    drawn = resample.images @ costs.reshape(len(costs), -1)
    drawn /= np.where(totals > 0, totals, np.inf)[:, None]
    return drawn.reshape(-1, *costs.shape[1:])


def _seed_weights(resample: statistics.Resample) -> Array:
    """Return how much every seed counts in each repetition, (R, S): `statistics.repetitions` as a matrix.

    It is linear where every seed has a value, as costs do, so that weighing all configurations is one product.
    """
    reps, seeds = resample.seeds.shape
    units = np.eye(seeds)
    return np.stack(
        [statistics.repetitions(np.broadcast_to(unit, (reps, seeds)), resample.seeds) for unit in units], axis=1
    )


def _cheapest(means: Array, among: np.ndarray[tuple[int], np.dtype[np.intp]]) -> int:
    """Return the first of those that cost least, up to rounding."""
    least = means[among].min()
    return int(among[np.argmax(means[among] <= least + _TIE * abs(least))])


def _shares(means: Array, *, scale: float) -> Array:
    """Return the share of repetitions in which each row of (1 + K, R) is the least.

    Equals share theirs; but what is no cheaper than predicting nothing, the first row, has nothing of it.
    """
    least = means <= means.min(axis=0) + _TIE * scale
    least[1:] &= ~least[0]
    shares: Array = (least / least.sum(axis=0)).mean(axis=1)
    return shares


def _configuration(found: Mistakes, column: int) -> Configuration | None:
    return found.configurations[column - 1] if column else None


def _name(found: Mistakes, column: int) -> tuple[str, str, str]:
    one = _configuration(found, column)
    return (NOTHING, "", "{}") if one is None else (one.family, one.setting, one.hyperparameters)


def _offsets(found: Mistakes, index: int, column: int) -> tuple[float, ...]:
    """Return the median, least and greatest offset of the seeds, and the share of those at either end of the grid."""
    if not column or not found.tuned:
        return (float("nan"),) * 4
    own = found.offsets[index, column - 1]
    return tuple(map(float, (np.median(own), own.min(), own.max(), (np.abs(own) == OFFSETS[-1]).mean())))


def _errors(found: Mistakes, index: int, column: int, total: float) -> tuple[float, float]:
    """Return misses and false alarms per million pixels, mean over seeds."""
    if not column:
        return float(found.target.sum() / total), 0.0
    parts = (found.misses[index, :, column - 1], found.alarms[index, :, column - 1])
    misses, alarms = (float(part.sum(axis=0).mean() / total) for part in parts)
    return misses, alarms
