"""A hash of everything a study's results say: equal digests are equal results, wherever they were read from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sweeper.results.meta import to_json


def digest(meta: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> str:
    """Return the SHA-256 of all tables and the meta data, in hexadecimal."""
    found = hashlib.sha256(to_json(meta).encode())
    for name, table in tables.items():
        found.update(f"{name}:{table.num_rows}".encode())
        for field, column in zip(table.schema, table.columns, strict=True):
            found.update(f"{field.name}:{field.type}".encode())
            for part in _contents(column):
                found.update(part)
    return found.hexdigest()


def _contents(column: pa.ChunkedArray) -> Iterator[bytes]:
    """Yield what a column says and nothing else: not how it is cut, nor what memory holds where there is no value."""
    if pa.types.is_fixed_size_list(column.type):
        values = [chunk.flatten() for chunk in column.chunks]
        yield from _contents(pa.chunked_array(values, column.type.value_type))
        return
    yield pc.is_null(column).to_numpy().tobytes()
    if pa.types.is_string(column.type):
        # The dictionary lists texts in the order in which they first occur.
        coded = pc.dictionary_encode(pc.fill_null(column, "")).combine_chunks()
        for chunk in coded.chunks if isinstance(coded, pa.ChunkedArray) else [coded]:
            yield chunk.indices.to_numpy().tobytes()
            yield "\0".join(chunk.dictionary.to_pylist()).encode()
    else:
        empty = False if pa.types.is_boolean(column.type) else 0
        yield pc.fill_null(column, pa.scalar(empty, column.type)).to_numpy().tobytes()
