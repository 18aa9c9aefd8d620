"""The study's answer in words, no surer than the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from sweeper.report import tables
from sweeper.report.comparisons import (
    SAME,
    Headline,
    Ranking,
    Standing,
    baseline,
    headline,
    rank,
    survival,
    tuning,
)
from sweeper.report.evidence import POINTS, Key
from sweeper.report.inference.multiplicity import ALPHA
from sweeper.report.inference.verdict import Verdict
from sweeper.report.output.writing import listed, number, percent, signed
from sweeper.report.pairs import Contests, Pair
from sweeper.report.search.searched import tunable
from sweeper.report.survival import GROWS, OPEN, SHRINKS, changes
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


def answer(results: Results, contests: Contests) -> Answer:
    """Put the study's outcome in words; every score in it is of confirm trials on test.

    Search scores are the best of many on validation, and so too good (the winner's curse): none is quoted.
    """
    score = headline(results)
    found = [rank(contests, level) for level in results.meta["levels"]]
    rankings = tuple(ranking for ranking in found if ranking is not None)
    cautions = tuple(_cautions(results, contests))
    if not rankings:
        return Answer(_nothing_yet(results), (), cautions, ())
    hardest = rankings[-1]
    margin = score.margin(contests.rope)
    findings = [
        *_by_level(rankings, contests, score),
        *_against_baseline(results, contests, hardest, score, margin),
        *_threshold(results, contests, hardest, score),
        *_recall(contests, hardest),
        *_tuning(results, contests, hardest.level, score, margin),
    ]
    return Answer(summary(hardest, score, margin), tuple(findings), cautions, rankings)


def summary(ranking: Ranking, score: Headline, margin: str) -> str:
    """Say which family is ahead, and of whom it can be said; `margin` is what counts as equivalent, in words."""
    leader, where = ranking.leader.family, f"At {percent(ranking.level)} background"
    value = f"{score.label} {number(ranking.leader.score)}"
    others = ranking.standings[1:]
    if not others:
        return f"{where}, {leader} is the only family with confirmed scores: {value}."
    if len(ranking.trailing) == len(others):
        return f"{where}, {leader} is better than every other family: {value}."
    if len(ranking.equivalent) == len(others):
        return (
            f"{where}, it does not matter which: {leader} has the highest value, {value}, and every other family is "
            f"equivalent to it, within {margin} ({_names(others)})."
        )
    if len(ranking.open) == len(others):
        return (
            f"{where}, nothing is separable. {leader} has the highest value, {value}, but there is not enough evidence "
            f"against any other family: the differences are within the noise of seeds and test images "
            f"({_names(others)})."
        )
    parts = [
        f"{words} {_names(members)}"
        for words, members in (
            ("better than", ranking.trailing),
            (f"equivalent (within {margin}) to", ranking.equivalent),
        )
        if members
    ]
    text = f"{where}, {leader} has the highest value, {value}. It is {' and '.join(parts)}"
    if ranking.open:
        text += f"; there is not enough evidence against {_names(ranking.open)}"
    return f"{text}."


def _names(standings: Iterable[Standing]) -> str:
    return listed(standing.family for standing in standings)


def _by_level(rankings: Sequence[Ranking], contests: Contests, score: Headline) -> list[Finding]:
    if len(rankings) < 2 or len(rankings[0].standings) < 2:
        return []
    parts = [f"{ranking.leader.family} at {percent(ranking.level)}" for ranking in rankings]
    leaders = {ranking.leader.family for ranking in rankings}
    always = set.intersection(*({r.leader.family, *(s.family for s in r.tied)} for r in rankings))
    text = f"Highest {score.label}: {', '.join(parts)}."
    if len(leaders) == 1:
        text += " The same family has the highest value at every level."
    elif always:
        text += (
            f" The name at the top changes, but no family is better than {listed(sorted(always))} at any level, so "
            "this is no evidence that the best family depends on the imbalance."
        )
    else:
        text += " Every family is behind a better one at some level: the choice appears to depend on the imbalance."
    first = contests.first_separable
    if first is None:
        text += " At no level is any family better than any other."
    elif first > rankings[0].level:
        text += f" Up to {percent(max(r.level for r in rankings if r.level < first))} no two families are separable; "
        text += f"some are from {percent(first)} on."
    return [Finding("As the imbalance grows", text)]


def _against_baseline(
    results: Results, contests: Contests, hardest: Ranking, score: Headline, margin: str
) -> list[Finding]:
    base = baseline(results)
    others = [s.family for s in hardest.standings if s.family != base]
    if base is None or not others or base not in {s.family for s in hardest.standings}:
        return []
    contest = contests.at(hardest.level)
    groups = _by_verdict({family: contest.of(family, base) for family in others}, margin)
    title, where = f"Against {base}", f"At {percent(hardest.level)}"
    if list(groups) == [Verdict.OPEN.value]:
        return [Finding(title, f"{where}, there is not enough evidence for or against any family.")]
    parts = [f"{words}: {listed(members)}" for words, members in groups.items()]
    return [Finding(title, f"{where}, paired differences in {score.label}: {'; '.join(parts)}.")]


def _by_verdict(pairs: Mapping[str, Pair | None], margin: str) -> dict[str, list[str]]:
    """Sort families by the verdict on them, with their differences; verdicts without a family are left out."""
    words = {
        Verdict.BETTER: "better",
        Verdict.WORSE: "worse",
        Verdict.EQUIVALENT: f"equivalent (within {margin})",
        Verdict.OPEN: Verdict.OPEN.value,
    }
    groups: dict[str, list[str]] = {word: [] for word in words.values()}
    for family, pair in pairs.items():
        verdict = Verdict.OPEN if pair is None else pair.verdict
        told = pair is not None and verdict.separable
        groups[words[verdict]].append(f"{family} ({signed(pair.difference)})" if pair and told else family)
    return {word: members for word, members in groups.items() if members}


def _threshold(results: Results, contests: Contests, hardest: Ranking, score: Headline) -> list[Finding]:
    base = baseline(results)
    families = [s.family for s in hardest.standings]
    leader, level = hardest.leader.family, hardest.level
    other = base if base in families and leader != base else next(iter(families[1:]), None)
    if other is None:
        return []
    argmax, shifted = (contests.at(level, point).of(leader, other) for point in POINTS)
    if argmax is None or shifted is None:
        return []
    text = (
        f"{leader} minus {other} at {percent(level)} is {signed(argmax.difference)} at argmax and "
        f"{signed(shifted.difference)} with each family's threshold tuned on validation. The difference: "
        f"{survival(argmax, shifted)}.{_changed(contests, level, leader, other)}"
    )
    return [Finding("Is it only the threshold?", text)]


def _changed(contests: Contests, level: float, leader: str, other: str) -> str:
    """Say what becomes of the size of a difference: a verdict that is lost does not show that it became smaller."""
    found = changes(contests, level, [(leader, other)]).get((leader, other))
    if found is None:
        return ""
    change, size = found
    sure = {SHRINKS: "it shrinks", GROWS: "it grows", OPEN: "that its size changes is not established"}[size]
    return f" By tuning the thresholds it changes by {signed(change)}: {sure}."


def _recall(contests: Contests, hardest: Ranking) -> list[Finding]:
    if len(hardest.standings) < 2:
        return []
    by_recall = rank(replace(contests, metric="recall", klass=MINORITY), hardest.level)
    if by_recall is None:
        return []
    leader = by_recall.leader
    precision = contests.evidence.score(Key(leader.family, hardest.level), "precision", MINORITY)
    margin = f"{100 * contests.rope:.4g} points"
    parts = [
        f"{words} {_names(members)}"
        for words, members in (
            ("better than", by_recall.trailing),
            (f"equivalent (within {margin}) to", by_recall.equivalent),
            ("not enough evidence against", by_recall.open),
        )
        if members
    ]
    company = "better than every other family" if not by_recall.tied else "; ".join(parts)
    text = (
        f"{leader.family} has the highest recall at {percent(hardest.level)}, {number(leader.score)} at precision "
        f"{number(precision)}: {company}."
    )
    return [Finding("If a miss costs more than a false alarm", text)]


def _tuning(results: Results, contests: Contests, level: float, score: Headline, margin: str) -> list[Finding]:
    evidence = contests.evidence
    found = tuning(evidence, results, level, score, rope=contests.rope)
    kept = [family for family in found if evidence.same(Key(family, level), Key(family, level, "default"))]
    changed = {family: pair for family, pair in found.items() if family not in kept}
    groups = _by_verdict(changed, margin) | ({SAME: kept} if kept else {})
    if not groups:
        return []
    parts = [f"{words}: {listed(members)}" for words, members in groups.items()]
    text = f"At {percent(level)}, tuned against default in {score.label}: {'; '.join(parts)}."
    fixed = tunable(results)[1]
    if fixed:
        text += f" Nothing to tune: {listed(fixed)}."
    return [Finding("What tuning gained", text)]


def _cautions(results: Results, contests: Contests) -> list[str]:
    evidence = contests.evidence
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
    cautions += _few(contests)
    levels = results.meta["levels"]
    families = {key.family for key in evidence.counts}
    if len(families) > 2:
        pairs = len(families) * (len(families) - 1) // 2
        cautions.append(
            f"The intervals are 95 % each. Of the {pairs} pairs per level only the test over images is corrected for "
            "looking at many (Holm): luck in training can still set apart families that are equal, in at most 5 % of "
            "pairs. The family with the highest value is in part the luckiest."
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


def _few(contests: Contests) -> list[str]:
    """Say where seeds or test images are too few for what the verdicts ask."""
    counts = contests.evidence.counts
    if not counts:
        return []
    cautions = []
    seeds = min(len(cell.seeds) for cell in counts.values())
    images = min(len(cell.images) for cell in counts.values())
    if seeds == 1:
        where = (
            "Everything rests on a single seed"
            if all(len(cell.seeds) == 1 for cell in counts.values())
            else "Some scores rest on a single seed"
        )
        cautions.append(
            f"{where}: intervals then hold the luck of the test images, not of training, and no family is called "
            "better or equivalent on them."
        )
    elif seeds < FEW_SEEDS:
        cautions.append(
            f"With {seeds} seeds the intervals are rough: they are widened for so few seeds, and may still be off."
        )
    if images == 1:
        cautions.append(
            "Some scores rest on a single test image: their intervals hold the luck of training, not of the test set."
        )
    mute = [contests.at(level) for level in contests.levels]
    mute = [contest for contest in mute if contest.pairs and contest.least >= ALPHA]
    if mute and seeds > 1:
        most = max(pair.images for contest in mute for pair in contest.pairs.values())
        pairs = max(len(contest.pairs) for contest in mute)
        cautions.append(
            f"At {listed(percent(contest.level or 0.0) for contest in mute)} no family can be called better, however "
            f"large its lead: with {most} test {'image that shows' if most == 1 else 'images that show'} a minority "
            f"class and {pairs} {'pair' if pairs == 1 else 'pairs'} the smallest p-value possible is "
            f"{min(contest.least for contest in mute):.2g} after correction, not below {ALPHA:g}. More test images "
            "would settle it, more seeds would not."
        )
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
