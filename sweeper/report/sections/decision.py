"""Which configuration costs least, by level and by what a miss costs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sweeper.report import decision as decisions
from sweeper.report import decision_words as words
from sweeper.report.charts import decision as charts
from sweeper.report.columns import FAMILY, LEVEL, rule
from sweeper.report.costs import Mistakes, mistakes
from sweeper.report.decision import NOTHING, RATIOS, ROUND
from sweeper.report.document import Document
from sweeper.report.figure import Figure
from sweeper.report.section import Section
from sweeper.report.territories import runs
from sweeper.report.typeset import Cell, Column, Grid, Table, decimal, share, spread, table, word
from sweeper.report.verdict import Verdict
from sweeper.report.writing import MISSING, digits, listed, percent


def decision(document: Document) -> Section:
    """Build the section."""
    found = list(mistakes(document.results, document.evidence, RATIOS))
    frame = decisions.decision_map(found, seed=document.seed)
    look = document.look
    colors = {family: look[family].color if family in look else charts.OTHER_COLOR for family in document.families}
    return Section(
        "decision",
        "If a miss costs more",
        tables={"decision": _decision(document, frame), "decision_regions": _regions(document, frame)}
        if len(frame)
        else {},
        figures={"decision_map": _figure(document, frame) if len(frame) else None},
        words={
            "where": words.where(frame),
            "apart": _apart(document),
            "finder": words.finder(document.results, frame, ROUND, colors),
            "policy": _policy(found),
            "limits": _limits(document, found),
        },
    )


def _policy(found: Sequence[Mistakes]) -> str:
    """Say how thresholds were chosen."""
    if all(one.tuned for one in found):
        return (
            "A configuration is the tuned or the default setting of a family with, per trial and cost ratio, the "
            "background offset that costs least on validation; misses and false alarms are then counted on test."
        )
    return (
        "A configuration is the tuned or the default setting of a family at argmax: these results hold no decision "
        "margins, so no threshold could be chosen for a cost ratio, which would lower the costs."
    )


def _limits(document: Document, found: Sequence[Mistakes]) -> list[str]:
    """Say what the map does not cover."""
    said = [
        "The winner is chosen among all on the same test images its cost is measured on, so that where many are close "
        "its cost is flattered. Shares and intervals are one by one, not corrected for the size of the map; offsets "
        "are chosen once, not again in every resample."
    ]
    if any(len(one.seeds) == 1 for one in found):
        said.append(
            "With a single seed, shares and intervals hold the luck of the test images only, not of training: nothing "
            "is called separable."
        )
    absent = [percent(level) for level in document.results.meta["levels"] if level not in {one.level for one in found}]
    if absent:
        said.append(
            f"No map at {listed(absent)} background: no confirmed pixel counts there that the families share, or no "
            "minority pixel on test."
        )
    for one in found:
        if one.left_out:
            names = listed(f"{left.family} ({left.setting})" for left in one.left_out)
            said.append(f"Left out at {percent(one.level)}, with less than half of the seeds of others: {names}.")
    return said


def _apart(document: Document) -> str:
    compared = []
    for level in document.contests.levels:
        verdicts = [pair.verdict for pair in document.contests.at(level).pairs.values()]
        alike = sum(one is Verdict.EQUIVALENT for one in verdicts)
        compared.append(words.Compared(level, len(verdicts), sum(one.separable for one in verdicts), alike))
    return words.apart(compared, document.score.label, document.rope)


def _figure(document: Document, frame: pd.DataFrame) -> Figure:
    winners = [name for name in frame["family"].value_counts().index if name != NOTHING]
    named = f"won by {listed(winners)}" if winners else "nowhere is a family cheaper than predicting nothing"
    return Figure(
        "decision_map",
        "Which family costs least",
        charts.decision_map(frame, document.look, ROUND),
        alt=f"Map of {frame['level'].nunique()} levels by cost of a miss from 1/20 to 20 false alarms, {named}.",
        caption="Color: the family of the cheapest configuration. Faint: another family is cheapest in many resamples "
        "of seeds and test images. Empty: no family saves more than its false alarms cost. Point at a cell for its "
        "numbers.",
    )


def _decision(document: Document, frame: pd.DataFrame) -> Table:
    return table(
        "decision",
        "Which family at which cost of a miss",
        "Configuration of least expected cost on test, where a missed minority pixel costs so many false alarms. Below "
        "its family: the share of resamples in which that family is the cheapest, and ≈ the next family where their "
        f"costs are not separable. {NOTHING}: no family saves more than its false alarms cost. The files hold "
        f"{len(RATIOS)} ratios and every number. {rule(document)}",
        frame,
        [
            LEVEL,
            Column("a miss costs", lambda row: words.times(row.ratio), numeric=True),
            FAMILY,
            Column("setting", word("setting")),
            Column("offset", decimal("offset", 2, sign=True), numeric=True),
            Column("cost per million", spread("cost", "cost_low", "cost_high"), numeric=True),
            Column("misses", lambda row: words.per_million(row.misses), numeric=True),
            Column("false alarms", lambda row: words.per_million(row.alarms), numeric=True),
            Column("cheapest in", share("family_share"), numeric=True),
            Column("runner-up", word("runner_up")),
            Column("it costs more by", spread("difference", "difference_low", "difference_high"), numeric=True),
        ],
        shown=frame[frame["ratio"].isin(ROUND)],
        page=_grid(frame),
    )


def _grid(frame: pd.DataFrame) -> Grid:
    """Lay the levels out as columns: the family in each cell, how sure it is below."""
    levels = sorted(frame["level"].unique())
    confidence = share("family_share")
    rows = []
    for ratio in ROUND:
        found = {row.level: row for row in frame[frame["ratio"] == ratio].itertuples()}
        cells = [
            Cell(MISSING)
            if level not in found
            else Cell(
                str(found[level].family),
                f"{confidence(found[level])}{'' if found[level].separable else f' ≈ {found[level].runner_up}'}",
            )
            for level in levels
        ]
        rows.append((Cell(words.times(ratio)), *cells))
    return Grid(
        ("a miss costs", *(percent(float(level)) for level in levels)), tuple(rows), frozenset({0}), stacked=True
    )


def _regions(document: Document, frame: pd.DataFrame) -> Table:
    def ends(name: str) -> Column:
        return Column(
            {"misses": "misses", "alarms": "false alarms"}[name],
            lambda row: _span(*(words.per_million(getattr(row, f"{name}_{end}")) for end in ("from", "to"))),
            numeric=True,
        )

    return table(
        "decision_regions",
        "The same map, run by run",
        "For every level, from which cost of a miss to which one configuration is the cheapest; its offset on the "
        "background's logit (median over seeds), and its misses and false alarms per million pixels, from the lower to "
        f"the higher of these costs. Cheapest in: least and greatest share of resamples. {rule(document)}",
        runs(frame),
        [
            LEVEL,
            Column("a miss costs", lambda row: _span(words.times(row.ratio_from), words.times(row.ratio_to))),
            Column("family", lambda row: Cell(str(row.family), str(row.setting))),
            Column("hyperparameters", lambda row: words.settings(document.results, row.family, row.hyperparameters)),
            Column(
                "offset",
                lambda row: _span(digits(row.offset_from, 2, sign=True), digits(row.offset_to, 2, sign=True)),
                numeric=True,
            ),
            ends("misses"),
            ends("alarms"),
            Column(
                "cheapest in",
                lambda row: _span(*(share(f"share_{end}")(row) for end in ("least", "most"))),
                numeric=True,
            ),
        ],
    )


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} → {last}"
