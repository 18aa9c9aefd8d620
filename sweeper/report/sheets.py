"""The report's tables set in type: which columns, how each is written, and the protocol printed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweeper.report import comparisons, decision, literature, tables
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.evidence import ALL, POINTS
from sweeper.report.figures import SHOWN
from sweeper.report.statistics import Interval
from sweeper.report.typeset import (
    Cell,
    Column,
    Grid,
    Table,
    cell,
    decimal,
    grid,
    level,
    score_cell,
    share,
    spread,
    table,
    word,
)
from sweeper.report.writing import MISSING, digits, listed, percent, text
from sweeper.results.schema import POOLED_METRICS

FAMILY = Column("family", word("family"))
LEVEL = Column("background", level, numeric=True)

NAMES = frozenset(
    {
        "standings", "design_space", "decision", "operating_points", "against_baseline", "tuned_vs_default", "settings",
        "per_class", "curves", "budget", "failures", "levels", "provenance", "literature", "measured",
    }
)  # fmt: skip
"""Every table a report may have."""


def set_tables(document: Document) -> dict[str, Table]:
    """Return every table of a report by its name."""
    made = [
        _standings(document),
        _design_space(document),
        _decision(document),
        _operating_points(document),
        _tuned_vs_default(document),
        _settings(document),
        _per_class(document),
        _curves(document),
        _budget(document),
        _failures(document),
        _levels(document),
        _provenance(document),
        _literature(),
        _measured(document),
    ]
    base = comparisons.baseline(document.results)
    if base is not None:
        made.append(_against(document, base))
    found = {one.name: one for one in made if one is not None}
    if unknown := found.keys() - NAMES:
        raise ValueError(f"{sorted(unknown)} must be in NAMES, or a later build would not remove their files")
    return found


def _rule(document: Document) -> str:
    return f"Selection: {document.results.meta.get('selection') or 'not recorded'}"


def _standings(document: Document) -> Table:
    return table(
        "standings",
        "All standings",
        f"{_sentence(document.score.label)} on test, tuned, argmax, with 95 % intervals. Behind: the highest minus it, "
        f"paired over seeds and images. First in: share of resamples in which it leads. {_rule(document)}",
        comparisons.standings(document.answer.rankings),
        [
            LEVEL,
            Column("rank", word("rank"), numeric=True),
            FAMILY,
            Column("value", spread("score", "score_low", "score_high"), numeric=True),
            Column("behind", spread("behind", "behind_low", "behind_high", sign=True), numeric=True),
            Column("first in", share("leads"), numeric=True),
        ],
    )


def _design_space(document: Document) -> Table:
    where = " and ".join(percent(one) for one in tables.shown_levels(document.results))
    frame = tables.design_space(document.results, document.measured)
    columns = [
        Column("overlap", word("overlap")),
        Column("trade-off", word("tradeoff")),
        FAMILY,
        LEVEL,
        *(Column(METRIC_NAMES[m], spread(m, f"{m}_low", f"{m}_high"), numeric=True) for m in SHOWN),
        Column("seeds", word("seeds"), numeric=True),
    ]
    return table(
        "design_space",
        "Two-axis design space",
        "Mean over the minority classes, tuned, argmax, test, mean of seeds with 95 % intervals, "
        f"at {where}. {_rule(document)}",
        frame,
        columns,
        page=grid(frame, columns, stacked=True),
    )


def _decision(document: Document) -> Table:
    frame = decision.decision_map(document.evidence, document.families, document.results.meta["levels"])
    return table(
        "decision",
        "Which family at which cost of a miss",
        "Tuned family of least expected cost at argmax, where a missed minority pixel costs so many false alarms. "
        f"Confidence: share of resamples of seeds and test images in which it is the cheapest. {decision.NOTHING}: no "
        "family saves more than its false alarms cost.",
        frame,
        [
            LEVEL,
            Column("a miss costs", lambda row: _times(row.ratio), numeric=True),
            FAMILY,
            Column("cost per true pixel", decimal("cost", 2), numeric=True),
            Column("confidence", share("share"), numeric=True),
        ],
        page=_decision_grid(frame),
    )


def _decision_grid(frame: pd.DataFrame) -> Grid:
    """Lay the costs out as columns: the family in each cell, its confidence beside it."""
    ratios = sorted(frame["ratio"].unique())
    confidence = share("share")
    rows = []
    for at, group in frame.groupby("level", sort=False):
        found = {row.ratio: Cell(str(row.family), str(confidence(row))) for row in group.itertuples()}
        rows.append((Cell(percent(float(str(at)))), *(found.get(ratio, Cell(MISSING)) for ratio in ratios)))
    return Grid(("background", *(_times(ratio) for ratio in ratios)), tuple(rows), frozenset({0}))


def _times(ratio: float) -> str:
    return f"{ratio:g}\u00a0×"


def _operating_points(document: Document) -> Table:
    frame = tables.operating_points(document.results, document.measured)
    return table(
        "operating_points",
        "Scores at both points",
        "Tuned, mean over the minority classes: argmax → shifted, each with its 95 % interval. Shifted: the offset "
        "chosen on validation is added to the background logit; its mean over seeds is shown.",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("metric", lambda row: METRIC_NAMES[row.metric]),
            Column("argmax", spread("argmax", "argmax_low", "argmax_high"), numeric=True),
            Column("shifted", spread("shifted", "shifted_low", "shifted_high"), numeric=True),
            Column("offset", decimal("offset", 2, sign=True), numeric=True),
        ],
        page=_operating_grid(frame, document.families),
    )


def _operating_grid(frame: pd.DataFrame, families: list[str]) -> Grid:
    """Gather the metrics of a family at a level in one row, `argmax → shifted` in each cell."""
    rows = []
    for family, at, group in _places(frame, families):
        found = {str(row.metric): _both_points(row) for row in group.itertuples()}
        offset = digits(group["offset"].iloc[0], 2, sign=True)
        rows.append((Cell(family), Cell(percent(at)), *(found.get(m, Cell(MISSING)) for m in SHOWN), Cell(offset)))
    head = ("family", "background", *(METRIC_NAMES[metric] for metric in SHOWN), "offset")
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)


def _places(frame: pd.DataFrame, families: list[str]) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Yield the rows of every (family, level), families in the study's order, levels mildest first."""
    for family in families:
        own = frame[frame["family"] == family]
        for at in sorted(own["level"].unique()):
            yield family, float(at), own[own["level"] == at]


def _both_points(row: Any) -> Cell:
    values, ranges = [], []
    for point in POINTS:
        low, high = (digits(getattr(row, f"{point}_{end}")) for end in ("low", "high"))
        values.append(digits(getattr(row, point)))
        ranges.append(MISSING if low == MISSING else f"{low}–{high}")
    return Cell(" → ".join(values), " → ".join(ranges))


def _against(document: Document, base: str) -> Table:
    return table(
        "against_baseline",
        f"Does a difference from {base} survive equal tuning of the threshold?",
        f"{_sentence(document.score.label)} on test of each tuned family minus that of tuned {base}, paired over "
        "seeds and images, with 95 % intervals.",
        comparisons.against(document.evidence, document.results, base, document.score),
        [
            LEVEL,
            FAMILY,
            Column("at argmax", spread("argmax_difference", "argmax_low", "argmax_high", sign=True), numeric=True),
            Column(
                "thresholds tuned",
                spread("shifted_difference", "shifted_low", "shifted_high", sign=True),
                numeric=True,
            ),
            Column("reading", word("reading")),
        ],
    )


def _tuned_vs_default(document: Document) -> Table:
    return table(
        "tuned_vs_default",
        "Tuned against default",
        f"{_sentence(document.score.label)} on test at argmax; the difference, tuned minus default, is paired over "
        f"seeds and images, with its 95 % interval. {_rule(document)}",
        comparisons.tuned_vs_default(document.evidence, document.results, document.score),
        [
            FAMILY,
            LEVEL,
            Column("default", decimal("default"), numeric=True),
            Column("tuned", decimal("tuned"), numeric=True),
            Column("difference", spread("difference", "low", "high", sign=True), numeric=True),
            Column("reading", word("reading")),
        ],
    )


def _settings(document: Document) -> Table:
    frame = tables.chosen_settings(document.results)
    everywhere = document.results.meta["study"]["search"].get("levels") == "reference"
    reference = document.results.meta["reference"]
    kept = frame["searched"]
    if everywhere and reference in set(frame["level"]):
        kept &= frame["level"] == reference
    return table(
        "settings",
        "Settings in use",
        "What the search chose, beside the default of the family; what the study holds fixed is in the CSV file."
        + (f" Searched at {percent(reference)}, used at every level." if everywhere else ""),
        frame,
        [
            FAMILY,
            LEVEL,
            Column("hyperparameter", word("hyperparameter")),
            Column("symbol", word("symbol")),
            Column("tuned", word("tuned"), numeric=True),
            Column("default", word("default"), numeric=True),
        ],
        shown=frame[kept],
    )


def _per_class(document: Document) -> Table:
    frame = tables.per_class(document.measured)
    names = [METRIC_NAMES[metric] for metric in POOLED_METRICS]
    levels = tables.shown_levels(document.results)
    # The mean over all classes says little beside that over the minority: it stays in the files.
    kept = frame[frame["level"].isin(levels) & (frame["class"] != ALL) & frame["metric"].isin(POOLED_METRICS)]
    wide: dict[tuple[str, float, str], dict[str, Cell]] = {}
    for row in kept.to_dict("records"):
        cells = wide.setdefault((row["family"], row["level"], row["class"]), {})
        cells[METRIC_NAMES[row["metric"]]] = score_cell(Interval(row["mean"], row["low"], row["high"]))
    rows = tuple(
        (Cell(family), Cell(percent(at)), Cell(klass), *(cells.get(name, Cell(MISSING)) for name in names))
        for (family, at, klass), cells in wide.items()
    )
    head = ("family", "background", "class", *names)
    numeric = frozenset({1, *range(3, len(head))})
    return Table(
        "per_class",
        "Scores per class",
        "Tuned, argmax, test, mean of seeds with 95 % intervals; a dash is a class that no test picture shows, or "
        f"precision of one never predicted. All levels are in the CSV file. {_rule(document)}",
        frame,
        tidy=Grid(head, rows, numeric),
        grid=Grid(head, rows, numeric, stacked=True),
        about=f"every class of every family at {listed(percent(one) for one in levels)} background",
    )


def _curves(document: Document) -> Table | None:
    frame = tables.curves(document.measured)
    if frame.empty:
        return None

    def error(row: Any) -> Cell:
        found = score_cell(Interval(row.mae, row.mae_low, row.mae_high), factor=100, places=1)
        return found if row.mae_seeds in (0, row.seeds) else Cell(found.text, f"{row.mae_seeds} of {row.seeds} seeds")

    def coverage(row: Any) -> Cell:
        return score_cell(Interval(row.coverage, row.coverage_low, row.coverage_high), factor=100, places=1)

    partial = ""
    if (frame["mae_seeds"] < frame["seeds"]).any():
        partial = " Where only some seeds have an MAE, it is their mean, and their number stands for the interval."
    return table(
        "curves",
        "Curves recovered from the masks",
        "Tuned, argmax, whole test logs, which have no level weights: the level is that of training. MAE: mean "
        "distance to the true curve, in % of the track width; a position at random is 25 % off, and a log in which a "
        "curve is never predicted counts as that. Coverage: % of the depth rows with ink of the curve in which it was "
        f"found. Mean of seeds with 95 % intervals over seeds alone.{partial} Scores at the shifted threshold are in "
        "the files.",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("curve", word("klass")),
            Column("point", word("point")),
            Column("MAE, % of width", error, numeric=True),
            Column("coverage, %", coverage, numeric=True),
        ],
        page=_curves_grid(frame[frame["point"] == "argmax"], document.families, error, coverage),
    )


def _curves_grid(
    frame: pd.DataFrame, families: list[str], error: Callable[[Any], Cell], coverage: Callable[[Any], Cell]
) -> Grid:
    """Gather the curves of a family at a level in one row, every MAE with its coverage beside it."""
    names = sorted(frame["class"].unique())
    rows = []
    for family, at, group in _places(frame.rename(columns={"class": "klass"}), families):
        found = {row.klass: (error(row), coverage(row)) for row in group.itertuples()}
        cells = [one for name in names for one in found.get(name, (Cell(MISSING), Cell(MISSING)))]
        rows.append((Cell(family), Cell(percent(at)), *cells))
    head = ("family", "background", *(part for name in names for part in (f"{name}: MAE %", "coverage %")))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), stacked=True)


def _budget(document: Document) -> Table:
    return table(
        "budget",
        "Budget of the search",
        "One row per cell. Every cell may use the same number of trials; a cell with fewer possible settings, such as "
        "that of a family without hyperparameters, tries each once.",
        tables.budget(document.results),
        [
            FAMILY,
            LEVEL,
            *(
                Column(name, word(name), numeric=True)
                for name in ("trials", "completed", "stopped", "failed", "epochs")
            ),
            Column("minutes", lambda row: digits(row.seconds / 60, 1), numeric=True),
        ],
    )


def _failures(document: Document) -> Table:
    return table(
        "failures",
        "Failures",
        "Search and confirm trials. Collapsed: completed without finding one minority pixel at argmax. Share: "
        "failed and collapsed of all.",
        tables.failures(document.results),
        [
            FAMILY,
            Column("trials", word("trials"), numeric=True),
            Column("failed", word("failed"), numeric=True),
            Column("collapsed", word("collapsed"), numeric=True),
            Column("share", share("share"), numeric=True),
            Column("most common reason", word("reason")),
        ],
    )


def _levels(document: Document) -> Table:
    return table(
        "levels",
        "How the levels were reached",
        "Test patches are weighted, never altered. Mixture changes the share of patches that hold minority pixels; "
        "tilt favors patches by their foreground. The effective number of patches says how much sample is left.",
        tables.levels_reached(document.results),
        [
            Column("aimed at", level, numeric=True),
            Column("measured", decimal("measured", 4), numeric=True),
            Column("weighting", word("weighting")),
            Column("effective test patches", decimal("ess", 0), numeric=True),
        ],
    )


def _provenance(document: Document) -> Table:
    columns = [Column(name, word(name)) for name in ("section", "key", "value")]
    return table(
        "provenance",
        "Provenance",
        "What made these numbers.",
        tables.provenance(document.results),
        columns,
        about="the study as it was written, its data, versions and host",
    )


def _literature() -> Table:
    frame = literature.literature()
    sources = list(dict.fromkeys(frame["source"]))
    listed_sources = " ".join(f"[{number}] {source}." for number, source in enumerate(sources, start=1))
    return table(
        "literature",
        "Literature numbers",
        f"{_sentence(literature.LABEL)}. {listed_sources}",
        frame,
        [
            FAMILY,
            Column("class", word("klass")),
            Column("metric", word("metric")),
            Column("value", lambda row: text(row.value), numeric=True),
            Column("source", lambda row: f"[{sources.index(row.source) + 1}]"),
        ],
        page=_literature_grid(frame, sources),
    )


def _literature_grid(frame: pd.DataFrame, sources: list[str]) -> Grid:
    """Gather the metrics that a source gives of a family and class in one row."""
    metrics = list(dict.fromkeys(frame["metric"]))
    rows = []
    for (family, klass, source), group in frame.groupby(["family", "class", "source"], sort=False):
        found = dict(zip(group["metric"], group["value"], strict=True))
        values = [cell(text(found.get(metric))) for metric in metrics]
        rows.append((Cell(str(family)), Cell(str(klass)), *values, Cell(f"[{sources.index(str(source)) + 1}]")))
    head = ("family", "class", *metrics, "source")
    return Grid(head, tuple(rows), frozenset(range(2, 2 + len(metrics))))


def _measured(document: Document) -> Table:
    # Thousands of rows: a file to compute with, not a table to read.
    caption = f"95 % intervals over seeds and test images. {_rule(document)}"
    return table("measured", "Everything measured on test", caption, document.measured, [])


@dataclass(frozen=True)
class Plane:
    """The two axes with the families in their cells."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: dict[tuple[str, str], list[dict[str, Any]]]
    """Per (row, column): `family`, `title`, and `scores`, a list of the written scores per level."""


def plane(document: Document) -> Plane:
    """Lay the design space out as the page shows it."""
    frame = tables.design_space(document.results, document.measured)
    present = set(frame["overlap"])
    rows = [*tables.OVERLAPS[:2], *(name for name in tables.OVERLAPS[2:] if name in present)]
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (overlap, tradeoff, family), group in frame.groupby(["overlap", "tradeoff", "family"], sort=False):
        title = document.results.meta["families"][family]["title"]
        scores = [
            {
                "level": percent(row["level"]),
                "measured": row["iou"] == row["iou"],
                "values": [
                    (METRIC_NAMES[m], digits(row[m]), f"{digits(row[f'{m}_low'])}–{digits(row[f'{m}_high'])}")
                    for m in SHOWN
                ],
            }
            for row in group.to_dict("records")
        ]
        cells.setdefault((str(overlap), str(tradeoff)), []).append({"family": family, "title": title, "scores": scores})
    for entries in cells.values():
        entries.sort(key=lambda entry: document.order.index(entry["family"]))
    return Plane(tuple(rows), tables.TRADEOFFS, cells)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
