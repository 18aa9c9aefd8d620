"""Which differences between families are left once every family's threshold is tuned alike.

That a difference is separable at argmax and not with thresholds tuned does not show that it became smaller: of equal
differences, those that luck favored at argmax are the ones found separable there, and the same luck is not met twice.
What happens to a difference is therefore read from the *change* of it, under the same draws of seeds and images at both
points: it shrinks, or grows, where the 95 % interval of the change excludes 0. So must that of the mean of both
differences, which says which sign it is that comes nearer to 0 or goes away from it: |a| < |b| is (a − b)(a + b) < 0.
Choosing pairs by that mean favors neither point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sweeper.report import comparisons
from sweeper.report.comparisons import Ranking
from sweeper.report.evidence import POINTS, Evidence, Key, Shared
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.writing import digits, listed, percent
from sweeper.report.pairs import Contests

LEADER, BASELINE, BOTH = "highest", "baseline", "highest and baseline"
"""What the other family of a comparison is: of the highest score at argmax at that level, or the study's baseline."""

NOWHERE = "not separable at either point"
GONE = "no longer separable once thresholds are tuned alike"
NEW = "separable only once thresholds are tuned alike"
STAYS = "survives"
TURNS = "turns round once thresholds are tuned alike"
"""The readings of `comparisons.survival`."""

SHRINKS, GROWS, OPEN = "shrinks", "grows", "change not established"
"""What happens to the size of a difference."""


def differences(
    contests: Contests, families: Sequence[str], rankings: Sequence[Ranking], base: str | None
) -> pd.DataFrame:
    """Return every tuned family minus the leader and minus the baseline of every level, at both operating points.

    Columns: level, other, role (of `other`), family, then `difference`, `low`, `high` and `verdict` (on the family) at
    each of `argmax` and `shifted` (prefixed), `change` (shifted minus argmax, with `change_low` and `change_high`),
    `size` (what happens to it) and `reading`. Pairs that share no seed or no image have no row.
    """
    rows = []
    for ranking in rankings:
        leader = ranking.leader.family
        roles = {leader: BOTH if leader == base else LEADER}
        if base is not None:
            roles.setdefault(base, BASELINE)
        both = [(family, other) for other in roles for family in families if family != other]
        changed = changes(contests, ranking.level, both)
        for family, other in both:
            argmax, shifted = (contests.at(ranking.level, point).of(family, other) for point in POINTS)
            if argmax is None or shifted is None or (family, other) not in changed:
                continue
            change, size = changed[family, other]
            found = []
            for one in (argmax, shifted):
                there = one.difference
                found += [there.mean, there.low, there.high, str(one.verdict)]
            reading = comparisons.survival(argmax, shifted)
            ends = (change.mean, change.low, change.high)
            rows.append((ranking.level, other, roles[other], family, *found, *ends, size, reading))
    names = [f"{point}_{part}" for point in POINTS for part in ("difference", "low", "high", "verdict")]
    names += ["change", "change_low", "change_high", "size", "reading"]
    return pd.DataFrame(rows, columns=["level", "other", "role", "family", *names])


def changes(
    contests: Contests, level: float, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[Interval, str]]:
    """Return, for pairs of tuned families, the difference with thresholds tuned minus that at argmax, and its size.

    Pairs that share no seed or no image are left out. With a single seed nothing is established: it says nothing of how
    far training again would move the scores.
    """
    evidence = contests.evidence
    groups: dict[Shared, list[tuple[str, str]]] = {}
    for pair in pairs:
        shared = evidence.shared([Key(family, level, "tuned", point) for point in POINTS for family in pair])
        if shared is not None:
            groups.setdefault(shared, []).append(pair)
    found: dict[tuple[str, str], tuple[Interval, str]] = {}
    for shared, members in groups.items():
        found |= _changes(evidence, level, members, shared, contests.metric, contests.klass)
    return found


def _changes(
    evidence: Evidence, level: float, pairs: Sequence[tuple[str, str]], shared: Shared, metric: str, klass: str
) -> Mapping[tuple[str, str], tuple[Interval, str]]:
    actual, drawn = [], []
    for point in POINTS:
        own = [
            [evidence.scored(Key(family, level, "tuned", point), metric, klass, shared) for family in pair]
            for pair in pairs
        ]
        actual.append(np.stack([one.actual - other.actual for one, other in own]))
        drawn.append(np.stack([one.drawn - other.drawn for one, other in own]))
    resample = evidence.resample(shared)
    # All families of a level are tested on the same pixels.
    resting = evidence.resting(Key(pairs[0][0], level), klass, shared)
    change = statistics.intervals(actual[1] - actual[0], drawn[1] - drawn[0], resample, resting)
    middle = statistics.intervals((actual[1] + actual[0]) / 2, (drawn[1] + drawn[0]) / 2, resample, resting)
    return {
        pair: (change.one(at), _size(change.one(at), middle.one(at), seeds=len(shared.seeds)))
        for at, pair in enumerate(pairs)
    }


def _size(change: Interval, middle: Interval, *, seeds: int) -> str:
    if seeds < 2 or not (change.excludes_zero and middle.excludes_zero):
        return OPEN
    return GROWS if (change.mean > 0) == (middle.mean > 0) else SHRINKS


def summary(rows: pd.DataFrame, what: str) -> str:
    """Say of some differences, `what` names them, which vanish, turn round or only appear, and how their size moves."""
    if rows.empty:
        return ""
    total, several = len(rows), rows["other"].nunique() > 1
    at_argmax, at_shifted = (int(rows["reading"].isin([STAYS, TURNS, only]).sum()) for only in (GONE, NEW))
    subject = f"Of {total} differences {what}" if total > 1 else f"Of the one difference {what}"
    parts = [
        f"{subject}, {at_argmax or 'none'} {'is' if at_argmax < 2 else 'are'} separable at argmax and "
        f"{at_shifted or 'none'} with thresholds tuned alike."
    ]
    for reading, size, one, many, rest in (
        (GONE, SHRINKS, "vanishes", "vanish", "lost the verdict, but that"),
        (NEW, GROWS, "appears", "appear", "gained it, but that"),
    ):
        own = rows[rows["reading"] == reading]
        sure, unsure = own[own["size"] == size], own[own["size"] != size]
        if len(sure):
            parts.append(f"{len(sure)} {one if len(sure) == 1 else many}: {_cells(sure, several)}.")
        if len(unsure):
            who = "it" if len(unsure) == 1 else "they"
            verb = {SHRINKS: "shrink", GROWS: "grow"}[size] + ("s" if len(unsure) == 1 else "")
            parts.append(f"{len(unsure)} {rest} {who} {verb} is not established: {_cells(unsure, several)}.")
    turned = rows[rows["reading"] == TURNS]
    if len(turned):
        parts.append(f"{len(turned)} {'turns' if len(turned) == 1 else 'turn'} round: {_cells(turned, several)}.")
    shrink, grow = (int((rows["size"] == size).sum()) for size in (SHRINKS, GROWS))
    before, after = (digits(rows[f"{point}_difference"].abs().median()) for point in POINTS)
    parts.append(
        f"In all, {shrink or 'none'} {'shrinks' if shrink < 2 else 'shrink'} and {grow or 'none'} "
        f"{'grows' if grow < 2 else 'grow'} by more than luck (the 95 % interval of the change excludes 0); the "
        f"{'size' if total == 1 else 'median size of all'} is {before} at argmax and {after} with thresholds tuned."
    )
    return " ".join(parts)


def _cells(rows: pd.DataFrame, several: bool) -> str:
    """Name pairs and levels; the other family only where it is not always the same."""
    return listed(
        f"{row['family']}{' and ' + row['other'] if several else ''} at {percent(row['level'])}"
        for row in rows.to_dict("records")
    )
