"""The report's tables set in type: which columns, how each is written, and the protocol printed with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweeper.report import comparisons, decision, literature, tables
from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.document import Document
from sweeper.report.figures import SHOWN
from sweeper.report.statistics import Interval
from sweeper.report.typeset import Column, Table, decimal, level, share, spread, table, word
from sweeper.report.writing import MISSING, digits, number, percent, text

FAMILY = Column("family", word("family"))
LEVEL = Column("background", level, numeric=True)


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
    return {one.name: one for one in made}


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
    return table(
        "design_space",
        "Two-axis design space",
        "Mean over the minority classes, tuned, argmax, test, mean of seeds with 95 % intervals, "
        f"at {where}. {_rule(document)}",
        tables.design_space(document.results, document.measured),
        [
            Column("overlap", word("overlap")),
            Column("trade-off", word("tradeoff")),
            FAMILY,
            LEVEL,
            *(Column(METRIC_NAMES[m], spread(m, f"{m}_low", f"{m}_high"), numeric=True) for m in SHOWN),
            Column("seeds", word("seeds"), numeric=True),
        ],
    )


def _decision(document: Document) -> Table:
    levels = document.results.meta["levels"]
    return table(
        "decision",
        "Which family at which cost of a miss",
        "Tuned family of least expected cost at argmax, where a missed minority pixel costs so many false alarms. "
        f"Confidence: share of resamples of seeds and test images in which it is the cheapest. {decision.NOTHING}: no "
        "family saves more than its false alarms cost.",
        decision.decision_map(document.evidence, document.families, levels),
        [
            LEVEL,
            Column("a miss costs", lambda row: f"{row.ratio:g} ×", numeric=True),
            FAMILY,
            Column("cost per true pixel", decimal("cost", 2), numeric=True),
            Column("confidence", share("share"), numeric=True),
        ],
    )


def _operating_points(document: Document) -> Table:
    return table(
        "operating_points",
        "Scores at both points",
        "Tuned, mean over the minority classes. Shifted: the offset chosen on validation is added to the background "
        "logit; its mean over seeds is shown.",
        tables.operating_points(document.results, document.measured),
        [
            FAMILY,
            LEVEL,
            Column("metric", lambda row: METRIC_NAMES[row.metric]),
            Column("argmax", spread("argmax", "argmax_low", "argmax_high"), numeric=True),
            Column("shifted", spread("shifted", "shifted_low", "shifted_high"), numeric=True),
            Column("offset", decimal("offset", 2, sign=True), numeric=True),
        ],
    )


def _against(document: Document, base: str) -> Table:
    return table(
        "against_baseline",
        f"Does a difference from {base} survive equal tuning of the threshold?",
        f"{_sentence(document.score.label)} on test of each tuned family minus that of tuned {base}, paired over "
        "seeds "
        "and images, with 95 % intervals.",
        comparisons.against(document.evidence, document.results, base, document.score),
        [
            FAMILY,
            LEVEL,
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
    names = list(dict.fromkeys(METRIC_NAMES[metric] for metric in frame["metric"]))
    wide: dict[tuple[str, float, str], dict[str, str]] = {}
    for row in frame[frame["level"].isin(tables.shown_levels(document.results))].to_dict("records"):
        cells = wide.setdefault((row["family"], row["level"], row["class"]), {})
        cells[METRIC_NAMES[row["metric"]]] = number(Interval(row["mean"], row["low"], row["high"]))
    columns = ["family", "level", "klass", *(f"metric_{index}" for index in range(len(names)))]
    shown = [(*place, *(cells.get(name, MISSING) for name in names)) for place, cells in wide.items()]
    return table(
        "per_class",
        "Scores per class",
        "Tuned, argmax, test, mean of seeds with 95 % intervals; a dash is a class that no test picture shows, or "
        f"precision of one never predicted. All levels are in the CSV file. {_rule(document)}",
        frame,
        [
            FAMILY,
            LEVEL,
            Column("class", word("klass")),
            *(Column(name, word(f"metric_{index}"), numeric=True) for index, name in enumerate(names)),
        ],
        shown=pd.DataFrame(shown, columns=columns),
    )


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
    return table("provenance", "Provenance", "What made these numbers.", tables.provenance(document.results), columns)


def _literature() -> Table:
    return table(
        "literature",
        "Literature numbers",
        f"{_sentence(literature.LABEL)}.",
        literature.literature(),
        [
            FAMILY,
            Column("class", word("klass")),
            Column("metric", word("metric")),
            Column("value", lambda row: text(row.value), numeric=True),
            Column("source", word("source")),
        ],
    )


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


def decision_grid(made: Table) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """Return the cost ratios, and per level (family, confidence) for each of them."""
    ratios = list(dict.fromkeys(row[1] for row in made.rows))
    grid: dict[str, list[tuple[str, str]]] = {}
    for at, _, family, _, confidence in made.rows:
        grid.setdefault(at, []).append((family, confidence))
    return ratios, grid


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
