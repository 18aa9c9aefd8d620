"""Which differences between families are left once every family's threshold is tuned alike."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sweeper.report import comparisons
from sweeper.report.comparisons import Ranking
from sweeper.report.evidence import POINTS
from sweeper.report.pairs import Contests
from sweeper.report.verdict import Verdict
from sweeper.report.writing import digits, listed, percent

LEADER, BASELINE, BOTH = "highest", "baseline", "highest and baseline"
"""What the other family of a comparison is: of the highest score at argmax at that level, or the study's baseline."""

NOWHERE = "not separable at either point"
GONE = "no longer separable once thresholds are tuned alike"
NEW = "separable only once thresholds are tuned alike"
STAYS = "survives"
TURNS = "turns round once thresholds are tuned alike"
"""The readings of `comparisons.survival`."""


def differences(
    contests: Contests, families: Sequence[str], rankings: Sequence[Ranking], base: str | None
) -> pd.DataFrame:
    """Return every tuned family minus the leader and minus the baseline of every level, at both operating points.

    Columns: level, other, role (of `other`), family, then `difference`, `low`, `high` and `verdict` (on the family) at
    each of `argmax` and `shifted` (prefixed), and `reading`. Pairs that share no seed or no image have no row.
    """
    rows = []
    for ranking in rankings:
        leader = ranking.leader.family
        roles = {leader: BOTH if leader == base else LEADER}
        if base is not None:
            roles.setdefault(base, BASELINE)
        for other, role in roles.items():
            for family in families:
                if family == other or (role == BASELINE and family == leader):
                    # The pair of leader and baseline stands among those of the leader.
                    continue
                argmax, shifted = (contests.at(ranking.level, point).of(family, other) for point in POINTS)
                if argmax is None or shifted is None:
                    continue
                found = []
                for one in (argmax, shifted):
                    there = one.difference
                    found += [there.mean, there.low, there.high, str(one.verdict)]
                rows.append((ranking.level, other, role, family, *found, comparisons.survival(argmax, shifted)))
    names = [f"{point}_{part}" for point in POINTS for part in ("difference", "low", "high", "verdict")]
    return pd.DataFrame(rows, columns=["level", "other", "role", "family", *names, "reading"])


def summary(rows: pd.DataFrame, what: str) -> str:
    """Say of some differences, `what` names them, which vanish, survive, turn round or only appear."""
    if rows.empty:
        return ""
    total = len(rows)
    clear = rows[rows["reading"].isin([GONE, STAYS, TURNS])]
    gone, turns, new = (rows[rows["reading"] == reading] for reading in (GONE, TURNS, NEW))
    counted = f"Of {total} differences {what}" if total > 1 else f"Of the one difference {what}"
    parts = []
    if clear.empty:
        parts.append(f"{counted}, none is separable at argmax.")
    else:
        before, after = (clear[f"{point}_difference"].abs().median() for point in POINTS)
        verb = "is" if len(clear) == 1 else "are"
        lost = f"{_number(gone)} no longer separable{_named(gone)}" if len(gone) else "all stay separable"
        alike = int((gone["shifted_verdict"] == Verdict.EQUIVALENT).sum())
        lost += f", {alike} of these equivalent" if alike else ""
        turned = f", {_number(turns)} the other way round{_named(turns)}" if len(turns) else ""
        parts.append(
            f"{counted}, {len(clear)} {verb} separable at argmax; once thresholds are tuned alike, {lost}{turned}. "
            f"Their median size goes from {digits(before)} to {digits(after)}."
        )
    if len(new):
        parts.append(f"Separable only with thresholds tuned: {_cells(new)}.")
    return " ".join(parts)


def _number(rows: pd.DataFrame) -> str:
    return f"{len(rows)} {'is' if len(rows) == 1 else 'are'}"


def _named(rows: pd.DataFrame) -> str:
    return f" ({_cells(rows)})"


def _cells(rows: pd.DataFrame) -> str:
    return listed(f"{row['family']} and {row['other']} at {percent(row['level'])}" for row in rows.to_dict("records"))
