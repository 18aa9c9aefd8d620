"""Arrays in one Arrow file, read back without a copy: every process of a node shares the same pages of memory."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def write_table(path: Path, columns: Mapping[str, NDArray[Any]], *, notes: Mapping[str, str] | None = None) -> None:
    """Write arrays of equal length as one record batch, flushed to disk, and beside them what `read_notes` returns.

    A one-dimensional array becomes a plain number column. One of more dimensions becomes fixed-size binary, a row's
    bytes in C order and little-endian, with its dtype and shape in the field's metadata.
    """
    fields, arrays = [], []
    for name, values in columns.items():
        stored = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        if stored.ndim == 1:
            array = pa.array(stored)
            fields.append(pa.field(name, array.type, nullable=False))
        else:
            width = stored.dtype.itemsize * math.prod(stored.shape[1:])
            kind = pa.binary(width)
            array = pa.Array.from_buffers(kind, len(stored), [None, pa.py_buffer(stored)])
            metadata = {"dtype": stored.dtype.str, "shape": json.dumps(stored.shape[1:])}
            fields.append(pa.field(name, kind, nullable=False, metadata=metadata))
        arrays.append(array)
    schema = pa.schema(fields, metadata=dict(notes or {}))
    with path.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        file.flush()
        os.fsync(file.fileno())


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file that `write_table` wrote: read-only views of the memory-mapped file.

    The map stays open as long as any of the arrays lives. Raises: OSError or pyarrow.ArrowInvalid when the file is
    missing or damaged.
    """
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    columns: dict[str, NDArray[Any]] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.metadata is None:
            columns[field.name] = column.to_numpy(zero_copy_only=True)
        else:
            dtype = np.dtype(field.metadata[b"dtype"].decode())
            shape = tuple(json.loads(field.metadata[b"shape"]))
            values = np.frombuffer(column.buffers()[1], dtype=dtype, count=len(column) * math.prod(shape))
            columns[field.name] = values.reshape(len(column), *shape)
    return columns


def read_notes(path: Path) -> dict[str, str]:
    """Return the notes of a file that `write_table` wrote. Raises: as `read_table`."""
    metadata = pa.ipc.open_file(pa.memory_map(str(path))).schema.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}
