"""What a comparison comes to: better, worse, equivalent, or not enough evidence. The page's one definition of it."""

from __future__ import annotations

from enum import StrEnum

from sweeper.report.inference.multiplicity import ALPHA
from sweeper.report.inference.statistics import Interval

ROPE = 0.01
"""Half the width of the region of practical equivalence: differences of up to one point of the score do not matter."""


class Verdict(StrEnum):
    """Of the first family of a pair against the second."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    OPEN = "not enough evidence"

    @property
    def turned(self) -> Verdict:
        """The same of the second against the first."""
        return {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}.get(self, self)

    @property
    def separable(self) -> bool:
        """Whether it says which of the two is better."""
        return self in (Verdict.BETTER, Verdict.WORSE)


def judge(difference: Interval, corrected: float, direction: float, *, seeds: int, rope: float = ROPE) -> Verdict:
    """Judge a paired difference.

    *Equivalent*: the 95 % interval lies within ±`rope`, ends included. That is stricter than two one-sided tests at
    5 %, which ask it of the 90 % interval (Schuirmann 1987). *Better*: the interval excludes 0 without lying within
    ±`rope`, and the test over images, corrected for all pairs, agrees in direction and is below 0.05. The two guard
    against different luck: the interval against that of few seeds, for each pair alone; the corrected test against
    finding among many pairs one that these test images happen to favor. Neither alone calls a family better, so that
    where nothing differs a given pair is called either way in at most 5 % of studies. All else is *not enough
    evidence*: to be read as ignorance, not as equality. So is anything with a single seed, which says nothing of how
    far training again would move the scores.

    Args:
        difference: First minus second.
        corrected: p-value after correction over the family of comparisons; NaN where there was none.
        direction: Of the test: 1 if the first is higher, −1 if the second, 0 if neither.
        seeds: How many both were trained with.
        rope: Differences up to this are taken for none; in [0, 1).
    """
    if seeds < 2 or difference.low != difference.low:
        return Verdict.OPEN
    if -rope <= difference.low and difference.high <= rope:
        return Verdict.EQUIVALENT
    if corrected < ALPHA and difference.low > 0 and direction > 0:
        return Verdict.BETTER
    if corrected < ALPHA and difference.high < 0 and direction < 0:
        return Verdict.WORSE
    return Verdict.OPEN
