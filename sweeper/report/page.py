"""The report as files: one self-contained page, a Markdown twin, figures, tables, and every number as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from sweeper.files import write_bytes
from sweeper.report.document import ROPE, Document
from sweeper.report.output.exports import figure_files, table_files
from sweeper.report.output.manifest import about, left_behind, to_json
from sweeper.report.output.templating import render_page, render_part, writing_to
from sweeper.report.search.dial_pairs import named
from sweeper.report.section import Section
from sweeper.report.sections import build_sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sweeper.results.results import Results


def build_report(
    results: Results,
    folder: Path,
    *,
    panels: Path | None = None,
    seed: int = 0,
    rope: float = ROPE,
    dials: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write `report.html`, `report.md`, `report.json`, `figures/` and `tables/` into `folder`; return the page's path.

    Everything is made before the first file is written, each file is replaced whole, and the page comes last: a build
    that fails leaves the report that was there. Figures and tables that an earlier build left behind and this one does
    not have are then removed; other files are not touched.

    Args:
        panels: Folder of prediction pictures; see `panels.panel_grid`.
        seed: Of the resampling behind the intervals; equal seeds give equal reports.
        rope: Differences of the headline score up to this count as equivalent, in [0, 1).
        dials: Pairs of numeric hyperparameters to draw against each other, beside those the report chooses itself.

    Raises: ResultsError when a panel cannot be read or the folder cannot be written; UserError for `dials` that no
        family has.
    """
    named(results, dials)  # A misspelled name is said at once, not after a minute.
    return write_report(Document(results, seed=seed, rope=rope, dials=tuple(dials), pictures=panels), folder)


def write_report(document: Document, folder: Path) -> Path:
    """Write a document as `build_report` does; what it has computed is not computed again."""
    return write(render(document), folder)


def render(document: Document) -> dict[str, bytes]:
    """Return the content of every file of the report by its path, the page last."""
    words = {"document": document, "meta": document.results.meta}
    # Thousands of small products: threads of the linear algebra cost 2.5 times the time they were to save.
    with threadpool_limits(1, user_api="blas"):
        return assemble(build_sections(document), words, about(document))


def assemble(
    sections: Iterable[Section],
    words: Mapping[str, object],
    head: Mapping[str, object],
    *,
    page: str = "report",
    parts: str = "sections",
) -> dict[str, bytes]:
    """Return the files of a page made of sections, the page itself last.

    Args:
        sections: Best as they are built: the charts of one are drawn while the next is worked out.
        words: What all of its templates see.
        head: What its manifest says first.
        page: Template of the whole page.
        parts: Folder of the sections' templates.
    """
    built = [_begun(section) for section in sections]
    files = _parts(built)
    pages = {f"report.{kind}": _page(kind, built, words, page, parts) for kind in ("md", "html")}
    files["report.json"] = to_json(head, built, files | pages)
    return files | pages


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a page's files into `folder`; see `build_report`. Returns the path of the page."""
    with writing_to(folder, "report"):
        outdated = left_behind(folder, files)
        for name, content in files.items():
            write_bytes(folder / name, content)
        for path in outdated:
            path.unlink(missing_ok=True)
    return folder / "report.html"


def _begun(section: Section) -> Section:
    for figure in section.figures.values():
        if figure is not None:
            figure.begin()
    return section


def _page(kind: str, sections: Sequence[Section], words: Mapping[str, object], page: str, parts: str) -> bytes:
    filled = []
    for section in sections:
        own = {**words, "section": section, "tables": section.tables, "figures": section.figures, **section.words}
        body = render_part(f"{parts}/{section.name}.{kind}", own)
        filled.append({"name": section.name, "title": section.title, "body": body})
    return render_page(f"{page}.{kind}", {**words, "sections": filled})


def _parts(sections: Sequence[Section]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for section in sections:
        for figure in section.figures.values():
            if figure is not None:
                files |= figure_files(figure)
        files |= section.files
        for table in section.tables.values():
            if table is not None:
                files |= table_files(table)
    return files
