"""Keeps artefacts beside the prepared data, so that a data set's are trained once.

<folder>/artefacts/<name>.v<version>.npz    arrays, and the report as JSON under `report`, with a digest of the arrays
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.cache import writing_to
from sweeper.data.patches import Prepared
from sweeper.data.settings import IGNORE
from sweeper.files import write_bytes
from sweeper.losses.needs import ARTEFACT_VERSIONS
from sweeper.training.artefacts.build import STEPS, Artefact, build, digest, spread
from sweeper.training.artefacts.learn import Progress

VERSIONS = ARTEFACT_VERSIONS
"""Of the files; part of a trial's identity too, and so kept with what losses need."""

_REPORT = "report"


def with_artefacts(
    prepared: Prepared,
    names: Iterable[str],
    folder: Path | None,
    *,
    seed: int = 0,
    device: str = "cpu",
    steps: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Return the data with these artefacts, from `folder` or trained and kept there.

    May be stopped at any moment, and run several times at once: a file appears when it is complete. One that is
    damaged, or was trained on other data or in another way, is trained anew.

    Args:
        prepared: Its training masks are what the artefacts are trained on.
        names: Of `losses.needs.ARTEFACTS`.
        folder: Of the prepared data, `cache / fingerprint`; None keeps nothing.
        seed: Of the training.
        device: A torch device to train on.
        steps: Of the optimizer; None for each artefact's own number.
        progress: Called with the steps done, those in all, and the name.

    Raises: LossError when the training masks cannot teach an artefact; DataError when the disk refuses.
    """
    found = {name: _one(prepared, name, folder, seed, device, steps, progress).arrays for name in dict.fromkeys(names)}
    return dataclasses.replace(prepared, artefacts={**prepared.artefacts, **found})


def reports(folder: Path, names: Iterable[str]) -> dict[str, dict[str, float | int | str]]:
    """Return the report of each artefact that `folder` keeps, by name; see `build.Artefact`."""
    found = {name: _read(_path(folder, name), name) for name in names}
    return {name: dict(artefact.report) for name, artefact in found.items() if artefact is not None}


def _one(
    prepared: Prepared,
    name: str,
    folder: Path | None,
    seed: int,
    device: str,
    steps: int | None,
    progress: Progress | None,
) -> Artefact:
    trained_on: dict[str, float | int | str] = {"fingerprint": prepared.fingerprint, "background": prepared.background}
    wanted = {**trained_on, "seed": seed, "steps": STEPS.get(name) if steps is None else steps}
    if folder is not None:
        kept = _read(_path(folder, name), name)
        if kept is not None and all(kept.report.get(key) == value for key, value in wanted.items()):
            return kept
    train = prepared.splits["train"]
    # The counts know which masks have foreground, so that the others are never read.
    foreground = np.delete(train.counts, prepared.background, axis=1).any(axis=1)
    chosen = spread(np.flatnonzero(foreground), train.masks.shape[1:])
    artefact = build(
        name,
        background_first(prepared, chosen),
        len(prepared.classes),
        pictures=train.picture[chosen],
        seed=seed,
        device=device,
        steps=steps,
        progress=progress,
    )
    artefact = dataclasses.replace(artefact, report={**artefact.report, **trained_on})
    if folder is not None:
        path = _path(folder, name)
        with writing_to(path.parent, "a trained network, a few megabytes"):
            write_bytes(path, _packed(artefact))
    return artefact


def background_first(prepared: Prepared, chosen: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return the training masks at `chosen` with the classes as losses see them: the background as 0, then the others.

    Args:
        chosen: (N,), indices; no other mask is read.
    """
    order = [prepared.background, *(each.index for each in prepared.classes if each.index != prepared.background)]
    place = np.full(256, IGNORE, dtype=np.uint8)
    place[order] = np.arange(len(order))
    masks: NDArray[np.uint8] = place[prepared.splits["train"].masks[chosen]]
    return masks


def _path(folder: Path, name: str) -> Path:
    return folder / "artefacts" / f"{name}.v{VERSIONS.get(name, 0)}.npz"


def _packed(artefact: Artefact) -> memoryview:
    report = np.frombuffer(json.dumps(dict(artefact.report)).encode(), dtype=np.uint8)
    packed = io.BytesIO()
    arrays: dict[str, Any] = {**artefact.arrays, _REPORT: report}
    np.savez(packed, **arrays)
    return packed.getbuffer()


def _read(path: Path, name: str) -> Artefact | None:
    """Return what is kept at `path`, or None when there is nothing, or nothing that can be read."""
    try:
        # From memory: of a damaged archive NumPy would leave the file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            arrays = {key: kept[key] for key in kept.files}
        report = json.loads(arrays.pop(_REPORT).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    whole = isinstance(report, dict) and report.get("digest") == digest(arrays)
    return Artefact(name, arrays, report) if whole else None
