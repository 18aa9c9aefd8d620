"""The study's answer in words, no surer than the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sweeper.report import tables
from sweeper.report.comparisons import (
    Headline,
    Ranking,
    baseline,
    headline,
    rank,
    sign,
    survival,
)
from sweeper.report.evidence import Evidence, Key
from sweeper.report.searched import tunable
from sweeper.report.writing import listed, number, percent, signed
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

FEW_SEEDS = 3
SMALL_ESS = 30.0
"""Effective test patches below which a level is called thin."""


class Finding(NamedTuple):
    """One thing found, under a title short enough to scan."""

    title: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What a reader should take away, in the order of reading."""

    summary: str
    """One or two sentences: the answer at the hardest level."""
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]
    """What the answer does not cover; never empty of what is true."""
    rankings: tuple[Ranking, ...]
    """One per level with scores, mildest first."""


def answer(results: Results, evidence: Evidence) -> Answer:
    """Put the study's outcome in words."""
    score = headline(results)
    families = list(results.meta["families"])
    found = [rank(evidence, families, level, score.metric, score.klass) for level in results.meta["levels"]]
    rankings = tuple(ranking for ranking in found if ranking is not None)
    cautions = tuple(_cautions(results, evidence))
    if not rankings:
        return Answer(_nothing_yet(results), (), cautions, ())
    hardest = rankings[-1]
    findings = [
        *_by_level(rankings, score),
        *_against_baseline(results, evidence, hardest, score),
        *_threshold(results, evidence, hardest, score),
        *_recall(evidence, hardest),
        *_tuning(results, evidence, hardest.level, score),
    ]
    return Answer(_summary(hardest, score), tuple(findings), cautions, rankings)


def _summary(ranking: Ranking, score: Headline) -> str:
    leader, where = ranking.leader, f"At {percent(ranking.level)} background"
    value = f"{score.label} {number(leader.score)}"
    if not ranking.standings[1:]:
        return f"{where}, {leader.family} is the only family with confirmed scores: {value}."
    tied, trailing = ranking.tied, ranking.trailing
    if not trailing:
        return (
            f"{where}, nothing is separable. {leader.family} has the highest value, {value}, but every other family's "
            f"difference from it is within the noise of seeds and test images ({listed(s.family for s in tied)})."
        )
    if not tied:
        return f"{where}, {leader.family} is ahead of every other family: {value}."
    return (
        f"{where}, {leader.family} has the highest value, {value}, but cannot be told apart from "
        f"{listed(s.family for s in tied)}. Behind it: {listed(s.family for s in trailing)}."
    )


def _by_level(rankings: Sequence[Ranking], score: Headline) -> list[Finding]:
    if len(rankings) < 2 or len(rankings[0].standings) < 2:
        return []
    parts = [f"{ranking.leader.family} at {percent(ranking.level)}" for ranking in rankings]
    leaders = {ranking.leader.family for ranking in rankings}
    always = set.intersection(*({r.leader.family, *(s.family for s in r.tied)} for r in rankings))
    text = f"Highest {score.label}: {', '.join(parts)}."
    if len(leaders) == 1:
        return [Finding("As the imbalance grows", f"{text} The same family has the highest value at every level.")]
    if always:
        text += (
            f" The name at the top changes, but {listed(sorted(always))} {'is' if len(always) == 1 else 'are'} first "
            "or not separable from the first at every level, so this is no evidence that the best family depends on "
            "the imbalance."
        )
    else:
        text += (
            " No family is first or tied with the first at every level: the choice appears to depend on the imbalance."
        )
    return [Finding("As the imbalance grows", text)]


def _against_baseline(results: Results, evidence: Evidence, hardest: Ranking, score: Headline) -> list[Finding]:
    base = baseline(results)
    others = [s.family for s in hardest.standings if s.family != base]
    if base is None or not others or base not in {s.family for s in hardest.standings}:
        return []
    groups: dict[str, list[str]] = {"higher": [], "lower": [], "not separable": []}
    for family in others:
        found = evidence.difference(Key(family, hardest.level), Key(base, hardest.level), score.metric, score.klass)
        reading = "not separable" if found is None else sign(found)
        if found is not None and reading in ("higher", "lower"):
            groups[reading].append(f"{family} ({signed(found)})")
        else:
            groups["not separable"].append(family)
    title, where = f"Against {base}", f"At {percent(hardest.level)}"
    if not groups["higher"] and not groups["lower"]:
        return [Finding(title, f"{where}, no family separates: every paired difference in {score.label} includes 0.")]
    parts = [f"{name}: {listed(members)}" for name, members in groups.items() if members]
    return [Finding(title, f"{where}, paired differences in {score.label}: {'; '.join(parts)}.")]


def _threshold(results: Results, evidence: Evidence, hardest: Ranking, score: Headline) -> list[Finding]:
    base = baseline(results)
    families = [s.family for s in hardest.standings]
    other = base if base in families and hardest.leader.family != base else next(iter(families[1:]), None)
    if other is None:
        return []
    leader, level = hardest.leader.family, hardest.level
    found = [
        evidence.difference(
            Key(leader, level, "tuned", point), Key(other, level, "tuned", point), score.metric, score.klass
        )
        for point in ("argmax", "shifted")
    ]
    argmax, shifted = found
    if argmax is None or shifted is None:
        return []
    text = (
        f"{leader} minus {other} at {percent(level)} is {signed(argmax)} at argmax and {signed(shifted)} with each "
        f"family's threshold tuned on validation. The difference: {survival(argmax, shifted)}."
    )
    return [Finding("Is it only the threshold?", text)]


def _recall(evidence: Evidence, hardest: Ranking) -> list[Finding]:
    families = [s.family for s in hardest.standings]
    by_recall = rank(evidence, families, hardest.level, "recall")
    if by_recall is None or len(families) < 2:
        return []
    leader = by_recall.leader
    precision = evidence.scores(Key(leader.family, hardest.level), ("precision",), (MINORITY,))[MINORITY, "precision"]
    tied = by_recall.tied
    company = f", not separable from {listed(s.family for s in tied)}" if tied else ", ahead of every other family"
    text = (
        f"{leader.family} has the highest recall at {percent(hardest.level)}, {number(leader.score)} at precision "
        f"{number(precision)}{company}."
    )
    return [Finding("If a miss costs more than a false alarm", text)]


def _tuning(results: Results, evidence: Evidence, level: float, score: Headline) -> list[Finding]:
    groups: dict[str, list[str]] = {"higher": [], "lower": [], "not separable": [], "kept": []}
    families, fixed = tunable(results)
    for family in families:
        tuned, default = Key(family, level, "tuned"), Key(family, level, "default")
        found = evidence.difference(tuned, default, score.metric, score.klass)
        if found is None or found.mean != found.mean:
            continue
        if evidence.same(tuned, default):
            groups["kept"].append(family)
        else:
            reading = sign(found)
            groups[reading].append(family if reading == "not separable" else f"{family} ({signed(found)})")
    shown = {
        "higher than its default": groups["higher"],
        "lower": groups["lower"],
        "not separable": groups["not separable"],
        "the search chose the default": groups["kept"],
    }
    parts = [f"{name}: {listed(members)}" for name, members in shown.items() if members]
    if not parts:
        return []
    text = f"At {percent(level)}, tuned minus default in {score.label}: {'; '.join(parts)}."
    if fixed:
        text += f" Nothing to tune: {listed(fixed)}."
    return [Finding("What tuning gained", text)]


def _cautions(results: Results, evidence: Evidence) -> list[str]:
    cautions = []
    lost = tables.missing(results)
    if len(lost) and evidence.counts:
        cells = listed(
            f"{family} at {percent(level)} ({seeds} of {planned} seeds)"
            for family, level, seeds, planned in lost.itertuples(index=False)
        )
        cells_of_all = len(results.meta["families"]) * len(results.meta["levels"])
        cautions.append(
            f"The study is incomplete: {len(lost)} of {cells_of_all} (family, level) pairs "
            f"lack confirm trials: {cells}. Families are compared over the seeds they share."
        )
    seeds = [len(cell.seeds) for cell in evidence.counts.values()]
    if seeds and min(seeds) == 1:
        cautions.append(
            "Some scores rest on a single seed: their intervals hold the luck of the test images, not of training."
        )
    elif seeds and min(seeds) < FEW_SEEDS:
        cautions.append(
            f"With {min(seeds)} seeds the intervals are rough: they are widened for so few seeds, and may still be off."
        )
    levels = results.meta["levels"]
    families = {key.family for key in evidence.counts}
    if len(families) > 2:
        cautions.append(
            f"Intervals are 95 % each, not corrected for looking at many: of {len(families) - 1} comparisons per "
            f"level, about {(len(families) - 1) * 0.05:.2g} would separate by chance if all families were equal. The "
            "family with the highest value is in part the luckiest."
        )
    search = results.meta["study"]["search"]
    if evidence.counts and search.get("levels") == "reference" and len(levels) > 1:
        cautions.append(
            f"Hyperparameters were searched at {percent(results.meta['reference'])} only and used at every level; a "
            "family whose best setting moves with the imbalance is held back elsewhere."
        )
    reached = tables.levels_reached(results).dropna(subset=["ess"]).to_dict("records")
    cautions += [
        f"At {percent(row['level'])} the level weights leave an effective {row['ess']:.0f} test patches: a thin base, "
        "which its intervals show only in part."
        for row in reached
        if row["ess"] < SMALL_ESS
    ]
    ends = tables.offsets_at_limit(results)
    if len(ends):
        cells = listed(f"{family} at {percent(level)}" for family, level in ends.itertuples(index=False))
        cautions.append(
            f"The threshold of {cells} was best at the last offset tried: a better one may lie beyond, and its "
            "scores with the threshold tuned are a lower bound."
        )
    silent = [f for f in results.meta["families"] if f not in families]
    if silent and evidence.counts:
        cautions.append(f"Without any confirmed score, and so in no comparison: {listed(silent)}.")
    return cautions


def _nothing_yet(results: Results) -> str:
    trials = results.trials
    statuses = trials["status"].to_pylist()
    if not statuses:
        return "No trial has been recorded yet, so there is nothing to compare."
    if all(status == "failed" for status in statuses):
        return f"All {len(statuses)} trials failed, so there is nothing to compare; the reasons are below."
    stages = trials["stage"].to_pylist()
    searched = sum(stage == "search" for stage in stages)
    return (
        f"Nothing is confirmed yet: {searched} search trials are recorded, but no test scores with their pixel counts. "
        "Search scores are on validation and chosen among many, so they are shown below and not ranked."
    )
