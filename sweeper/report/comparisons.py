"""Who differs from whom, by paired differences over the same seeds and test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from sweeper.report.evidence import ALL, POINTS, Evidence, Key, Point
from sweeper.report.searched import tunable
from sweeper.report.statistics import Interval
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
    def tied(self) -> tuple[Standing, ...]:
        """Families whose difference from the leader includes 0, or could not be formed."""
        return tuple(s for s in self.standings[1:] if s.behind is None or not s.behind.excludes_zero)

    @property
    def trailing(self) -> tuple[Standing, ...]:
        return tuple(s for s in self.standings[1:] if s.behind is not None and s.behind.excludes_zero)


def rank(
    evidence: Evidence,
    families: Sequence[str],
    level: float,
    metric: str,
    klass: str = MINORITY,
    point: Point = "argmax",
) -> Ranking | None:
    """Rank the tuned families at a level; None where none has a defined score there."""
    keys = [Key(family, level, "tuned", point) for family in families]
    found = {key: evidence.scores(key, (metric,), (klass,))[klass, metric] for key in keys if key in evidence.counts}
    defined = {key: score for key, score in found.items() if score.mean == score.mean}
    if not defined:
        return None
    order = sorted(defined, key=lambda key: -defined[key].mean)
    shares = evidence.lead_shares(order, metric, klass)
    return Ranking(
        level,
        tuple(
            Standing(
                family=key.family,
                score=defined[key],
                behind=None if key == order[0] else evidence.difference(order[0], key, metric, klass),
                leads=shares.get(key, float("nan")),
            )
            for key in order
        ),
    )


def standings(rankings: Sequence[Ranking]) -> pd.DataFrame:
    """Return all rankings as one frame.

    Columns: level, rank, family, score, score_low, score_high, behind, behind_low, behind_high (the leader's score
    minus this family's, paired), leads.
    """
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    rows = []
    for ranking in rankings:
        for place, one in enumerate(ranking.standings, start=1):
            behind = one.behind or nothing
            score = (one.score.mean, one.score.low, one.score.high)
            rows.append((ranking.level, place, one.family, *score, behind.mean, behind.low, behind.high, one.leads))
    columns = ["score", "score_low", "score_high", "behind", "behind_low", "behind_high"]
    return pd.DataFrame(rows, columns=["level", "rank", "family", *columns, "leads"])


def against(evidence: Evidence, results: Results, other: str, score: Headline) -> pd.DataFrame:
    """Return each tuned family minus the tuned family `other`, per level, at both operating points.

    Columns: family, level, then `difference`, `low`, `high` at each of `argmax` and `shifted` (prefixed), and
    `reading`: whether the difference survives equal tuning of the threshold.
    """
    rows = []
    for level in results.meta["levels"]:
        for family in results.meta["families"]:
            if family == other:
                continue
            found = {
                point: evidence.difference(
                    Key(family, level, "tuned", point), Key(other, level, "tuned", point), score.metric, score.klass
                )
                for point in POINTS
            }
            if found["argmax"] is None or found["shifted"] is None:
                continue
            row: dict[str, object] = {"family": family, "level": level}
            for point, difference in found.items():
                assert difference is not None
                row |= {f"{point}_difference": difference.mean, f"{point}_low": difference.low,
                        f"{point}_high": difference.high}  # fmt: skip
            rows.append(row | {"reading": survival(found["argmax"], found["shifted"])})
    columns = ["family", "level", *(f"{p}_{c}" for p in POINTS for c in ("difference", "low", "high")), "reading"]
    return pd.DataFrame(rows, columns=columns)


def survival(argmax: Interval, shifted: Interval) -> str:
    """Say in a word or two what equal tuning of the threshold does to a difference."""
    if not argmax.excludes_zero and not shifted.excludes_zero:
        return "not separable at either point"
    if argmax.excludes_zero and not shifted.excludes_zero:
        return "no longer separable once thresholds are tuned alike"
    if shifted.excludes_zero and not argmax.excludes_zero:
        return "separable only once thresholds are tuned alike"
    return "survives" if (argmax.mean > 0) == (shifted.mean > 0) else "turns round once thresholds are tuned alike"


def tuned_vs_default(evidence: Evidence, results: Results, score: Headline) -> pd.DataFrame:
    """Return what the search gained: tuned minus default per family and level, paired, at argmax.

    Columns: family, level, default, tuned, difference, low, high, reading. A family whose search chose the default has
    difference 0 and says so; one with nothing to tune has no row.
    """
    columns = ["family", "level", "default", "tuned", "difference", "low", "high", "reading"]
    rows = []
    for family in tunable(results)[0]:
        for level in results.meta["levels"]:
            tuned, default = Key(family, level, "tuned"), Key(family, level, "default")
            found = evidence.difference(tuned, default, score.metric, score.klass)
            if found is None:
                continue
            values = [
                evidence.scores(key, (score.metric,), (score.klass,))[score.klass, score.metric].mean
                for key in (default, tuned)
            ]
            same = evidence.same(tuned, default)
            reading = "the search chose the default" if same else sign(found)
            rows.append((family, level, *values, found.mean, found.low, found.high, reading))
    return pd.DataFrame(rows, columns=columns)


def sign(difference: Interval) -> str:
    """Say which way a difference goes, if it can be told."""
    if difference.mean != difference.mean:
        return "undefined"
    if not difference.excludes_zero:
        return "not separable"
    return "higher" if difference.mean > 0 else "lower"
