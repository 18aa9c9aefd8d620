"""What each family cost, and what the search spent."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from sweeper.report import comparisons, tables
from sweeper.report.cost import cost, devices
from sweeper.report.document import Document
from sweeper.report.output.columns import FAMILY, LEVEL
from sweeper.report.output.typeset import Column, Table, decimal, share, table, word
from sweeper.report.output.writing import digits, listed, text
from sweeper.report.section import Section


def budget(document: Document) -> Section:
    """Build the section."""
    frame = cost(document.results)
    return Section(
        "budget",
        "Cost and budget",
        tables={"cost": _cost(document, frame), "budget": _budget(document)},
        words={"remarks": list(_remarks(document, frame))},
    )


def _remarks(document: Document, frame: pd.DataFrame) -> Iterator[str]:
    kinds = devices(document.results)
    if len(kinds) > 1:
        yield f"Trials ran on different devices ({listed(kinds)}): their seconds are not comparable."
    if document.results.meta.get("slot") is None and len(document.results.trials):
        yield "What share of the machine a trial had is not recorded, so that hours of GPU and cores are not known."
    slow = frame.dropna(subset=["relative"]).sort_values("relative")
    base = comparisons.baseline(document.results)
    if base is not None and len(slow) > 1:
        last = slow.iloc[-1]
        if last["relative"] >= 1.1:
            yield f"An epoch of {last['family']} takes {digits(last['relative'], 2)} times as long as one of {base}."
        else:
            yield f"No family's epoch takes more than 1.1 times as long as one of {base}."


def _cost(document: Document, frame: pd.DataFrame) -> Table:
    base = comparisons.baseline(document.results)
    against = f"Relative: that over {base}'s. " if base is not None else ""
    return table(
        "cost",
        "What each family cost",
        f"Seconds per epoch: median, training and validation. {against}Seconds per trial: median of completed ones. "
        "Hours: of all trials one after the other, failed and stopped ones among them; times the share of a GPU, or "
        "the cores, that each had. Stopped: share of search trials that were stopped early. Neighbors on the same "
        "machine slow one another: small differences mean nothing.",
        frame,
        [
            FAMILY,
            Column("trials", word("trials"), numeric=True),
            Column("stopped", share("stopped"), numeric=True),
            Column("seconds per epoch", decimal("epoch_seconds", 2), numeric=True),
            Column("relative", decimal("relative", 2), numeric=True),
            Column("seconds per trial", decimal("trial_seconds", 1), numeric=True),
            Column("hours", lambda row: text(row.hours), numeric=True),
            Column("GPU-hours", lambda row: text(row.gpu_hours), numeric=True),
            Column("core-hours", lambda row: text(row.core_hours), numeric=True),
        ],
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
