"""Every pair of families: by how much the one is ahead, how often, and whether that is more than luck.

The replication unit is the seed. A difference is that of the pooled scores, paired over seeds and images, with its
interval (`statistics.intervals`). Beside it stand the effect size of Agarwal et al. 2021 (arXiv:2108.13264), the
probability of improvement, and Wilcoxon's signed-rank test over images (Demšar 2006, JMLR 7:1-30, recommends it for two
classifiers over data sets; here an image is what a data set is there: a problem every family is tried on), corrected by
Holm's method over all pairs compared side by side. `verdict.judge` says what they come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from sweeper.report.evidence import POINTS, Evidence, Key, Point, Shared
from sweeper.report.inference import statistics
from sweeper.report.inference.multiplicity import holm
from sweeper.report.inference.signed_rank import DECIMALS, least_p, signed_rank
from sweeper.report.inference.statistics import COVERAGE, Array, Interval
from sweeper.report.inference.verdict import ROPE, Verdict, judge
from sweeper.results.schema import MINORITY

ALL_LEVELS = None
"""Stands for a level where families are compared by their mean over all levels."""

Level = float | None

_AT_ONCE = 128
"""Pairs worked out together: their resampled differences take a few megabytes."""


class Entrant(NamedTuple):
    """What is compared, by a name: the mean score of one or several keys, such as one family at every level."""

    name: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """The first minus the second."""

    first: str
    second: str
    difference: Interval
    """Of the pooled scores, paired over seeds and images."""
    improvement: Interval
    """Share of (seed, image) runs in which the first has the higher score of that image, ties counting half."""
    p: float
    """Wilcoxon's over images, two-sided; scores of an image are means over seeds. NaN where no image has one."""
    corrected: float
    """The same by Holm's method."""
    direction: float
    """Of the test: 1 if the first is higher, −1 if the second, 0 if neither."""
    seeds: int
    images: int
    """Those that show a class compared, and so are in the test."""
    verdict: Verdict

    @property
    def turned(self) -> Pair:
        """The second minus the first."""
        there, back = self.difference, self.improvement
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=Interval(0.0 - there.mean, 0.0 - there.high, 0.0 - there.low),
            improvement=Interval(1 - back.mean, 1 - back.high, 1 - back.low),
            direction=0.0 - self.direction,
            verdict=self.verdict.turned,
        )


def compare(
    evidence: Evidence,
    pairs: Sequence[tuple[Entrant, Entrant]],
    metric: str,
    klass: str = MINORITY,
    *,
    rope: float = ROPE,
) -> list[Pair | None]:
    """Compare pairs that stand side by side; None for one that shares no seed or no image.

    Their p-values are corrected together: pass all that a reader looks at at once.
    """
    found: list[Pair | None] = [None] * len(pairs)
    for shared, places in _by_shared(evidence, pairs).items():
        scores = _Scores.of(evidence, [pairs[place] for place in places], metric, klass, shared)
        for start in range(0, len(places), _AT_ONCE):
            chunk = slice(start, start + _AT_ONCE)
            for place, pair in zip(places[chunk], scores.pairs(chunk), strict=True):
                found[place] = pair
    made = [pair for pair in found if pair is not None]
    corrected = iter(holm(np.array([pair.p for pair in made])).tolist())
    return [None if pair is None else _judged(pair, next(corrected), rope) for pair in found]


def _judged(pair: Pair, corrected: float, rope: float) -> Pair:
    verdict = judge(pair.difference, corrected, pair.direction, seeds=pair.seeds, rope=rope)
    return replace(pair, corrected=corrected, verdict=verdict)


def _by_shared(evidence: Evidence, pairs: Sequence[tuple[Entrant, Entrant]]) -> dict[Shared, list[int]]:
    """Group pairs by the seeds and images they share; mostly all share the same."""
    groups: dict[Shared, list[int]] = {}
    for place, (first, second) in enumerate(pairs):
        shared = evidence.shared([*first.keys, *second.keys])
        if shared is not None:
            groups.setdefault(shared, []).append(place)
    return groups


@dataclass(frozen=True)
class _Scores:
    """The scores of everything in some pairs, over the seeds and images all share."""

    names: list[tuple[str, str]]
    first: list[int]
    second: list[int]
    actual: Array
    """(K, S)"""
    drawn: Array
    """(K, S, R)"""
    images: Array
    """(K, S, N) of single images; NaN where one does not show the class."""
    resting: Array
    """(K,) on how many images the pooled score rests."""
    resample: statistics.Resample

    @classmethod
    def of(
        cls, evidence: Evidence, pairs: Sequence[tuple[Entrant, Entrant]], metric: str, klass: str, shared: Shared
    ) -> _Scores:
        places = {entrant: index for index, entrant in enumerate(dict.fromkeys(one for pair in pairs for one in pair))}
        scored = [[evidence.scored(key, metric, klass, shared) for key in one.keys] for one in places]
        resting: dict[Key, float] = {}
        for entrant in places:
            for key in entrant.keys:
                # All families of a level are tested on the same pixels.
                level = Key("", key.level)
                if level not in resting:
                    resting[level] = evidence.resting(key, klass, shared)
        return cls(
            names=[(first.name, second.name) for first, second in pairs],
            first=[places[first] for first, _ in pairs],
            second=[places[second] for _, second in pairs],
            actual=np.stack([np.mean([one.actual for one in parts], axis=0) for parts in scored]),
            drawn=np.stack([np.mean([one.drawn for one in parts], axis=0) for parts in scored]),
            images=np.stack(
                [
                    np.mean([evidence.image_scores(key, metric, klass, shared) for key in one.keys], axis=0)
                    for one in places
                ]
            ),
            resting=np.array([min(resting[Key("", key.level)] for key in one.keys) for one in places]),
            resample=evidence.resample(shared),
        )

    def pairs(self, chunk: slice) -> Iterator[Pair]:
        """Yield some of the pairs, not yet corrected and judged."""
        first, second = self.first[chunk], self.second[chunk]
        differences = statistics.intervals(
            self.actual[first] - self.actual[second],
            self.drawn[first] - self.drawn[second],
            self.resample,
            np.minimum(self.resting[first], self.resting[second]),
        )
        single = (self.images[first] - self.images[second]).round(DECIMALS)
        better = np.where(np.isnan(single), np.nan, (np.sign(single) + 1) / 2)
        improvements = statistics.mean_intervals(better, self.resample)
        over_seeds = statistics.present_mean(self.images, axis=1)
        test = signed_rank(over_seeds[first] - over_seeds[second])
        for index, names in enumerate(self.names[chunk]):
            yield Pair(
                *names,
                difference=differences.one(index),
                improvement=_unanimous(improvements.one(index), test.number[index]),
                p=float(test.p[index]),
                corrected=float("nan"),
                direction=float(test.direction[index]),
                seeds=self.actual.shape[1],
                images=int(test.number[index]),
                verdict=Verdict.OPEN,
            )


def _unanimous(share: Interval, images: float) -> Interval:
    """Give a share of 0 or 1 an interval: resampling runs that all agree shows no spread, yet they are finitely many.

    The end is that of Clopper and Pearson 1934 for so many images, the independent ones among the runs.
    """
    if share.mean not in (0.0, 1.0) or images < 1:
        # A share cannot leave [0, 1], as a widened interval may.
        return share.clipped(0.0, 1.0)
    end = float(((1 - COVERAGE) / 2) ** (1 / images))
    return Interval(1.0, end, 1.0) if share.mean == 1 else Interval(0.0, 0.0, 1 - end)


@dataclass(frozen=True)
class Contest:
    """All tuned families at one level and operating point, every one against every other."""

    level: Level
    """`ALL_LEVELS` for the mean over all levels."""
    point: Point
    order: tuple[str, ...]
    """Families with a score, best first."""
    pairs: Mapping[tuple[str, str], Pair]
    """By names, the one earlier in `order` first; without those that share no seed or no image."""

    def of(self, first: str, second: str) -> Pair | None:
        """Return the first minus the second, or None where they cannot be compared."""
        if (first, second) in self.pairs:
            return self.pairs[first, second]
        other = self.pairs.get((second, first))
        return None if other is None else other.turned

    def separable(self, first: str, second: str) -> bool:
        """Whether one of the two is better than the other."""
        pair = self.of(first, second)
        return pair is not None and pair.verdict.separable

    @property
    def least(self) -> float:
        """The smallest corrected p-value that any pair could have had: with few images it may not reach 0.05."""
        made = self.pairs.values()
        return min(1.0, len(made) * least_p(max(pair.images for pair in made))) if made else 1.0


@dataclass(frozen=True)
class Contests:
    """The contests of a study, each worked out when first asked for."""

    evidence: Evidence
    families: tuple[str, ...]
    levels: tuple[float, ...]
    """Mildest first."""
    metric: str
    klass: str = MINORITY
    rope: float = ROPE

    def at(self, level: Level, point: Point = "argmax") -> Contest:
        """Return the contest of a level, or of the mean over all levels."""
        if (level, point) not in self._made:
            self._made[level, point] = self._make(level, point)
        return self._made[level, point]

    def __iter__(self) -> Iterator[Contest]:
        """Yield every contest that has a pair: levels, mildest first, then all of them together; both points."""
        for point in POINTS:
            for level in (*self.levels, *([ALL_LEVELS] if len(self.levels) > 1 else [])):
                contest = self.at(level, point)
                if contest.pairs:
                    yield contest

    def blocks(self, level: Level, point: Point = "argmax") -> Array:
        """Return the score of every image, mean over seeds, one column per family in the contest's `order`: (N, k).

        Over the seeds and images all families share; without a row where they share none. See `ranks`.
        """
        order = self.at(level, point).order
        keys = [[Key(family, one, "tuned", point) for one in self._levels(level)] for family in order]
        shared = self.evidence.shared([key for own in keys for key in own])
        if shared is None:
            return np.empty((0, len(order)))
        columns = [
            np.mean([self.evidence.image_scores(key, self.metric, self.klass, shared) for key in own], axis=0)
            for own in keys
        ]
        return statistics.present_mean(np.stack(columns, axis=-1), axis=0)

    @property
    def first_separable(self) -> float | None:
        """The mildest level at which any two families are separable at argmax; None where none are."""
        for level in self.levels:
            if any(pair.verdict.separable for pair in self.at(level).pairs.values()):
                return level
        return None

    @cached_property
    def _made(self) -> dict[tuple[Level, Point], Contest]:
        return {}

    def _levels(self, level: Level) -> tuple[float, ...]:
        return self.levels if level is ALL_LEVELS else (level,)

    def _make(self, level: Level, point: Point) -> Contest:
        levels = self._levels(level)
        means: dict[Entrant, float] = {}
        for family in self.families:
            entrant = Entrant(family, tuple(Key(family, one, "tuned", point) for one in levels))
            shared = self.evidence.shared(entrant.keys)
            if shared is not None:
                scores = [self.evidence.scored(key, self.metric, self.klass, shared).actual for key in entrant.keys]
                mean = float(statistics.present_mean(np.mean(scores, axis=0)))
                if mean == mean:
                    means[entrant] = mean
        order = sorted(means, key=lambda entrant: -means[entrant])
        both = [(first, second) for place, first in enumerate(order) for second in order[place + 1 :]]
        made = compare(self.evidence, both, self.metric, self.klass, rope=self.rope)
        return Contest(
            level,
            point,
            tuple(entrant.name for entrant in order),
            {(pair.first, pair.second): pair for pair in made if pair is not None},
        )


COLUMNS = ["level", "point", "first", "second", "difference", "low", "high", "improvement", "improvement_low",
           "improvement_high", "p", "corrected", "seeds", "images", "verdict"]  # fmt: skip


def table(contests: Contests) -> pd.DataFrame:
    """Return every pair at every level and both points, in the columns `COLUMNS`; the first has the higher score.

    A level of NaN stands for the mean over all levels.
    """
    rows = [
        (
            float("nan") if contest.level is ALL_LEVELS else contest.level, contest.point, pair.first, pair.second,
            pair.difference.mean, pair.difference.low, pair.difference.high, pair.improvement.mean,
            pair.improvement.low, pair.improvement.high, pair.p, pair.corrected, pair.seeds, pair.images,
            str(pair.verdict),
        )
        for contest in contests
        for pair in contest.pairs.values()
    ]  # fmt: skip
    words = {"point", "first", "second", "verdict", "seeds", "images"}
    numbers = {name: float for name in COLUMNS if name not in words} | {"seeds": int, "images": int}
    return pd.DataFrame(rows, columns=COLUMNS).astype(numbers)
