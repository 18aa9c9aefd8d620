"""A tidy frame as a table to read: HTML through the template, Markdown, LaTeX and CSV from here.

A table has two layouts. `tidy`, a row per thing measured, goes into the LaTeX file; `grid` is what the page and its
Markdown twin show, which may gather several tidy rows into one and set intervals under their values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from sweeper.report.inference.statistics import Interval
from sweeper.report.output.escaping import visible
from sweeper.report.output.writing import bounds, digits, listed, percent, text, whole
from sweeper.report.steady import steady

FOLD = 24
"""Rows beyond which a table is folded, so that it does not bury what comes after it."""


class Cell(NamedTuple):
    """What one cell says: words or a number, and its interval, which a page sets small."""

    text: str
    range: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.range}" if self.range else self.text


@dataclass(frozen=True)
class Grid:
    """Rows and columns ready to be set."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    """Columns set flush right."""
    stacked: bool = False
    """Whether intervals stand under their values, for tables that would be too wide otherwise."""

    @property
    def long(self) -> bool:
        return len(self.rows) > FOLD

    @property
    def starts(self) -> tuple[bool, ...]:
        """Whether a row begins a new group, which it does where its first cell differs from the one above."""
        firsts = [row[0] for row in self.rows]
        return tuple(index == 0 or firsts[index - 1] != first for index, first in enumerate(firsts))

    @property
    def kinds(self) -> str:
        """Names of the style sheet that apply."""
        return " ".join(name for name, holds in (("stacked", self.stacked), ("grouped", not all(self.starts))) if holds)


@dataclass(frozen=True)
class Table:
    """A table of the report: its numbers (`frame`, written to CSV) and how they are shown."""

    name: str
    """Stem of its files."""
    title: str
    caption: str
    frame: pd.DataFrame
    tidy: Grid
    """What the LaTeX file holds."""
    grid: Grid
    """What the page shows."""
    about: str = ""
    """What the rows are, for the line that stands in for a folded table; worked out from the frame where empty."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", steady(self.frame))

    @property
    def summary(self) -> str:
        """The line shown instead of a folded table."""
        return f"{self.title}: {len(self.grid.rows)} rows, {self.about or self._extent()}"

    def _extent(self) -> str:
        counted = []
        for column, one, many in (
            ("family", "family", "families"),
            ("level", "level", "levels"),
            ("class", "class", "classes"),
        ):
            if column in self.frame:
                number = self.frame[column].nunique()
                counted.append(f"{number} {one if number == 1 else many}")
        return listed(counted) if counted else "one per entry"


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, and how it is written from a row of the frame."""

    heading: str
    write: Callable[[Any], str | Cell]
    numeric: bool = False


def table(
    name: str,
    title: str,
    caption: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    shown: pd.DataFrame | None = None,
    page: Grid | None = None,
    about: str = "",
) -> Table:
    """Set a frame in type.

    Args:
        shown: The rows to set where they are not those of `frame`.
        page: What the page shows where it is not the tidy rows.
        about: What the rows are, in words.
    """
    tidy = grid(frame if shown is None else shown, columns)
    return Table(name, title, caption, frame, tidy, tidy if page is None else page, about)


def grid(frame: pd.DataFrame, columns: Sequence[Column], *, stacked: bool = False) -> Grid:
    """Write every row of a frame by its columns."""
    rows = frame.rename(columns={"class": "klass"}).itertuples() if columns else ()
    return Grid(
        head=tuple(column.heading for column in columns),
        rows=tuple(tuple(cell(column.write(row)) for column in columns) for row in rows),
        numeric=frozenset(index for index, column in enumerate(columns) if column.numeric),
        stacked=stacked,
    )


def cell(content: str | Cell) -> Cell:
    """Return plain words as a cell without an interval."""
    return content if isinstance(content, Cell) else Cell(content)


def score_cell(value: Interval, *, sign: bool = False, factor: float = 1.0, places: int = 3) -> Cell:
    """Return a value, times `factor`, with its interval."""
    scaled = Interval(value.mean * factor, value.low * factor, value.high * factor)
    return Cell(digits(scaled.mean, places, sign=sign), bounds(scaled, places, sign=sign))


def word(column: str) -> Callable[[Any], str]:
    """Write a text column."""
    return lambda row: text(getattr(row, column))


def level(row: Any) -> str:
    """Write the level of a row."""
    return percent(float(row.level))


def share(column: str) -> Callable[[Any], str]:
    """Write a fraction as a whole percentage."""
    return lambda row: whole(getattr(row, column))


def decimal(column: str, places: int = 3, *, sign: bool = False) -> Callable[[Any], str]:
    """Write a number column."""
    return lambda row: digits(getattr(row, column), places, sign=sign)


def spread(mean: str, low: str, high: str, *, sign: bool = False) -> Callable[[Any], Cell]:
    """Write three columns as `mean [low, high]`."""
    return lambda row: score_cell(Interval(getattr(row, mean), getattr(row, low), getattr(row, high)), sign=sign)


def to_markdown(grid: Grid) -> str:
    """Return a GitHub table; bars, angle brackets and line breaks of the content cannot break it."""
    lines = [
        _markdown_row([markdown_text(name) for name in grid.head]),
        "|" + "".join(" ---: |" if i in grid.numeric else " --- |" for i in range(len(grid.head))),
    ]
    lines += [_markdown_row([_markdown_cell(one, stacked=grid.stacked) for one in row]) for row in grid.rows]
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
        ("](", "\\]("),
        ("][", "\\]["),
    ):
        value = value.replace(mark, plain)
    return " ".join(visible(value).split())


def to_latex(table: Table) -> str:
    """Return a booktabs `longtable`-free float; needs `\\usepackage{booktabs}` and a UTF-8 engine or inputenc."""
    tidy = table.tidy
    align = "".join("r" if index in tidy.numeric else "l" for index in range(len(tidy.head)))
    lines = [
        r"\begin{table}[htbp]",
        r"  \centering",
        rf"  \caption{{{latex_text(table.title)}. {latex_text(table.caption)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{align}}}",
        r"    \toprule",
        f"    {_latex_row(tidy.head)}",
        r"    \midrule",
        *(f"    {_latex_row([str(one) for one in row])}" for row in tidy.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_text(value: str) -> str:
    """Escape what LaTeX would take for its own, and write Greek letters and signs as math."""
    return "".join(_LATEX.get(letter, letter) for letter in visible(value))


def _markdown_cell(one: Cell, *, stacked: bool) -> str:
    if not one.range:
        return markdown_text(one.text)
    # Spaces that do not break keep an interval on one line of a narrow column.
    small = f"<sub>{markdown_text(one.range).replace(' ', '&nbsp;')}</sub>"
    return f"{markdown_text(one.text).replace(' ', '&nbsp;')}{'<br>' if stacked else ' '}{small}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _latex_row(cells: Sequence[str]) -> str:
    # A row that starts with a bracket or a star would be read as belonging to the \\ before it.
    return (
        " & ".join("{" + latex_text(cell) + "}" if cell.startswith(("[", "*")) else latex_text(cell) for cell in cells)
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
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    "\N{REPLACEMENT CHARACTER}": r"$\diamond$",
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
