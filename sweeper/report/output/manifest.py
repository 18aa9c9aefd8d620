"""`report.json`: every number of the report and the files it is made of, for programs and for the next build."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.report.section import Section

if TYPE_CHECKING:
    from sweeper.report.document import Document

VERSION = 1
FILE = "report.json"
PACKAGES = ("sweeper", "numpy", "scipy", "pandas", "pyarrow", "optuna", "altair", "vl-convert-python")
_PART = re.compile(r"(figures|tables)/[A-Za-z0-9_]+\.(svg|png|pdf|csv|tex|parquet)")


def about(document: Document) -> dict[str, Any]:
    """Return what a report is about and how it was asked for: the head of its manifest."""
    meta = document.results.meta
    answer = document.answer
    return {
        "study": meta["study"]["name"],
        "data": {"name": meta["data"]["name"], "fingerprint": meta["data"]["fingerprint"]},
        "results": document.results.digest,
        "selection": meta.get("selection"),
        "versions": meta.get("versions"),
        "settings": {"seed": document.seed, "rope": document.rope, "dials": [list(pair) for pair in document.dials]},
        "finished": not document.unfinished,
        "answer": {
            "summary": answer.summary,
            "findings": [{"title": one.title, "text": one.text} for one in answer.findings],
            "cautions": list(answer.cautions),
        },
    }


def to_json(head: Mapping[str, Any], sections: Sequence[Section], files: Mapping[str, bytes]) -> bytes:
    """Return the manifest: its head, every table and what every figure draws in full, and the hashes of all files."""
    content = {
        "report": VERSION,
        "made_with": made_with(),
        **head,
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
            name: {
                "title": figure.title,
                "alt": figure.alt,
                "caption": figure.caption,
                "reading": figure.reading,
                "rows": [{key: _plain(value) for key, value in row.items()} for row in figure.rows],
            }
            for section in sections
            for name, figure in section.figures.items()
            if figure is not None
        },
        "said": {section.name: said for section in sections if (said := _said(section))},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    }
    return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def made_with() -> dict[str, str]:
    """Return the versions that the numbers and drawings of a report may depend on."""
    return {name: version(name) for name in PACKAGES}


def left_behind(folder: Path, files: Collection[str]) -> list[Path]:
    """Return figures and tables that the report in `folder` says it wrote and that the new one does not have."""
    try:
        known = json.loads((folder / FILE).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    old = [name for name in known if _PART.fullmatch(name)] if isinstance(known, dict) else []
    return [folder / name for name in old if name not in files and (folder / name).is_file()]


def _said(section: Section) -> dict[str, Any]:
    """Return the sentences of a section that belong to no table and no figure."""
    said: dict[str, Any] = {}
    for name, value in section.words.items():
        if isinstance(value, str):
            said[name] = value
        elif isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
            said[name] = list(value)
    return said


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
