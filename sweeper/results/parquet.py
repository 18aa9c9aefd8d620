"""Results as Parquet files, one per table, with the study's name, versions and meta data inside each."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sweeper.errors import ResultsError
from sweeper.results.check import faults
from sweeper.results.files import replace_atomically
from sweeper.results.meta import to_json
from sweeper.results.results import Results
from sweeper.results.schema import SCHEMA_VERSION, TABLES

TRIALS_FILE = "trials.parquet"
MOST_FAULTS = 10
"""Named in one message."""
MOST_BYTES = 8 << 30
"""Memory that a table may take. A study of 10,000 trials takes a tenth of it."""
FILES = {name: f"{name}.parquet" for name in TABLES}


def save(results: Results, folder: Path) -> tuple[Path, ...]:
    """Write a file per table, `trials.parquet` the last; each appears whole or not at all. Returns their paths.

    Raises: ResultsError when the folder cannot be written.
    """
    # Every file carries the digest of all: a crash between two writes cannot pass for a result.
    metadata = {
        "sweeper.schema": str(SCHEMA_VERSION),
        "sweeper.study": str(results.meta.get("study", {}).get("name", "")),
        "sweeper.versions": json.dumps(results.meta.get("versions", {}), sort_keys=True),
        "sweeper.meta": to_json(results.meta),
        "sweeper.stamp": results.digest,
    }
    for name, table in reversed(results.tables.items()):
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
        replace_atomically(folder / FILES[name], sink.getvalue().to_pybytes())
    return tuple(folder / file for file in FILES.values())


def load(path: str | os.PathLike[str]) -> Results:
    """Read what `save` wrote, given its folder or the path of its `trials.parquet`.

    Raises: ResultsError naming the file and what is wrong with it.
    """
    folder = Path(path)
    if folder.name in FILES.values():
        folder = folder.parent
    if not folder.is_dir():
        raise ResultsError(f"{folder}: there is no such folder; give the `results` folder that `sweeper run` wrote")
    tables: dict[str, pa.Table] = {}
    stamps: dict[str, str] = {}
    for name, file in FILES.items():
        tables[name], metadata = _read(folder / file, TABLES[name])
        stamps[name] = metadata["sweeper.stamp"]
        if stamps[name] != stamps["trials"]:
            raise ResultsError(
                f"{folder}: {TRIALS_FILE} and {file} were written at different times and do not belong together; "
                "run the same `sweeper run` again to write all"
            )
    results = Results(**tables, meta=_meta(folder / TRIALS_FILE, metadata["sweeper.meta"]))
    if results.digest != stamps["trials"]:
        raise ResultsError(
            f"{folder}: these files were altered after they were written; run the same `sweeper run` again to "
            "write all, or restore a copy"
        )
    wrong = list(islice(faults(results), MOST_FAULTS))
    if wrong:
        raise ResultsError(
            f"{folder}: these are no results of a study: {'; '.join(wrong)}; give the `results` folder that "
            "`sweeper run` wrote"
        )
    return results


def _meta(path: Path, text: str) -> dict[str, Any]:
    try:
        meta = json.loads(text, parse_constant=_no_number)
        json.dumps(meta, ensure_ascii=False, allow_nan=False).encode()  # no half characters, no endless numbers
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise ResultsError(f"{path}: its metadata sweeper.meta is no JSON; write it again or restore a copy")
    return meta


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _read(path: Path, schema: pa.Schema) -> tuple[pa.Table, dict[str, str]]:
    if not path.is_file():
        raise ResultsError(f"{path}: there are no results here; give the `results` folder that `sweeper run` wrote")
    try:
        with pq.ParquetFile(path) as file:
            found, rows = file.schema_arrow, file.metadata.num_rows
        raw: dict[bytes, bytes] = found.metadata or {}
        metadata = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in raw.items()}
        _check_schema(path, found, schema, metadata)
        if rows * _width(schema) > MOST_BYTES:
            raise _too_large(path)
        with pq.ParquetFile(path, read_dictionary=_texts(schema)) as file:
            table = file.read()
        if sum(_length(table[name]) for name in _texts(schema)) > MOST_BYTES:
            raise _too_large(path)
        table = table.replace_schema_metadata(None).cast(schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, MemoryError, OverflowError) as error:
        raise ResultsError(
            f"{path}: cannot be read as Parquet ({_first_line(error)}); write it again or restore a copy"
        ) from error
    return table, metadata


def _check_schema(path: Path, found: pa.Schema, schema: pa.Schema, metadata: dict[str, str]) -> None:
    """Raise ResultsError unless a file says that it holds the table `schema`."""
    written = metadata.get("sweeper.schema")
    if written is None or (written == str(SCHEMA_VERSION) and not {"sweeper.meta", "sweeper.stamp"} <= metadata.keys()):
        raise ResultsError(f"{path}: was not written by sweeper; give the `results` folder that `sweeper run` wrote")
    if written != str(SCHEMA_VERSION):
        raise ResultsError(
            f"{path}: has results schema {_brief(written)}, this version of sweeper reads {SCHEMA_VERSION}; give the "
            "same `sweeper run` again, which trains nothing that is recorded and writes the results anew, or use the "
            "version named in its metadata under sweeper.versions"
        )
    if not found.equals(schema):
        raise ResultsError(f"{path}: its columns are not those of {path.stem}; {_difference(found, schema)}")


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


def _width(schema: pa.Schema) -> int:
    """Return how many bytes a row takes in memory, without what its texts say."""
    widths = 0
    for field in schema:
        listed = pa.types.is_fixed_size_list(field.type)
        single = field.type.value_type if listed else field.type
        bits = 32 if pa.types.is_string(single) else single.bit_width
        widths += max(8, bits) // 8 * (field.type.list_size if listed else 1)
    return widths


def _length(column: pa.ChunkedArray) -> int:
    """Return how many bytes a column of texts takes once each is written out: a short file may repeat a long one."""
    total = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        total += pc.sum(pc.take(pc.cast(lengths, pa.int64()), chunk.indices)).as_py() or 0
    return total


def _too_large(path: Path) -> ResultsError:
    return ResultsError(f"{path}: would take more than {MOST_BYTES >> 30} GiB of memory; is it the right file?")


def _brief(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:17]}..."


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    missing = [name for name in wanted.names if name not in found.names]
    foreign = [_brief(name) for name in found.names if name not in wanted.names]
    if missing or foreign:
        shown = [*foreign[:MOST_FAULTS], *(["..."] if len(foreign) > MOST_FAULTS else [])]
        return f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(shown) or 'none'}"
    if len(found) > len(wanted):
        return "a column stands twice"
    kinds = [
        f"{name} is {found.field(name).type}, not {wanted.field(name).type}"
        for name in wanted.names
        if not found.field(name).equals(wanted.field(name))
    ]
    return "; ".join(kinds) or "their order differs"


def _first_line(error: BaseException) -> Any:
    return (str(error).splitlines() or [type(error).__name__])[0]
