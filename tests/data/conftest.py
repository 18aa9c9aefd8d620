"""Folders of pictures made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .shelves import BINARY, SPLITS, Shelf, square


@pytest.fixture
def make_shelf(tmp_path: Path) -> Callable[..., Shelf]:
    """Return a function that makes a folder of four 64 x 48 pictures, each mask with one square of class 1."""

    def make(name: str = "pictures", *, stems: str = "abcd", classes: Any = None, splits: Any = SPLITS) -> Shelf:
        shelf = Shelf(tmp_path / name)
        (shelf.root / "images").mkdir(parents=True)
        (shelf.root / "masks").mkdir()
        for number, stem in enumerate(stems):
            rng = np.random.default_rng(number)
            Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(shelf.image(f"{stem}.png"))
            Image.fromarray(square(number)).save(shelf.mask(f"{stem}.png"))
        shelf.write("classes.json", {"name": "toy", "classes": BINARY if classes is None else classes})
        if splits is not None:
            shelf.write("splits.json", splits)
        return shelf

    return make


@pytest.fixture
def shelf(make_shelf: Callable[..., Shelf]) -> Shelf:
    return make_shelf()
