"""A tidy frame as a table to read: HTML through the template, Markdown, LaTeX and CSV from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sweeper.report.statistics import Interval
from sweeper.report.writing import MISSING, digits, number, percent, text


@dataclass(frozen=True)
class Table:
    """A table of the report: its numbers (`frame`, written to CSV) and how they are shown (`head`, `rows`)."""

    name: str
    """Stem of its files."""
    title: str
    caption: str
    frame: pd.DataFrame
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = field(default_factory=frozenset)
    """Columns set flush right."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, and how it is written from a row of the frame."""

    heading: str
    write: Callable[[Any], str]
    numeric: bool = False


def table(
    name: str,
    title: str,
    caption: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    shown: pd.DataFrame | None = None,
) -> Table:
    """Set a frame in type; `shown` holds the rows to show where they are not those of `frame`."""
    rows = (frame if shown is None else shown).rename(columns={"class": "klass"}).itertuples() if columns else ()
    return Table(
        name,
        title,
        caption,
        frame,
        head=tuple(column.heading for column in columns),
        rows=tuple(tuple(column.write(row) for column in columns) for row in rows),
        numeric=frozenset(index for index, column in enumerate(columns) if column.numeric),
    )


def word(column: str) -> Callable[[Any], str]:
    """Write a text column."""
    return lambda row: text(getattr(row, column))


def level(row: Any) -> str:
    """Write the level of a row."""
    return percent(float(row.level))


def share(column: str) -> Callable[[Any], str]:
    """Write a fraction as a whole percentage."""

    def write(row: Any) -> str:
        value = getattr(row, column)
        return MISSING if value != value else f"{100 * value:.0f}\u00a0%"

    return write


def decimal(column: str, places: int = 3, *, sign: bool = False) -> Callable[[Any], str]:
    """Write a number column."""
    return lambda row: digits(getattr(row, column), places, sign=sign)


def spread(mean: str, low: str, high: str, *, sign: bool = False) -> Callable[[Any], str]:
    """Write three columns as `mean [low, high]`."""
    return lambda row: number(Interval(getattr(row, mean), getattr(row, low), getattr(row, high)), sign=sign)


def to_markdown(table: Table) -> str:
    """Return a GitHub table; bars, angle brackets and line breaks of the content cannot break it."""
    lines = [
        _markdown_row(table.head),
        "|" + "".join(" ---: |" if i in table.numeric else " --- |" for i in range(len(table.head))),
    ]
    lines += [_markdown_row(row) for row in table.rows]
    return "\n".join(lines)


def markdown_text(value: str) -> str:
    """Escape what Markdown or HTML would take for its own."""
    for mark, plain in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("*", "\\*"),
        ("_", "\\_"),
        ("`", "\\`"),
    ):
        value = value.replace(mark, plain)
    return " ".join(value.split())


def to_latex(table: Table) -> str:
    """Return a booktabs `longtable`-free float; needs `\\usepackage{booktabs}` and a UTF-8 engine or inputenc."""
    align = "".join("r" if index in table.numeric else "l" for index in range(len(table.head)))
    lines = [
        r"\begin{table}[htbp]",
        r"  \centering",
        rf"  \caption{{{latex_text(table.title)}. {latex_text(table.caption)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{align}}}",
        r"    \toprule",
        f"    {_latex_row(table.head)}",
        r"    \midrule",
        *(f"    {_latex_row(row)}" for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_text(value: str) -> str:
    """Escape what LaTeX would take for its own, and write Greek letters and signs as math."""
    return "".join(_LATEX.get(letter, letter) for letter in value)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"


def _latex_row(cells: Sequence[str]) -> str:
    # A row that starts with a bracket would be read as the optional argument of the \\ before it.
    return (
        " & ".join("{" + latex_text(cell) + "}" if cell.startswith("[") else latex_text(cell) for cell in cells)
        + r" \\"
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\n": " ",
    "\u00a0": "~",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "ε": r"$\varepsilon$",
    "θ": r"$\theta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "ν": r"$\nu$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "φ": r"$\varphi$",
    "ω": r"$\omega$",
}
