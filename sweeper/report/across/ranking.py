"""Ranks of the common families with every data set as one block, and what they allow to be said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from sweeper.report.across.lineup import Lineup
from sweeper.report.charts import pairs as charts
from sweeper.report.inference.multiplicity import ALPHA
from sweeper.report.inference.ranks import Ranks, cliques, pairwise, ranks, separable
from sweeper.report.inference.signed_rank import least_p
from sweeper.report.output.columns import FAMILY
from sweeper.report.output.figure import Figure
from sweeper.report.output.theme import styles
from sweeper.report.output.typeset import Column, Table, decimal, table
from sweeper.report.output.writing import digits, listed, p_value


def ranks_of(blocks: pd.DataFrame, *, seed: int = 0) -> Ranks:
    """Rank the families (columns) over the data sets (rows) in which all of them have a score."""
    return ranks(blocks.to_numpy(np.float64), seed=seed)


def apart(blocks: pd.DataFrame) -> Callable[[int, int], bool]:
    """Return whether two families, by their columns, differ over the blocks (Wilcoxon's test, Holm's correction)."""
    whole = blocks.dropna().to_numpy(np.float64)
    return separable(pairwise(whole))


def order(found: Ranks) -> list[int]:
    """Return the columns best first; those without a rank are left out."""
    return [int(index) for index in np.argsort(found.mean, kind="stable") if not np.isnan(found.mean[index])]


def rank_table(found: Ranks, means: pd.DataFrame, lineup: Lineup, rule: str) -> Table:
    """Return the mean rank of every family beside its score in every study.

    Args:
        means: Of `study_means`.
        rule: By which settings and epochs were chosen, as the caption says it.
    """
    headings = lineup.headings("family", "mean_rank")
    own = {f"study_{at}": means.loc[name].to_numpy() for at, name in enumerate(lineup.names)}
    frame = pd.DataFrame({"family": list(means.columns), "mean_rank": found.mean, **own})
    frame = frame.sort_values("mean_rank", kind="stable").reset_index(drop=True)
    return table(
        "ranks",
        "Mean ranks",
        "Mean rank over the data sets (1 is best), and the score that ranks the families in every study: the mean over "
        "the study's levels of the tuned setting on test at argmax. Studies on the same data count once, by the mean "
        f"of their scores; a study in which some family lacks a score at some level does not count. {rule}",
        frame.rename(columns=headings),
        [
            FAMILY,
            Column("mean rank", decimal("mean_rank", 2), numeric=True),
            *(Column(heading, decimal(column), numeric=True) for column, heading in headings.items()),
        ],
        shown=frame,
    )


def reading(found: Ranks, blocks: pd.DataFrame) -> str:
    """Say who ranks first and whether that can be more than chance."""
    names = [str(name) for name in blocks.columns]
    best = order(found)
    if not best:
        return "No study has a score of every common family at every level, so there is nothing to rank."
    if len(names) < 2:
        return f"{names[0]} is the only family that all studies have: there is nothing to rank."
    first = names[best[0]]
    text = f"Over {counted(found)}, {first} ranks best (mean rank {digits(found.mean[best[0]], 2)} of {len(names)})."
    least = least_p(found.blocks) * len(names) * (len(names) - 1) / 2
    if found.blocks < 2 or least > ALPHA:
        return text + (
            f" With so few data sets no difference of two families can be significant: the smallest p-value that "
            f"{found.blocks} can give, corrected for all pairs, is {min(least, 1.0):.2g}.{_overall(found)}"
        )
    differs = apart(blocks)
    behind = [names[other] for other in best[1:] if differs(best[0], other)]
    joined = [names[other] for other in best[1:] if not differs(best[0], other)]
    if behind:
        text += f" It is ahead of {listed(behind)} (Wilcoxon signed-rank over data sets, Holm-corrected, 5 %)."
    if joined:
        text += f" It cannot be told apart from {listed(joined)}."
    return text + _overall(found)


def counted(found: Ranks) -> str:
    """Say over how many blocks was ranked."""
    return "1 data set" if found.blocks == 1 else f"{found.blocks} data sets"


def joined_runs(found: Ranks, blocks: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the runs of families in `order` that cannot be told apart."""
    return cliques(order(found), apart(blocks))


def diagram(found: Ranks, blocks: pd.DataFrame) -> Figure | None:
    """Draw the mean ranks with bars that join families not told apart; None where fewer than two are ranked."""
    best = order(found)
    if len(best) < 2:
        return None
    names = [str(name) for name in blocks.columns]
    title = counted(found)
    places = [(title, names[column], float(found.mean[column])) for column in best]
    joined = [
        (title, bar, names[best[first]], names[best[last]])
        for bar, (first, last) in enumerate(joined_runs(found, blocks))
    ]
    critical = (
        f" Nemenyi's critical difference at 5 % is {digits(found.critical, 2)}."
        if found.critical == found.critical
        else ""
    )
    return Figure(
        "critical_difference",
        "Mean ranks, and what is not separable",
        charts.ranking(
            pd.DataFrame(places, columns=["panel", "family", "rank"]),
            pd.DataFrame(joined, columns=["panel", "bar", "first", "last"]),
            styles(names, [names[column] for column in best]),
            [title],
        ),
        alt=f"Mean ranks of {len(best)} families over {title}, with bars joining those that are not told apart.",
        caption="Blocks are data sets. A bar joins families of which no two are told apart by Wilcoxon's signed-rank "
        f"test, Holm-corrected over all pairs (Benavoli et al. 2016).{critical}",
    )


def _overall(found: Ranks) -> str:
    if found.p != found.p:
        return ""
    return f" Friedman's test that all rank alike: {p_value(found.p)} ({found.way})."
