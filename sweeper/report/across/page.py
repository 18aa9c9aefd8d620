"""The comparison of several studies as files, laid out as the report of one is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.report.across.lineup import Lineup, line_up
from sweeper.report.across.sections import build_sections
from sweeper.report.page import assemble, write

if TYPE_CHECKING:
    from sweeper.results.results import Results


def build_comparison(studies: Sequence[Results], folder: Path, *, seed: int = 0) -> Path:
    """Write `report.html`, `report.md`, `report.json`, `figures/` and `tables/`; return the path of the page.

    Raises: UserError when the studies cannot be compared, ResultsError when the folder cannot be written.
    """
    return write(render(line_up(studies, seed=seed)), folder)


def render(lineup: Lineup) -> dict[str, bytes]:
    """Return the content of every file by its path, the page last."""
    head = {
        "studies": [
            {
                "name": name,
                "data": document.results.meta["data"]["fingerprint"],
                "results": own,
                "selection": document.results.meta.get("selection"),
                "versions": document.results.meta.get("versions"),
                "finished": not document.unfinished,
            }
            for name, document, own in zip(lineup.names, lineup.documents, lineup.digests, strict=True)
        ],
        "settings": {"seed": lineup.seed},
    }
    return assemble(build_sections(lineup), {"lineup": lineup}, head, page="across", parts="across")
