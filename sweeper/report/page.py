"""The report as files: one self-contained page, a Markdown twin, figures and tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.files import write_bytes
from sweeper.report import literature
from sweeper.report.document import Document
from sweeper.report.figures import DIAL, Figures, draw_figures
from sweeper.report.panels import PanelGrid, panel_grid
from sweeper.report.searched import tunable
from sweeper.report.sheets import NAMES, plane, set_tables
from sweeper.report.statistics import REPS, stretch
from sweeper.report.templating import render_page, writing_to
from sweeper.report.typeset import to_latex

if TYPE_CHECKING:
    from sweeper.results.results import Results


def build_report(results: Results, folder: Path, *, panels: Path | None = None, seed: int = 0) -> Path:
    """Write `report.html`, `report.md`, `figures/` and `tables/` into `folder`; return the path of the page.

    Everything is made before the first file is written, each file is replaced whole, and the page comes last: a build
    that fails leaves the report that was there. Figures and tables that an earlier build left behind and this one does
    not have are then removed; other files are not touched.

    Args:
        panels: Folder of prediction pictures; see `panels.panel_grid`.
        seed: Of the resampling behind the intervals; equal seeds give equal reports.

    Raises: ResultsError when a panel cannot be read or the folder cannot be written.
    """
    return write_report(Document(results, seed=seed), folder, panels=panels)


def write_report(document: Document, folder: Path, *, panels: Path | None = None) -> Path:
    """Write a document as `build_report` does; what it has computed is not computed again."""
    files = render(document, panel_grid(document.results, panels))
    with writing_to(folder, "report"):
        for name, content in files.items():
            write_bytes(folder / name, content)
        for path in left_behind(folder, files):
            path.unlink()
    return folder / "report.html"


def left_behind(folder: Path, files: Collection[str]) -> list[Path]:
    """Return what an earlier report left in the folder: files by a name a report may write, and this one did not."""
    fixed = {field.name for field in fields(Figures)} - {"dials"}
    found = []
    for part, endings in (("figures", (".svg", ".png")), ("tables", (".csv", ".tex"))):
        for path in sorted((folder / part).glob("*")):
            ours = path.stem in NAMES if part == "tables" else path.stem in fixed or path.stem.startswith(DIAL)
            if ours and path.suffix in endings and path.is_file() and f"{part}/{path.name}" not in files:
                found.append(path)
    return found


def render(document: Document, panels: PanelGrid | None = None) -> dict[str, bytes]:
    """Return the content of every file of the report by its path, the page last."""
    figures, tables = draw_figures(document), set_tables(document)
    files: dict[str, bytes] = {}
    for figure in figures:
        files[f"figures/{figure.name}.svg"] = figure.svg.encode()
        files[f"figures/{figure.name}.png"] = figure.png
    for table in tables.values():
        files[f"tables/{table.name}.csv"] = table.frame.to_csv(index=False, lineterminator="\n").encode()
        if table.tidy.head:
            files[f"tables/{table.name}.tex"] = to_latex(table).encode()
    words = {
        "document": document,
        "meta": document.results.meta,
        "answer": document.answer,
        "figures": figures,
        "tables": tables,
        "panels": panels,
        "plane": plane(document),
        "fixed": tunable(document.results)[1],
        "hypothesis": literature.HYPOTHESIS,
        "resamples": REPS,
        "stretches": [(seeds, f"{stretch(seeds):.1f}") for seeds in (2, 3, 5, 10)],
    }
    for name in ("report.md", "report.html"):
        files[name] = render_page(name, words)
    return files
