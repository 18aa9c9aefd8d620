"""The sections of a page that compares studies: how they differ comes before any number."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from sweeper.report.across import charts, ranking
from sweeper.report.across.lineup import Lineup
from sweeper.report.across.protocol import differing_domains, protocol
from sweeper.report.across.scores import blocks, scores
from sweeper.report.columns import FAMILY, LEVEL, sentence
from sweeper.report.figure import Figure
from sweeper.report.section import Section
from sweeper.report.statistics import Interval
from sweeper.report.theme import styles
from sweeper.report.typeset import Cell, Column, Grid, score_cell, spread, table, word
from sweeper.report.writing import MISSING, listed, percent


def build_sections(lineup: Lineup) -> Iterator[Section]:
    """Build every section, in the order of the page."""
    yield _protocol(lineup)
    found = scores(lineup)
    means = blocks(found, lineup)
    yield _ranks(lineup, means)
    yield _scores(lineup, found)


def _protocol(lineup: Lineup) -> Section:
    frame = protocol(lineup)
    shown = frame[frame["differs"]]
    domains = differing_domains(lineup)
    settings = table(
        "protocol",
        "What differs in how the studies were made",
        f"{len(shown)} of {len(frame)} settings differ; those that do not are in the files.",
        frame,
        _by_study(lineup, "section", "key"),
        shown=_safe_names(shown, lineup),
    )
    dials = table(
        "domains",
        "Hyperparameters searched or fixed differently",
        "A family searched over another domain is not quite the same family.",
        domains,
        _by_study(lineup, "family", "hyperparameter"),
        shown=_safe_names(domains, lineup),
    )
    return Section(
        "protocol",
        "How the studies differ",
        tables={"protocol": settings, "domains": dials if len(domains) else None},
        words={"lineup": lineup, "warnings": list(_warnings(lineup))},
    )


def _warnings(lineup: Lineup) -> Iterator[str]:
    for group in lineup.same_data:
        yield (
            f"{listed(group)} are on the same data (equal fingerprints): what they agree on is one piece of evidence, "
            "not several."
        )
    for family, having in lineup.left_out.items():
        yield f"{family} is only in {listed(having)}, and so in no comparison here."
    for name in lineup.unfinished:
        yield f"{name} had not ended when its results were written."


def _by_study(lineup: Lineup, first: str, second: str) -> list[Column]:
    """Return the two columns that name a row, and one per study."""
    own = [Column(name, word(f"study_{at}")) for at, name in enumerate(lineup.names)]
    return [Column(first, word(first)), Column(second, word(second)), *own]


def _safe_names(frame: pd.DataFrame, lineup: Lineup) -> pd.DataFrame:
    """Return the frame with studies under column names that any row can be asked for."""
    return frame.rename(columns={name: f"study_{at}" for at, name in enumerate(lineup.names)})


def _ranks(lineup: Lineup, means: pd.DataFrame) -> Section:
    found = ranking.ranks_of(means)
    return Section(
        "ranks",
        "Ranks across the studies",
        tables={"ranks": ranking.rank_table(found, means)},
        figures={"critical_difference": ranking.diagram(found, means)},
        words={"sentence": ranking.reading(found, means, lineup)},
    )


def _scores(lineup: Lineup, found: pd.DataFrame) -> Section:
    label = lineup.score.label
    made = table(
        "scores",
        f"{sentence(label)} in every study",
        f"{sentence(label)} on test of the tuned setting at argmax, mean of fresh seeds with 95 % intervals. Every "
        "study has its own selection: it is among its settings above. Levels marked are the study's reference.",
        found,
        [
            Column("study", word("study")),
            FAMILY,
            LEVEL,
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
            "data sets are not comparable with one another; the order of families is.",
        )
    return Section("scores", "Study by study", tables={"scores": made}, figures={"scores": figure})


def _grid(lineup: Lineup, found: pd.DataFrame) -> Grid:
    """Lay the scores out with a column per study and level."""
    places = [
        (name, float(level), bool(reference))
        for name in lineup.names
        for level, reference in found[found["study"] == name][["level", "is_reference"]]
        .drop_duplicates()
        .itertuples(index=False)
    ]
    rows = []
    for family in lineup.families:
        own = found[found["family"] == family]
        cells = []
        for name, level, _ in places:
            one = own[(own["study"] == name) & (own["level"] == level)]
            if len(one):
                first = one.iloc[0]
                cells.append(score_cell(Interval(first["mean"], first["low"], first["high"])))
            else:
                cells.append(Cell(MISSING))
        rows.append((Cell(family), *cells))
    head = ("family", *(f"{name}, {percent(level)}{' (reference)' if mark else ''}" for name, level, mark in places))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)
