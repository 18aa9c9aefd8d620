"""A hash of everything a study's results say: equal digests are equal results, wherever they were read from."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from sweeper.results.meta import to_json
from sweeper.results.results import Results


def digest(results: Results) -> str:
    """Return the SHA-256 of all tables and the meta data, in hexadecimal."""
    found = hashlib.sha256(to_json(results.meta).encode())
    for table in results.tables.values():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            # Chunks are a matter of how a table came about.
            writer.write_table(table.combine_chunks())
        found.update(sink.getvalue())
    return found.hexdigest()
