"""Predictions in a folder, as a run keeps them, for made-up studies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweeper.results.pictures import Patches, Predicted, patches_file, predicted_file, save
from sweeper.results.results import Results
from sweeper.results.schema import SCORES

SIDE = 16
ROWS = 40
TRUE = {"curve 1": 0.95, "curve 2": 0.5}
"""Where the curves of every scan are; curve 1 moves over the edge of the track half-way down."""


def truths(patches: int) -> np.ndarray:
    """A column of class 1 that grows with the patch's number, a dot of class 2, and an ignored edge."""
    masks = np.zeros((patches, SIDE, SIDE), dtype=np.uint8)
    for number, mask in enumerate(masks):
        mask[: 2 + number, 3] = 1
        mask[9, 9] = 2
        mask[:, -1] = 255
    return masks


def objects(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.zeros(masks.shape, dtype=np.int32)
    for place, mask in enumerate(masks):
        numbers[place][mask == 1] = 2 * place + 1
        numbers[place][mask == 2] = 2 * place + 2
    return numbers, np.bincount(numbers.ravel())[1:].astype(np.int64)


def keep_patches(results: Results, folder: Path, *, patches: int = 5, scans: int = 0, available: int = 0) -> Patches:
    folder.mkdir(exist_ok=True, parents=True)
    masks = truths(patches)
    numbers, sizes = objects(masks)
    rng = np.random.default_rng(0)
    kept = Patches(
        pool=np.array("pool"),
        images=rng.integers(0, 256, (patches, SIDE, SIDE, 1), dtype=np.uint8),
        truths=masks,
        objects=numbers,
        object_pixels=sizes,
        stems=np.array([f"log_{number:02d}" for number in range(patches)]),
        row=np.arange(patches, dtype=np.int32) * SIDE,
        col=np.zeros(patches, dtype=np.int32),
        available=np.array(max(patches, available)),
        scans=np.array([f"log_{number:02d}" for number in range(scans)], dtype=np.str_),
        curve_classes=np.array([1, 2] if scans else [], dtype=np.int64),
        curves=np.stack([curves()] * scans) if scans else np.empty((0, 0, 0), dtype=np.float32),
    )
    save(kept, patches_file(folder, results.meta["data"]["fingerprint"]))
    return kept


def curves() -> np.ndarray:
    """(2, ROWS), the true curves of a scan."""
    positions = np.repeat(np.array(list(TRUE.values()), dtype=np.float32)[:, None], ROWS, axis=1)
    positions[0, ROWS // 2 :] = 0.05
    positions[1, :4] = np.nan
    return positions


def tuned(results: Results, *, seed: int = 1000) -> dict[tuple[str, float], str]:
    """The keys of the tuned confirm trials of one seed."""
    return {
        (row["family"], row["level"]): row["key"]
        for row in results.trials.to_pylist()
        if row["stage"] == "confirm" and row["is_tuned"] and row["seed"] == seed
    }


def keep_predictions(
    patches: Patches, folder: Path, key: str, *, missed: int = 0, alarms: int = 0, off: float = 0.0, blind: bool = False
) -> None:
    """Keep the truth as a prediction, but for `missed` pixels of every column, `alarms` beside it, curves `off`.

    With `blind` no dot is found.
    """
    classes = np.where(patches.truths == 255, 0, patches.truths).astype(np.uint8)
    classes[:, :missed, 3] = 0
    classes[:, :alarms, 5] = 1
    if blind:
        classes[:, 9, 9] = 0
    positions = (patches.curves + np.float32(off)) % 1
    save(Predicted(pool=patches.pool, classes=classes, curves=positions), predicted_file(folder, key))


def keep_all(results: Results, folder: Path, *, levels: Sequence[float] | None = None, **more: int) -> Patches:
    """Keep predictions of the first seed of every family: family n misses n pixels and has n false alarms."""
    patches = keep_patches(results, folder, **more)
    for number, (name, key) in enumerate(sorted(tuned(results).items())):
        if levels is None or name[1] in levels:
            keep_predictions(patches, folder, key, missed=number % 3, alarms=number % 5, off=0.01 * (number % 4))
    return patches


def with_curve_errors(results: Results, errors: dict[str, float], *, grows: float = 0.0) -> Results:
    """Add curve errors per scan: those given for the first family, `grows` more for each further one."""
    keys = tuned(results)
    families = list(results.meta["families"])
    rows = [
        (key, "test", "argmax", stem, klass, "curve_mae", error + grows * families.index(family))
        for (family, _), key in keys.items()
        for stem, error in errors.items()
        for klass in TRUE
    ]
    added = pa.table(dict(zip(SCORES.names, zip(*rows, strict=True), strict=True)), schema=SCORES)
    return dataclasses.replace(results, scores=pa.concat_tables([results.scores, added]))
