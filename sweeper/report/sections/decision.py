"""Which configuration costs least, by level and by what a miss costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from sweeper.report.charts import decision as charts
from sweeper.report.choice import decision as decisions
from sweeper.report.choice import decision_words as words
from sweeper.report.choice.costs import Mistakes, mistakes
from sweeper.report.choice.decision import NOTHING, RATIOS, ROUND, TIE, UNKNOWN, UNSURE
from sweeper.report.choice.territories import runs
from sweeper.report.document import Document
from sweeper.report.inference.statistics import Interval
from sweeper.report.inference.verdict import Verdict
from sweeper.report.output.columns import FAMILY, LEVEL, rule
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import Cell, Column, Grid, Table, grid, table, word
from sweeper.report.output.writing import MISSING, listed, percent, whole
from sweeper.report.section import Section
from sweeper.results.margins import OFFSETS


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
            "policy": _policy(document, found),
            "limits": _limits(document, found, frame),
            "ratios": len(RATIOS),
        },
    )


def _policy(document: Document, found: Sequence[Mistakes]) -> str:
    """Say how thresholds were chosen, and what counts as which error."""
    if all(one.tuned for one in found):
        said = (
            "A configuration is the tuned or the default setting of a family with, per trial and cost ratio, the "
            "background offset that costs least on validation; misses and false alarms are then counted on test, every "
            "trial at its own offset. An offset shown is the median over seeds, which not one of them need have used: "
            "a new training needs its own, found on validation."
        )
    else:
        said = (
            "A configuration is the tuned or the default setting of a family at argmax: these results hold no decision "
            "margins, so no threshold could be chosen for a cost ratio, which would lower the costs."
        )
    if len(document.evidence.minority) > 1:
        said += (
            " A pixel of one minority class taken for another is a miss and a false alarm, and so costs one more than "
            "a miss."
        )
    return said


def _limits(document: Document, found: Sequence[Mistakes], frame: pd.DataFrame) -> list[str]:
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
    if any(len(one.images) == 1 for one in found):
        said.append(
            "With a single test image, shares and intervals hold the luck of training only, not of the images: nothing "
            "is called separable."
        )
    if (frame["at_limit"] > 0).any():
        said.append(
            f"In {whole(float((frame['at_limit'] > 0).mean()))} of the map, a trial of the winner costs least on "
            f"validation at an end of the offsets tried, ±{OFFSETS[-1]:g} (written ≥ or ≤): one that suits it better "
            "may lie beyond."
        )
    absent = [percent(level) for level in document.results.meta["levels"] if level not in {one.level for one in found}]
    if absent:
        said.append(
            f"No map at {listed(absent)} background: no confirmed pixel counts there that the families share, or no "
            "minority pixel on test."
        )
    for one in found:
        what = "decision margins" if one.tuned else "pixel counts"
        for reason, left in (
            (f"without {what}", [left for left in one.left_out if not left.seeds]),
            (f"with {what} for less than half of the seeds of others", [left for left in one.left_out if left.seeds]),
        ):
            if left:
                names = listed(f"{each.family} ({each.setting})" for each in left)
                said.append(f"Left out at {percent(one.level)}, {reason}: {names}.")
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
    drawn = set(document.look) | {NOTHING}
    crowd = "" if set(frame["family"]) <= drawn else " Ruled cells: families without a color of their own."
    return Figure(
        "decision_map",
        "Which family costs least",
        charts.decision_map(frame, document.look, ROUND),
        alt=f"Map of {frame['level'].nunique()} levels by cost of a miss from 1/20 to 20 false alarms, {named}.",
        caption=f"Color: the family of the cheapest configuration. {_faint(frame)} Empty: no family saves more than "
        f"its false alarms cost.{crowd} Point at a cell for its numbers.",
    )


def _faint(frame: pd.DataFrame) -> str:
    """Say what a faint color means."""
    single = (
        f"Half faint: with a single {'seed' if (frame['seeds'] == 1).any() else 'test image'}, how sure is not known."
    )
    known = "Faint: another family is cheapest in many resamples of seeds and test images."
    unknown = frame["verdict"] == UNKNOWN
    return single if unknown.all() else f"{known} {single}" if unknown.any() else known


def _decision(document: Document, frame: pd.DataFrame) -> Table:
    return table(
        "decision",
        "Which family at which cost of a miss",
        "Configuration of least expected cost on test, where a missed minority pixel costs so many false alarms. Below "
        "its family: the share of resamples in which that family is the cheapest, and ≈ the next family where their "
        f"costs are not separable. {NOTHING}: no family saves more than its false alarms cost. The files hold "
        f"{len(RATIOS)} ratios, the least and the greatest offset over seeds, and every number. {rule(document)}",
        frame,
        [
            LEVEL,
            Column("a miss costs", lambda row: words.times(row.ratio), numeric=True),
            FAMILY,
            Column("setting", word("setting")),
            Column("offset", _offset, numeric=True),
            Column("cost per million", _amount("cost"), numeric=True),
            Column("misses", lambda row: words.per_million(row.misses), numeric=True),
            Column("false alarms", lambda row: words.per_million(row.alarms), numeric=True),
            Column("cheapest in", lambda row: whole(row.family_share), numeric=True),
            Column("runner-up", word("runner_up")),
            Column("it costs more by", _amount("difference"), numeric=True),
        ],
        shown=frame[frame["ratio"].isin(ROUND)],
        page=_grid(frame),
    )


def _grid(frame: pd.DataFrame) -> Grid:
    """Lay the levels out as columns: the family in each cell, how sure it is below."""
    levels = sorted(frame["level"].unique())
    rows = []
    for ratio in ROUND:
        found = {row.level: row for row in frame[frame["ratio"] == ratio].itertuples()}
        cells = [
            Cell(MISSING) if level not in found else Cell(str(found[level].family), _confidence(found[level]))
            for level in levels
        ]
        rows.append((Cell(words.times(ratio)), *cells))
    return Grid(
        ("a miss costs", *(percent(float(level)) for level in levels)), tuple(rows), frozenset({0}), stacked=True
    )


def _confidence(row: Any) -> str:
    """Say below a family how sure it is."""
    if row.verdict == TIE:
        return TIE
    if row.verdict == UNKNOWN:
        if row.seeds == row.images == 1:
            return UNKNOWN
        return f"{whole(row.family_share)}, of {'images' if row.seeds == 1 else 'seeds'} only"
    return f"{whole(row.family_share)}{f' ≈ {row.runner_up}' if row.verdict == UNSURE else ''}"


def _amount(name: str) -> Callable[[Any], Cell]:
    """Write three columns of pixels per million as a value and its interval."""
    ends = (name, f"{name}_low", f"{name}_high")
    return lambda row: Cell(*words.measured(Interval(*(getattr(row, end) for end in ends))))


def _offset(row: Any) -> Cell:
    if row.offset != row.offset:
        return Cell(MISSING)
    least, most = words.offset(row.offset_least), words.offset(row.offset_most)
    return Cell(words.offset(row.offset), "" if least == most else f"[{least}, {most}]")


def _regions(document: Document, frame: pd.DataFrame) -> Table:
    def ends(name: str) -> Column:
        return Column(
            {"misses": "misses", "alarms": "false alarms"}[name],
            lambda row: _span(*(words.per_million(getattr(row, f"{name}_{end}")) for end in ("from", "to"))),
            numeric=True,
        )

    found = runs(frame)
    columns = [
        LEVEL,
        Column("a miss costs", lambda row: _span(words.times(row.ratio_from), words.times(row.ratio_to))),
        Column("family", lambda row: Cell(str(row.family), str(row.setting))),
        Column("hyperparameters", lambda row: words.settings(document.results, row.family, row.hyperparameters)),
        Column(
            "offset",
            lambda row: _span(
                words.offset(row.offset_from),
                words.offset(row.offset_to),
                f"{whole(row.at_limit)} at an end" if row.at_limit > 0 else "",
            ),
            numeric=True,
        ),
        ends("misses"),
        ends("alarms"),
        Column(
            "cheapest in",
            lambda row: _span(whole(row.share_least), whole(row.share_most)),
            numeric=True,
        ),
    ]
    return table(
        "decision_regions",
        "The same map, run by run",
        "For every level, from which cost of a miss to which one configuration is the cheapest; its offset on the "
        "background's logit (median over seeds; below it, for how many of them at most the best is at an end of those "
        "tried), and its misses and false alarms per million pixels, from the lower to the higher of these costs. "
        f"Cheapest in: least and greatest share of resamples. {rule(document)}",
        found,
        columns,
        page=grid(found, columns, stacked=True),
    )


def _span(first: str, last: str, more: str = "") -> Cell:
    """Return two ends, the last one set small after or under the first."""
    rest = [] if first == last else [f"→ {last}"]
    return Cell(first, ", ".join([*rest, *([more] if more else [])]))
