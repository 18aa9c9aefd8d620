"""Whether a report on disk says what the results say: everything is worked out again and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweeper.errors import ResultsError
from sweeper.report.across.lineup import line_up
from sweeper.report.across.page import render as render_comparison
from sweeper.report.document import Document
from sweeper.report.output.manifest import FILE, VERSION, made_with
from sweeper.report.page import render

if TYPE_CHECKING:
    from sweeper.results.results import Results

ONLY_HASHED = ".pdf"
"""Files that differ from one drawing to the next: these are checked against their hash in the manifest."""


OTHER_RESULTS = "the results are not those the report was built from: their digest differs"


@dataclass(frozen=True)
class Verification:
    """What comparing a report with its results found."""

    numbers: int
    """Numbers of its tables that were worked out again."""
    tables: int
    files: int
    notes: tuple[str, ...]
    """What may explain differences and is none itself, such as another version of a library."""
    problems: tuple[str, ...]
    """One line each: where, what the report says, what follows from the results."""

    @property
    def holds(self) -> bool:
        return not self.problems


def verify(results: Results, folder: Path, *, panels: Path | None = None) -> Verification:
    """Work out every table and page of the report in `folder` again, with its own settings, and compare.

    Args:
        results: What the report should be of.
        panels: Folder of prediction pictures it was built with.

    Raises: ResultsError when there is no report of this version to compare with.
    """
    stored = _manifest(folder)
    if "studies" in stored:
        raise ResultsError(f"{folder / FILE}: compares several studies; give all of them, in their order")
    settings = stored["settings"]
    document = Document(
        results,
        seed=int(settings["seed"]),
        rope=float(settings["rope"]),
        dials=tuple((str(first), str(second)) for first, second in settings["dials"]),
        pictures=panels,
    )
    origin = [] if stored.get("results") == results.digest else [OTHER_RESULTS]
    return _compare(folder, stored, render(document), origin)


def verify_comparison(studies: Sequence[Results], folder: Path) -> Verification:
    """Work out a comparison of several studies again, with its own settings, and compare.

    Raises: ResultsError when there is no such page of this version; UserError for studies that cannot be compared.
    """
    stored = _manifest(folder)
    if not isinstance(stored.get("studies"), list):
        raise ResultsError(f"{folder / FILE}: is of one study; give that one")
    settings = stored["settings"]
    lineup = line_up(studies, seed=int(settings["seed"]))
    known = [one.get("results") for one in stored["studies"] if isinstance(one, dict)]
    origin = [] if known == lineup.digests else [OTHER_RESULTS]
    return _compare(folder, stored, render_comparison(lineup), origin)


def _compare(
    folder: Path, stored: Mapping[str, Any], files: Mapping[str, bytes], origin: Sequence[str]
) -> Verification:
    fresh = json.loads(files[FILE])
    problems = [
        *origin,
        *_of_tables(stored["tables"], fresh["tables"]),
        *_of_manifest(stored, fresh),
        *_of_files(folder, files, stored["files"]),
    ]
    numbers = sum(
        isinstance(value, int | float) and not isinstance(value, bool)
        for table in fresh["tables"].values()
        for row in table["rows"]
        for value in row
    )
    return Verification(numbers, len(fresh["tables"]), len(files), tuple(_of_versions(stored)), tuple(problems))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored, dict) or stored.get("report") != VERSION:
            raise ResultsError(f"{path}: was written by another version of sweeper; build the report again")
        for name, kind in (("settings", dict), ("tables", dict), ("files", dict)):
            if not isinstance(stored[name], kind):
                raise ValueError(f"{name} is not as sweeper writes it")
    except OSError as error:
        raise ResultsError(f"{path}: there is no report to verify ({error.strerror}); build it first") from error
    except (ValueError, KeyError) as error:
        raise ResultsError(f"{path}: is damaged ({error}); build the report again") from error
    return stored


def _of_versions(stored: Mapping[str, Any]) -> Iterator[str]:
    mine = made_with()
    theirs = stored.get("made_with") or {}
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            yield f"built with {name} {theirs.get(name)}, verified with {mine.get(name)}: last digits may differ"


def _of_tables(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(stored.keys() | fresh.keys()):
        if name not in fresh or name not in stored:
            yield f"table {name}: {'is not in the report' if name in fresh else 'does not follow from the results'}"
            continue
        old, new = stored[name], fresh[name]
        if old["columns"] != new["columns"] or len(old["rows"]) != len(new["rows"]):
            yield (
                f"table {name}: has {len(old['rows'])} rows of {', '.join(old['columns'])}; "
                f"recomputed, {len(new['rows'])} rows of {', '.join(new['columns'])}"
            )
            continue
        for number, (was, now) in enumerate(zip(old["rows"], new["rows"], strict=True), start=1):
            for column, before, after in zip(new["columns"], was, now, strict=True):
                if before != after or type(before) is not type(after):
                    yield f"table {name}, row {number}, {column}: says {before!r}, recomputed {after!r}"


def _of_manifest(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[str]:
    """Compare what the manifest says beside the rows of its tables."""
    apart = {"tables", "files", "results", "made_with"}
    for name in sorted((stored.keys() | fresh.keys()) - apart):
        if stored.get(name) != fresh.get(name):
            yield f"{FILE}, {name}: says {_short(stored.get(name))}, recomputed {_short(fresh.get(name))}"
    for name in sorted(stored["tables"].keys() & fresh["tables"].keys()):
        old, new = stored["tables"][name], fresh["tables"][name]
        for part in sorted((old.keys() | new.keys()) - {"rows", "columns"}):
            if old.get(part) != new.get(part):
                yield f"table {name}, {part}: says {_short(old.get(part))}, recomputed {_short(new.get(part))}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 90 else f"{text[:89]}…"


def _of_files(folder: Path, files: Mapping[str, bytes], hashes: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(hashes.keys() - files.keys()):
        yield f"{name}: is listed but does not follow from the results"
    for part in ("figures", "tables"):
        for path in sorted((folder / part).glob("*")):
            if (name := f"{part}/{path.name}") not in files and name not in hashes:
                yield f"{name}: is not of this report"
    for name, content in sorted(files.items()):
        try:
            found = (folder / name).read_bytes()
        except OSError as error:
            yield f"{name}: cannot be read ({error.strerror})"
            continue
        if name == FILE:
            continue  # compared by what it says
        if name.endswith(ONLY_HASHED):
            if hashlib.sha256(found).hexdigest() != hashes.get(name):
                yield f"{name}: is not the file that the report was written with"
        elif name.endswith(".parquet"):
            if not _same_table(found, content):
                yield f"{name}: does not hold the table that follows from the results"
        elif found != content:
            yield f"{name}: {_first_difference(found, content)}"


def _same_table(found: bytes, content: bytes) -> bool:
    """Compare by what the files hold: their bytes depend on the version of the writer."""
    try:
        tables = [pq.read_table(pa.BufferReader(one)) for one in (found, content)]
    except (pa.ArrowException, OSError):
        return False
    return bool(tables[0].equals(tables[1], check_metadata=True))


def _first_difference(found: bytes, content: bytes) -> str:
    lines = zip(found.split(b"\n"), content.split(b"\n"), strict=False)
    for number, (was, now) in enumerate(lines, start=1):
        if was != now:
            pairs = enumerate(zip(was, now, strict=False))
            at = next((index for index, (one, other) in pairs if one != other), min(len(was), len(now)))
            return f"line {number} says {_near(was, at)}, recomputed {_near(now, at)}"
    return f"is {len(found)} bytes long, recomputed {len(content)}"


def _near(line: bytes, at: int) -> str:
    return repr(line[max(0, at - 20) : at + 20].decode(errors="replace"))
