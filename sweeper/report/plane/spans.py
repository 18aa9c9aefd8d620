"""How much recall a family's own hyperparameters can buy at equal F1: the measured counterpart of its trade-off axis.

A completed search trial is a point of validation recall and precision at argmax: the setting moves it, not the
threshold. Those that no other beats in both are the family's front. Along all of it recall can be had for ruined
precision, which any loss can do; what counts is the stretch of the front where F1 stays what it is at its best. *Equal*
is within two F1 points for a region of practical equivalence of one IoU point: F1 = 2 IoU / (1 + IoU) changes at most
twice as fast as IoU.

A span is read off validation scores, of which the best are in part the luckiest, and it is a range of what was tried:
it grows with the number of trials, a search that climbs to the best score tries little else, and a resample of trials
can only shrink it. So it has no interval. It is taken over equally many trials per family, and stands beside what
it would be within half and twice the tolerance, without any one of its trials, and by the luck of training alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import stats

from sweeper.domains import Choice, Int, parse_domain
from sweeper.report.inference.statistics import COVERAGE, Array
from sweeper.report.search.searched import described, searched
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

F1_PER_ROPE = 2.0
"""Width of "equal F1" over that of "equal IoU"; see above."""
ENOUGH = 5
"""Completed trials below which a span is not read off."""

MEASURED = "measured"
FIXED = "no dials"
FEW = "too few trials"

METRICS = ("recall", "precision", "f1")
NOTHING = float("nan")


@dataclass(frozen=True, slots=True)
class Span:
    """The recall span of one family at one level; NaN where it cannot be read off."""

    family: str
    level: float
    dials: str
    """Hyperparameters of its own that were searched, joined by commas."""
    recorded: int
    """Search trials there are."""
    trials: int
    """The first so many of them are read, as many as of any other family that is compared."""
    completed: int
    """Of these; the others failed or were stopped early and are no points."""
    near: int = 0
    """Of these, with equal F1."""
    span: float = NOTHING
    """Recall between the ends of the front, among trials of equal F1."""
    half: float = NOTHING
    """With half the tolerance of F1."""
    double: float = NOTHING
    """With twice the tolerance."""
    without_one: float = NOTHING
    """The smallest that is left when any one trial is taken away."""
    luck: float = NOTHING
    """What so many trainings of one setting exceed once in 20 times; see `luck`."""
    low: float = NOTHING
    """Recall at the ends."""
    high: float = NOTHING
    whole: float = NOTHING
    """Recall between the ends of the whole front, whatever its F1."""
    best_f1: float = NOTHING
    status: str = FEW
    """`measured`, `no dials` (then the span is 0 by definition) or `too few trials`."""


def spans(results: Results, *, rope: float) -> tuple[Span, ...]:
    """Return the span of every family at every level that was searched, mildest first; of the reference if none was.

    A family whose finitely many settings are all there is may have fewer trials than the others.

    Args:
        rope: Difference of IoU that does not matter.
    """
    searches, confirms = _validation(results, "search"), _validation(results, "confirm")
    found: list[Span] = []
    levels = sorted(searches["level"].unique()) or [results.meta["reference"]]
    for level in levels:
        cells = (rows[rows["level"] == level] for rows in (searches, confirms))
        found += _at(results, float(level), *cells, tolerance=F1_PER_ROPE * rope)
    return tuple(found)


def table(found: Sequence[Span]) -> pd.DataFrame:
    """Return the spans as a frame with the columns of `Span`, a row each."""
    names = [field.name for field in fields(Span)]
    return pd.DataFrame([[getattr(span, name) for name in names] for span in found], columns=names)


def own_dials(results: Results, family: str) -> list[str]:
    """Return the searched hyperparameters of the loss itself: those of training buy recall for any family."""
    return [name for name in searched(results, family) if not name.startswith("training.")]


def front(recall: Array, precision: Array) -> NDArray[np.bool_]:
    """Return which of N points no other beats: none has more of one and at least as much of the other."""
    pairs, place = np.unique(np.stack([recall, precision], axis=1), axis=0, return_inverse=True)
    # From the highest recall down, among equals from the highest precision: a point must top all before it.
    down = pairs[::-1, 1]
    kept = down > np.concatenate([[-np.inf], np.maximum.accumulate(down)[:-1]])
    found: NDArray[np.bool_] = kept[::-1][place.reshape(-1)]
    return found


class Reading(NamedTuple):
    """What a front says, by the names of `Span`."""

    span: float
    low: float
    high: float
    whole: float
    near: int
    best_f1: float


def read(points: Array, tolerance: float) -> Reading:
    """Read the front of N >= 1 points (N, 3) of recall, precision and F1."""
    recall, precision, f1 = points.T
    near, reached = _near(f1, tolerance), front(recall, precision)
    # Where scores are means over classes, the best F1 need not lie on the front; it then stands in for it.
    kept = near & reached if (near & reached).any() else near
    low, high = float(recall[kept].min()), float(recall[kept].max())
    return Reading(high - low, low, high, float(np.ptp(recall[reached])), int(near.sum()), float(f1.max()))


def without_one(points: Array, tolerance: float) -> float:
    """Return the smallest span that is left when any one of N >= 2 points (N, 3) is taken away."""
    # A trial of lower F1 that is not on the front changes nothing; one that is may have hidden others.
    touched = np.flatnonzero(_near(points[:, 2], tolerance) | front(points[:, 0], points[:, 1]))
    return min(read(np.delete(points, index, axis=0), tolerance).span for index in touched)


def luck(recalls: Sequence[Array], trials: int) -> float:
    """Return the span of recall that so many trainings of one setting exceed by luck once in 20 times.

    Args:
        recalls: Validation recall of some settings, each (S,) over its seeds: how far these spread is the luck.
        trials: How many points a span is the range of.

    Returns:
        The 95 % point of the studentized range times the pooled standard deviation; 0 for a single point, NaN where no
        setting was trained twice. Search trials share their seed and so vary less: this errs on the side of luck.
    """
    several = [values for values in recalls if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return NOTHING
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
    return 0.0 if trials < 2 else _studentized_range(trials, freedom) * float(np.sqrt(squares / freedom))


def _at(results: Results, level: float, cell: pd.DataFrame, confirms: pd.DataFrame, *, tolerance: float) -> list[Span]:
    """Read every family's span at one level from its search trials and, for the luck, its confirm trials."""
    groups = {str(family): own.sort_values("number") for family, own in cell.groupby("family", sort=False)}
    trials: dict[str, pd.DataFrame] = {family: groups.get(family, cell[:0]) for family in results.meta["families"]}
    dials = {family: own_dials(results, family) for family in trials}
    scored = {family: own[list(METRICS)].notna().all(axis=1) for family, own in trials.items()}
    endless = [family for family in trials if dials[family] and not _finite(results, family)]
    equal = min((len(trials[f]) for f in endless if scored[f].sum() >= ENOUGH), default=len(cell))
    found = []
    for family, own in trials.items():
        number = min(len(own), equal) if family in endless else len(own)
        kept = own[:number][scored[family][:number]]
        span = Span(family, level, ", ".join(dials[family]), len(own), number, len(kept))
        found.append(_measured(span, kept[list(METRICS)].to_numpy(np.float64), confirms, tolerance))
    return found


def _measured(span: Span, points: Array, confirms: pd.DataFrame, tolerance: float) -> Span:
    if not span.dials:
        return replace(span, span=0.0, half=0.0, double=0.0, without_one=0.0, status=FIXED)
    if len(points) < ENOUGH:
        return span
    found = read(points, tolerance)
    own = confirms[confirms["family"] == span.family].dropna(subset=["recall"])
    recalls = [group.to_numpy(np.float64) for _, group in own.groupby("hyperparameters")["recall"]]
    return replace(
        span,
        **found._asdict(),
        half=read(points, tolerance / 2).span,
        double=read(points, tolerance * 2).span,
        without_one=without_one(points, tolerance),
        luck=luck(recalls, found.near),
        status=MEASURED,
    )


def _near(f1: Array, tolerance: float) -> NDArray[np.bool_]:
    # Equal scores may differ in their last bit.
    near: NDArray[np.bool_] = f1 >= f1.max() - tolerance - 1e-12
    return near


def _finite(results: Results, family: str) -> bool:
    """Whether the search can try every setting there is, and then ends."""
    about = described(results, family)
    return all(isinstance(parse_domain(about[name]["domain"]), Choice | Int) for name in searched(results, family))


@lru_cache(maxsize=256)
def _studentized_range(trials: int, freedom: int) -> float:
    return float(stats.studentized_range.ppf(COVERAGE, trials, freedom))


def _validation(results: Results, stage: str) -> pd.DataFrame:
    """Return family, level, number, hyperparameters and the `METRICS` of every trial of a stage.

    They are those of the minority on validation at argmax, NaN for a trial that did not run to its end.
    """
    trials = results.trials.filter(pc.equal(results.trials["stage"], stage))
    trials = trials.select(["key", "family", "level", "number", "hyperparameters", "status"])
    rows: pd.DataFrame = trials.to_pandas()
    # Filtered in two steps: the first leaves few of what may be millions of rows.
    pooled = results.scores.filter(pc.is_null(results.scores["image"]))
    wanted = pc.and_(pc.equal(pooled["split"], "val"), pc.equal(pooled["point"], "argmax"))
    pooled = pooled.filter(pc.and_(wanted, pc.equal(pooled["class"], MINORITY)))
    for metric in METRICS:
        own = pooled.filter(pc.equal(pooled["metric"], metric))
        values = dict(zip(own["key"].to_pylist(), own["value"].to_pylist(), strict=True))
        rows[metric] = np.array([values.get(key) for key in rows["key"]], np.float64)
    rows.loc[rows["status"] != "completed", list(METRICS)] = NOTHING
    return rows
