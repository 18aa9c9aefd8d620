"""What the search saw of every hyperparameter."""

from __future__ import annotations

from sweeper.report import curves, tables
from sweeper.report.columns import FAMILY, LEVEL
from sweeper.report.dials import Dial
from sweeper.report.dials import dials as searched_dials
from sweeper.report.document import Document
from sweeper.report.figure import Figure
from sweeper.report.section import Section
from sweeper.report.trend import reading
from sweeper.report.typeset import Column, Table, table, word
from sweeper.report.writing import percent


def dials(document: Document) -> Section:
    """Build the section."""
    return Section(
        "dials",
        "The dials",
        tables={"settings": _settings(document)},
        figures={figure.name: figure for figure in _dials(document)},
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


def _dials(document: Document) -> tuple[Figure, ...]:
    found: list[Figure] = []
    for dial in searched_dials(document.results, document.score):
        label = f"{dial.symbol} ({dial.name})" if dial.symbol and dial.symbol != dial.name else dial.name
        measure = f"validation {document.score.label}"
        found.append(
            Figure(
                _file_stem(f"dial_{dial.family}_{dial.name}", taken={figure.name for figure in found}),
                f"{dial.family}: {label}",
                curves.dial(
                    dial.rows, symbol=label, values=dial.values, log=dial.log, default=dial.default, score=measure
                ),
                alt=f"Search trials of {dial.family}: validation scores over {dial.name}.",
                caption=_dial_caption(dial),
                reading=reading(dial.rows, dial.symbol or dial.name, ("recall", "precision"), seed=document.seed),
            )
        )
    return tuple(found)


def _dial_caption(dial: Dial) -> str:
    parts = ["A point per search trial, on validation."]
    if dial.effect:
        parts.append(f"{dial.symbol}: {dial.effect.rstrip('.')}.")
    if dial.default is not None:
        parts.append(f"Dashed: the default, {dial.default:g}.")
    if "stopped" in set(dial.rows["status"]):
        parts.append("Hollow: stopped early, scored at the epoch reached.")
        stopped = dial.rows[dial.rows["status"] == "stopped"]
        if not {"recall", "precision"} & set(stopped["measure"]):
            parts.append("Their recall and precision were not recorded.")
    if not dial.alone:
        parts.append("The other hyperparameters of the family vary too.")
    return " ".join(parts)


def _file_stem(name: str, *, taken: set[str]) -> str:
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    candidate, number = safe, 2
    while candidate in taken:
        candidate, number = f"{safe}_{number}", number + 1
    return candidate
