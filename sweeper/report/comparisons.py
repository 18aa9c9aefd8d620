"""Families seen from the best one, from the baseline and from their own defaults, by the verdicts of `pairs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from sweeper.report.evidence import ALL, Evidence, Key, Point
from sweeper.report.inference.statistics import Interval
from sweeper.report.inference.verdict import ROPE, Verdict
from sweeper.report.pairs import Contests, Entrant, Pair, compare
from sweeper.report.search.searched import tunable
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

BASELINE = "cross_entropy"
"""The family others are measured against where a study has it: what one trains with when nothing is chosen."""

METRIC_NAMES = {"iou": "IoU", "f1": "F1", "precision": "precision", "recall": "recall", "specificity": "specificity",
                "curve_mae": "curve MAE", "curve_coverage": "curve coverage"}  # fmt: skip
"""As people write them."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The score families are ranked by: what the study's search maximized."""

    metric: str
    klass: str

    @property
    def label(self) -> str:
        shown = METRIC_NAMES[self.metric]
        return f"mean {shown} over all classes" if self.klass == ALL else f"minority {shown}"

    def margin(self, rope: float) -> str:
        """Write a region of practical equivalence: `1 IoU point`."""
        points = f"{100 * rope:.4g}"
        return f"{points} {METRIC_NAMES[self.metric]} {'point' if points == '1' else 'points'}"


def headline(results: Results) -> Headline:
    """Read the score from `search.metric`, e.g. `minority_iou` or `mean_iou`."""
    part, _, metric = str(results.meta["study"]["search"]["metric"]).partition("_")
    return Headline(metric, ALL if part == "mean" else MINORITY)


def baseline(results: Results) -> str | None:
    """Return the family the others are compared with, or None where the study does not have it."""
    return BASELINE if BASELINE in results.meta["families"] else None


@dataclass(frozen=True, slots=True)
class Standing:
    """One family at one level, seen from the leader of that level."""

    family: str
    score: Interval
    behind: Interval | None
    """The leader's score minus this family's, paired; None for the leader itself or where nothing is common."""
    verdict: Verdict
    """Of the leader against it; for the leader itself, `OPEN`."""
    leads: float
    """Share of repetitions in which this family scores highest; NaN where the families share no seed or image."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """All families at one level, best first."""

    level: float
    standings: tuple[Standing, ...]

    @property
    def leader(self) -> Standing:
        return self.standings[0]

    @property
    def trailing(self) -> tuple[Standing, ...]:
        """Families the leader is better than."""
        return tuple(s for s in self.standings[1:] if s.verdict is Verdict.BETTER)

    @property
    def equivalent(self) -> tuple[Standing, ...]:
        """Families that differ from the leader by no more than matters."""
        return tuple(s for s in self.standings[1:] if s.verdict is Verdict.EQUIVALENT)

    @property
    def open(self) -> tuple[Standing, ...]:
        """Families of which it is not known whether the leader is better; those it shares nothing with among them."""
        return tuple(s for s in self.standings[1:] if s.verdict not in (Verdict.BETTER, Verdict.EQUIVALENT))

    @property
    def tied(self) -> tuple[Standing, ...]:
        """Families the leader is not better than, for either reason."""
        return tuple(s for s in self.standings[1:] if s.verdict is not Verdict.BETTER)


def rank(contests: Contests, level: float, point: Point = "argmax") -> Ranking | None:
    """Rank the tuned families at a level; None where none has a defined score there."""
    contest = contests.at(level, point)
    if not contest.order:
        return None
    keys = [Key(family, level, "tuned", point) for family in contest.order]
    shares = contests.evidence.lead_shares(keys, contests.metric, contests.klass)
    leader = contest.order[0]
    found = []
    for key in keys:
        pair = contest.of(leader, key.family)
        found.append(
            Standing(
                family=key.family,
                score=contests.evidence.score(key, contests.metric, contests.klass),
                behind=None if pair is None else pair.difference,
                verdict=Verdict.OPEN if pair is None else pair.verdict,
                leads=shares.get(key, float("nan")),
            )
        )
    return Ranking(level, tuple(found))


def standings(rankings: Sequence[Ranking]) -> pd.DataFrame:
    """Return all rankings as one frame.

    Columns: level, rank, family, score, score_low, score_high, behind, behind_low, behind_high (the leader's score
    minus this family's, paired), verdict (of the leader against it; empty for the leader), leads.
    """
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    rows = []
    for ranking in rankings:
        for place, one in enumerate(ranking.standings, start=1):
            behind = one.behind or nothing
            score = (one.score.mean, one.score.low, one.score.high)
            verdict = str(one.verdict) if place > 1 else ""
            rows.append(
                (ranking.level, place, one.family, *score, behind.mean, behind.low, behind.high, verdict, one.leads)
            )
    columns = ["score", "score_low", "score_high", "behind", "behind_low", "behind_high", "verdict"]
    return pd.DataFrame(rows, columns=["level", "rank", "family", *columns, "leads"])


def survival(argmax: Pair, shifted: Pair) -> str:
    """Say in a word or two what equal tuning of the threshold does to a difference."""
    before, after = argmax.verdict, shifted.verdict
    if not before.separable and not after.separable:
        return "not separable at either point"
    if not after.separable:
        return "no longer separable once thresholds are tuned alike"
    if not before.separable:
        return "separable only once thresholds are tuned alike"
    return "survives" if before is after else "turns round once thresholds are tuned alike"


SAME = "the search chose the default"


def tuning(
    evidence: Evidence, results: Results, level: float, score: Headline, *, rope: float = ROPE
) -> dict[str, Pair]:
    """Return what the search gained at a level: tuned minus default, by family, judged side by side.

    Families with nothing to tune are left out, and so are those without a score of both.
    """
    families = tunable(results)[0]
    both = [
        (Entrant("tuned", (Key(family, level, "tuned"),)), Entrant("default", (Key(family, level, "default"),)))
        for family in families
    ]
    made = compare(evidence, both, score.metric, score.klass, rope=rope)
    return {
        family: pair
        for family, pair in zip(families, made, strict=True)
        if pair is not None and pair.difference.mean == pair.difference.mean
    }


def tuned_vs_default(evidence: Evidence, results: Results, score: Headline, *, rope: float = ROPE) -> pd.DataFrame:
    """Return what the search gained: tuned minus default per family and level, paired, at argmax.

    Columns: family, level, default, tuned, difference, low, high, reading: the verdict on the tuned setting. A family
    whose search chose the default has difference 0 and says so; one with nothing to tune has no row.
    """
    columns = ["family", "level", "default", "tuned", "difference", "low", "high", "reading"]
    levels = results.meta["levels"]
    found = {level: tuning(evidence, results, level, score, rope=rope) for level in levels}
    rows = []
    for family in tunable(results)[0]:
        for level in levels:
            pair = found[level].get(family)
            if pair is None:
                continue
            tuned, default = Key(family, level, "tuned"), Key(family, level, "default")
            values = [evidence.score(key, score.metric, score.klass).mean for key in (default, tuned)]
            reading = SAME if evidence.same(tuned, default) else str(pair.verdict)
            there = pair.difference
            rows.append((family, level, *values, there.mean, there.low, there.high, reading))
    return pd.DataFrame(rows, columns=columns)
