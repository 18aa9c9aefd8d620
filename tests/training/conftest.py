"""Small data sets drawn in memory: thin lines on noise, cut into patches like the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sweeper.data.patches import SPLITS, ClassInfo, Prepared, Split
from sweeper.data.settings import IGNORE
from sweeper.training.trial import ModelSettings, TrainingSettings, Trial

SMALL = ModelSettings(depth=3, decoder_channels=(16, 8, 8))


def draw_scan(rng: np.random.Generator, rows: int, cols: int, patch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image (rows, cols, 1), its mask (rows, cols) and its curves' positions (3, rows).

    Two lines, two pixels wide, on noise; they leave the last `patch` rows empty, so that some patches hold none.
    """
    image = rng.normal(170, 25, size=(rows, cols))
    mask = np.zeros((rows, cols), dtype=np.uint8)
    curves = np.full((3, rows), np.nan, dtype=np.float32)
    for klass, ink in ((1, 20), (2, 90)):
        middle = (rng.uniform(0, cols) + 0.2 * cols * np.sin(np.arange(rows) / rng.uniform(8, 15))) % cols
        for row in range(rows - patch):
            covered = [int(middle[row]) % cols, (int(middle[row]) + 1) % cols]
            image[row, covered], mask[row, covered] = ink, klass
            curves[klass, row] = ((covered[0] + 1) / cols) % 1.0
    return image.clip(0, 255).astype(np.uint8)[..., None], mask, curves


def cut(name: str, scans: list[tuple[np.ndarray, np.ndarray, np.ndarray]], patch: int, channels: int) -> Split:
    images, masks, picture, row, col = [], [], [], [], []
    rows, cols = scans[0][1].shape
    for number, (image, mask, _) in enumerate(scans):
        padded = np.pad(image, ((0, -rows % patch), (0, -cols % patch), (0, 0)), mode="edge")
        truth = np.pad(mask, ((0, -rows % patch), (0, -cols % patch)), constant_values=IGNORE)
        for top in range(0, rows, patch):
            for left in range(0, cols, patch):
                images.append(np.repeat(padded[top : top + patch, left : left + patch], channels, axis=2))
                masks.append(truth[top : top + patch, left : left + patch])
                picture.append(number)
                row.append(top)
                col.append(left)
    stack = np.stack(masks)
    arrays = {
        "images": np.stack(images),
        "masks": stack,
        "counts": np.stack([(stack == klass).sum(axis=(1, 2)) for klass in range(3)], axis=1).astype(np.int64),
        "picture": np.array(picture, dtype=np.int32),
        "row": np.array(row, dtype=np.int32),
        "col": np.array(col, dtype=np.int32),
        "curves": np.stack([curves for _, _, curves in scans]),
    }
    for array in arrays.values():
        array.setflags(write=False)  # as memory-mapped data is
    stems = tuple(f"{name}_{number}" for number in range(len(scans)))
    return Split(name=name, stems=stems, track_width=cols, **arrays)  # type: ignore[arg-type]


def draw_data(
    *, scans: int = 3, rows: int = 128, cols: int = 80, patch: int = 32, channels: int = 1, seed: int = 0
) -> Prepared:
    rng = np.random.default_rng(seed)
    splits = {
        name: cut(name, [draw_scan(rng, rows, cols, patch) for _ in range(scans)], patch, channels) for name in SPLITS
    }
    pixels = splits["train"].images.reshape(-1, channels).astype(np.float64)
    return Prepared(
        fingerprint=f"drawn-{seed}",
        name="lines on noise",
        classes=tuple(
            ClassInfo(index, name, color)
            for index, (name, color) in enumerate(
                [("background", "#ffffff"), ("curve_1", "#1f77b4"), ("curve_2", "#d62728")]
            )
        ),
        background=0,
        minority=(1, 2),
        patch=patch,
        mean=tuple(pixels.mean(axis=0)),
        std=tuple(pixels.std(axis=0)),
        splits=splits,
    )


@pytest.fixture(scope="session")
def data() -> Prepared:
    return draw_data()


@pytest.fixture(scope="session")
def make_data() -> Callable[..., Prepared]:
    return draw_data


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Make a trial of few steps; keyword arguments are those of Trial and of TrainingSettings."""

    def make(family: str = "cross_entropy", **changes: Any) -> Trial:
        schedule = {"epochs": 2, "batch_size": 4, "steps_per_epoch": 3, "lr": 3e-3, "precision": "fp32"}
        schedule |= {name: changes.pop(name) for name in list(changes) if name in TrainingSettings.__dataclass_fields__}
        fields = {"key": "k", "hyperparameters": {}, "level": 0.96, "seed": 0, "stage": "search", "model": SMALL}
        return Trial(family=family, training=TrainingSettings(**schedule), **(fields | changes))

    return make
