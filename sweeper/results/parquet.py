"""Results as Parquet files, one per table, with the study's name, versions and meta data inside each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweeper.errors import ResultsError
from sweeper.results.files import replace_atomically
from sweeper.results.meta import to_json
from sweeper.results.results import Results
from sweeper.results.schema import SCHEMA_VERSION, TABLES

TRIALS_FILE = "trials.parquet"
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
    results = Results(**tables, meta=json.loads(metadata["sweeper.meta"]))
    if results.digest != stamps["trials"]:
        raise ResultsError(
            f"{folder}: these files were altered after they were written; run the same `sweeper run` again to "
            "write all, or restore a copy"
        )
    return results


def _read(path: Path, schema: pa.Schema) -> tuple[pa.Table, dict[str, str]]:
    if not path.is_file():
        raise ResultsError(f"{path}: there are no results here; give the `results` folder that `sweeper run` wrote")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise ResultsError(
            f"{path}: cannot be read as Parquet ({_first_line(error)}); write it again or restore a copy"
        ) from error
    raw: dict[bytes, bytes] = table.schema.metadata or {}
    metadata = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in raw.items()}
    written = metadata.get("sweeper.schema")
    if written is None or (written == str(SCHEMA_VERSION) and not {"sweeper.meta", "sweeper.stamp"} <= metadata.keys()):
        raise ResultsError(f"{path}: was not written by sweeper; give the `results` folder that `sweeper run` wrote")
    if written != str(SCHEMA_VERSION):
        raise ResultsError(
            f"{path}: has results schema {written}, this version of sweeper reads {SCHEMA_VERSION}; give the same "
            "`sweeper run` again, which trains nothing that is recorded and writes the results anew, or use the "
            "version named in its metadata under sweeper.versions"
        )
    table = table.replace_schema_metadata(None)
    if not table.schema.equals(schema):
        raise ResultsError(f"{path}: its columns are not those of {path.stem}; {_difference(table.schema, schema)}")
    return table, metadata


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    missing = [name for name in wanted.names if name not in found.names]
    foreign = [name for name in found.names if name not in wanted.names]
    if missing or foreign:
        return f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(foreign) or 'none'}"
    kinds = [
        f"{name} is {found.field(name).type}, not {wanted.field(name).type}"
        for name in wanted.names
        if not found.field(name).equals(wanted.field(name))
    ]
    return "; ".join(kinds) or "their order differs"


def _first_line(error: BaseException) -> Any:
    return (str(error).splitlines() or [type(error).__name__])[0]
