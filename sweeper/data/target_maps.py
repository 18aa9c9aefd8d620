"""Target maps of the training patches, computed once per data set and kept beside them.

In a prepared folder, `cache/<fingerprint>`:

    maps/<name>.v<version>.arrow     one row per training patch, and the SHA-256 of all of them

A map is that of the patch as the loss sees it, not a piece of the whole picture's: a region that goes on beyond the
patch ends at its edge, and so do the distances. What lies beyond a picture's edge is ignored like any ignored pixel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sweeper.data.cache import scratch, size_words, writing_to
from sweeper.data.parallel import usable_cores
from sweeper.data.patches import Prepared
from sweeper.data.prepare import Progress
from sweeper.data.store import read_notes, read_table, write_table
from sweeper.files import sync_folder
from sweeper.maps.kinds import KINDS, compute_map

CHUNK_BYTES = 8 * 2**20
"""Of map computed at a time by one thread: memory holds two of these per thread."""

CHECKSUM = "sha256"
"""Note in a map's file: of its values, in C order and little-endian."""


def with_maps(
    prepared: Prepared,
    names: Iterable[str],
    folder: Path,
    *,
    verify: bool = True,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Prepared:
    """Return the data with these target maps of its training patches, from `folder` or computed and kept there.

    May be stopped at any moment, and run several times at once: a map appears in `folder` only when it is complete. One
    that is damaged is computed anew.

    Args:
        prepared: What `prepare` or `load` returned.
        names: Keys of `maps.kinds.KINDS`.
        folder: Of the prepared data, `cache / fingerprint`.
        verify: Whether a map found in `folder` is read through and compared with its checksum, once for all that share
            it; False only maps it, which takes no time.
        progress: Called with how many patches have the map, how many there are, and its name.
        workers: Threads; None is one per core.

    Raises: DataError when a map cannot be written.
    """
    train = prepared.splits["train"]
    maps = dict(train.maps)
    for name in names:
        if name not in maps:
            maps[name] = _map(name, train.masks, len(prepared.classes), folder / "maps", verify, progress, workers)
    return dataclasses.replace(prepared, splits={**prepared.splits, "train": dataclasses.replace(train, maps=maps)})


def _map(
    name: str,
    masks: NDArray[np.uint8],
    classes: int,
    folder: Path,
    verify: bool,
    progress: Progress | None,
    workers: int | None,
) -> NDArray[Any]:
    path = folder / f"{name}.v{KINDS[name].version}.arrow"
    first = compute_map(name, masks[0], classes)
    shape = (len(masks), *first.shape)
    found = _read(path, verify)
    if found is not None and (found.shape, found.dtype) == (shape, first.dtype):
        return found
    with writing_to(folder, f"the target map {name}, {size_words(len(masks) * first.nbytes)}, twice"):
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, ".computing-") as work:
            chunk = max(1, CHUNK_BYTES // first.nbytes)
            done = 0
            checksum = hashlib.sha256()
            with (work / "raw").open("wb") as raw, closing(_chunks(name, masks, classes, chunk, workers)) as chunks:
                for part in chunks:
                    part.tofile(raw)
                    checksum.update(part.data)
                    done += len(part)
                    if progress is not None:
                        progress(done, len(masks), f"target map {name}")
            values = np.memmap(work / "raw", dtype=first.dtype, mode="r", shape=shape)
            write_table(work / "map", {"map": values}, notes={CHECKSUM: checksum.hexdigest()})
            os.replace(work / "map", path)
            sync_folder(folder)
    return read_table(path)["map"]


def _chunks(
    name: str, masks: NDArray[np.uint8], classes: int, chunk: int, workers: int | None
) -> Generator[NDArray[Any], None, None]:
    """Yield the map of all patches in order, `chunk` patches at a time.

    Threads, not processes: most of the time is spent in scipy, which lets go of the interpreter, and nothing has to be
    started or piped.
    """

    def compute(start: int) -> NDArray[Any]:
        return np.stack([compute_map(name, mask, classes) for mask in masks[start : start + chunk]])

    threads = workers or usable_cores()
    pool = ThreadPoolExecutor(threads)
    try:
        flying: deque[Future[NDArray[Any]]] = deque()
        for start in range(0, len(masks), chunk):
            flying.append(pool.submit(compute, start))
            if len(flying) > 2 * threads:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(path: Path, verify: bool) -> NDArray[Any] | None:
    """Return the map in a file, or None where there is none that can be read, or that is what was written."""
    try:
        values = read_table(path)["map"]
        if verify and read_notes(path).get(CHECKSUM) != _checksum(values):
            return None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid):
        return None
    return values


def _checksum(values: NDArray[Any]) -> str:
    checksum = hashlib.sha256()
    for row in values:  # one by one, so that it can be stopped
        checksum.update(row)
    return checksum.hexdigest()
