"""Small folders of pictures made on the spot, and the real data sets where they are at hand."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.data.settings import Folder

REAL = Path(os.environ.get("SWEEPER_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

BINARY = [{"index": 0, "name": "background", "color": "#000000"}, {"index": 1, "name": "crack", "color": "#ff0000"}]
SPLITS = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}


@dataclass
class Shelf:
    """A folder with images/, masks/, classes.json and splits.json."""

    root: Path

    def image(self, name: str) -> Path:
        return self.root / "images" / name

    def mask(self, name: str) -> Path:
        return self.root / "masks" / name

    def write(self, name: str, data: object) -> Path:
        path = self.root / name
        path.write_text(json.dumps(data))
        return path

    def settings(self, **changes: Any) -> Folder:
        given: dict[str, Any] = {
            "source": "folder",
            "images": str(self.root / "images"),
            "masks": str(self.root / "masks"),
            "classes": str(self.root / "classes.json"),
            "splits": str(self.root / "splits.json"),
            "patch": 32,
        }
        return Folder(**{**given, **changes})


def square(number: int = 0, value: int = 1) -> np.ndarray:
    """Return a (48, 64) mask of 0 with a 10 x 10 square of `value`, whose place depends on `number`."""
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[5:15, 3 + number : 13 + number] = value
    return mask


def real(name: str) -> Path:
    """Return the folder of a real data set, or skip the test."""
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"the {name} data set is not at hand (SWEEPER_TEST_DATA names the folder that holds it)")
    return folder
