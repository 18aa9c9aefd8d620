"""The sections of a page that compares studies: how they differ comes before any number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sweeper.report.across import charts, ranking
from sweeper.report.across.lineup import Lineup
from sweeper.report.across.protocol import differing_domains, protocol
from sweeper.report.across.scores import blocks, dropped, scores, study_means
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.columns import FAMILY, sentence
from sweeper.report.output.figure import Figure
from sweeper.report.output.theme import styles
from sweeper.report.output.typeset import Cell, Column, Grid, Table, score_cell, spread, table, word
from sweeper.report.output.writing import MISSING, listed, percent
from sweeper.report.section import Section


def build_sections(lineup: Lineup) -> Iterator[Section]:
    """Build every section, in the order of the page."""
    yield _protocol(lineup)
    found = scores(lineup)
    yield _ranks(lineup, found)
    yield _scores(lineup, found)


def rule(lineup: Lineup) -> str:
    """Say by which rule every study chose epoch and setting: once where all have the same."""
    rules = [str(document.results.meta.get("selection") or "not recorded") for document in lineup.documents]
    if len(set(rules)) == 1:
        return f"Selection, in all studies: {rules[0]}"
    return "Selection: " + " ".join(f"{name}: {own}" for name, own in zip(lineup.names, rules, strict=True))


def _protocol(lineup: Lineup) -> Section:
    frame = protocol(lineup)
    shown = frame[frame["differs"]]
    domains = differing_domains(lineup)
    return Section(
        "protocol",
        "How the studies differ",
        tables={
            "protocol": _by_study(
                lineup,
                "protocol",
                "What differs in how the studies were made",
                f"{len(shown)} of {len(frame)} settings differ; those that do not are in the files.",
                frame,
                shown,
            ),
            "domains": _by_study(
                lineup,
                "domains",
                "Hyperparameters searched or fixed differently",
                "A family searched over another domain is not quite the same family.",
                domains,
                domains,
            )
            if len(domains)
            else None,
        },
        words={"lineup": lineup, "warnings": list(_warnings(lineup))},
    )


def _warnings(lineup: Lineup) -> Iterator[str]:
    if not lineup.same_roles:
        groups: dict[tuple[str, str], list[str]] = {}
        for name, roles in zip(lineup.names, lineup.roles, strict=True):
            groups.setdefault(roles, []).append(name)
        said = "; ".join(
            f"{minority} against {background} in {listed(names)}" for (background, minority), names in groups.items()
        )
        yield (
            f"Not the same task everywhere: {lineup.score.label} and the levels are of other classes ({said}). What is "
            "compared is which family does best on each study's own classes."
        )
    for group in lineup.same_data:
        yield (
            f"{listed(group)} are on the same data (equal fingerprints): what they agree on is one piece of evidence, "
            "not several, and they count once in the ranks."
        )
    for family, having in lineup.left_out.items():
        yield f"{family} is only in {listed(having)}, and so in no comparison here."
    for name in lineup.unfinished:
        yield f"{name} had not ended when its results were written."


def _by_study(lineup: Lineup, name: str, title: str, caption: str, frame: pd.DataFrame, shown: pd.DataFrame) -> Table:
    """Set a frame with two columns that name a row and one per study, which files and page head with its name."""
    first, second = frame.columns[:2]
    headings = lineup.headings(*(column for column in frame.columns if not column.startswith("study_")))
    return table(
        name,
        title,
        caption,
        frame.rename(columns=headings),
        [Column(one, word(one)) for one in (first, second)]
        + [Column(heading, word(column)) for column, heading in headings.items()],
        shown=shown,
    )


def _ranks(lineup: Lineup, scored: pd.DataFrame) -> Section:
    means = study_means(scored, lineup)
    own = blocks(means, lineup)
    found = ranking.ranks_of(own, seed=lineup.seed)
    return Section(
        "ranks",
        "Ranks across the studies",
        tables={"ranks": ranking.rank_table(found, means, lineup, rule(lineup))},
        figures={"critical_difference": ranking.diagram(found, own)},
        words={"sentence": ranking.reading(found, own), "dropped": list(dropped(scored, lineup))},
    )


def _scores(lineup: Lineup, found: pd.DataFrame) -> Section:
    label = lineup.score.label
    made = table(
        "scores",
        f"{sentence(label)} in every study",
        f"{sentence(label)} on test of the tuned setting at argmax, mean of fresh seeds with 95 % intervals. Levels "
        f"marked are the study's reference. {rule(lineup)}",
        found,
        [
            Column("study", word("study")),
            FAMILY,
            Column("background", _level, numeric=True),
            Column("value", spread("mean", "low", "high"), numeric=True),
            Column("seeds", word("seeds"), numeric=True),
        ],
        page=_grid(lineup, found),
    )
    order = list(found.groupby("family")["mean"].mean().sort_values(ascending=False).index) if len(found) else []
    chart = charts.by_study(found, styles(lineup.families, order), order, label)
    figure = None
    if chart is not None:
        figure = Figure(
            "scores",
            "The hardest level of every study",
            chart,
            alt=f"{sentence(label)} of every common family, a panel per study.",
            caption="Tuned setting, argmax, test, 95 % intervals, each study at its hardest level. Values of different "
            f"data sets are not comparable with one another; the order of families is. {rule(lineup)}",
        )
    return Section("scores", "Study by study", tables={"scores": made}, figures={"scores": figure})


def _level(row: Any) -> str:
    return f"{percent(row.level)} (reference)" if row.is_reference else percent(row.level)


def _grid(lineup: Lineup, found: pd.DataFrame) -> Grid:
    """Lay the scores out with a column per study and level."""
    known = set(zip(found["study"], found["level"], found["is_reference"], strict=True))
    places = [place for name in lineup.names for place in sorted(known) if place[0] == name]
    cells = {
        (name, level, family): score_cell(Interval(mean, low, high))
        for name, level, family, mean, low, high in zip(
            *(found[column] for column in ("study", "level", "family", "mean", "low", "high")), strict=True
        )
    }
    rows = [
        (Cell(family), *(cells.get((name, level, family), Cell(MISSING)) for name, level, _ in places))
        for family in lineup.families
    ]
    head = ("family", *(f"{name}, {percent(level)}{' (reference)' if mark else ''}" for name, level, mark in places))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)
