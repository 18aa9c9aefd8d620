"""`report.json`: every number of the report and the files it is made of, for programs and for the next build."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.report.section import Section

if TYPE_CHECKING:
    from sweeper.report.document import Document

VERSION = 1
FILE = "report.json"
_PART = re.compile(r"(figures|tables)/[A-Za-z0-9_]+\.(svg|png|pdf|csv|tex|parquet)")


def to_json(document: Document, sections: Sequence[Section], *, files: Sequence[str]) -> bytes:
    """Return the manifest: what was asked, the answer, every table in full, and the names of all files."""
    meta = document.results.meta
    answer = document.answer
    content = {
        "report": VERSION,
        "study": meta["study"]["name"],
        "data": {"name": meta["data"]["name"], "fingerprint": meta["data"]["fingerprint"]},
        "selection": meta.get("selection"),
        "versions": meta.get("versions"),
        "settings": {"seed": document.seed, "rope": document.rope, "dials": [list(pair) for pair in document.dials]},
        "finished": not document.unfinished,
        "answer": {
            "summary": answer.summary,
            "findings": [{"title": one.title, "text": one.text} for one in answer.findings],
            "cautions": list(answer.cautions),
        },
        "tables": {
            name: {
                "title": table.title,
                "caption": table.caption,
                "columns": [str(column) for column in table.frame.columns],
                "rows": [[_plain(value) for value in row] for row in table.frame.itertuples(index=False, name=None)],
            }
            for section in sections
            for name, table in section.tables.items()
            if table is not None
        },
        "figures": {
            name: {"title": figure.title, "alt": figure.alt, "caption": figure.caption, "reading": figure.reading}
            for section in sections
            for name, figure in section.figures.items()
            if figure is not None
        },
        "files": list(files),
    }
    return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def left_behind(folder: Path, files: Collection[str]) -> list[Path]:
    """Return figures and tables that the report in `folder` says it wrote and that the new one does not have."""
    try:
        known = json.loads((folder / FILE).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    old = [name for name in known if isinstance(name, str) and _PART.fullmatch(name)] if isinstance(known, list) else []
    return [folder / name for name in old if name not in files and (folder / name).is_file()]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
