"""Masks into class indices, naming every value that no class declares."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweeper.data.classes import ClassTable
from sweeper.data.decoding import read_colors, read_indices
from sweeper.data.pictures import Undeclared

UNDECLARED = 254
"""In the table of values: a value that means nothing. `classes.MOST_CLASSES` keeps it free."""


class MaskReader:
    """Reads masks by one class table; looks every pixel up in a table made once."""

    def __init__(self, table: ClassTable) -> None:
        self.table = table

    @cached_property
    def _meaning(self) -> NDArray[np.uint8]:
        """Class index, IGNORE or UNDECLARED of every value a pixel can have."""
        meaning = np.full(1 << 24 if self.table.mask_format == "rgb" else 1 << 16, UNDECLARED, dtype=np.uint8)
        for value, target in self.table.values.items():
            meaning[value] = target
        return meaning

    def read(self, path: Path, label: str) -> tuple[NDArray[np.uint8], Undeclared | None]:
        """Return (H, W) class indices and IGNORE, and the values that no class declares. Raises: Unusable."""
        values = read_colors(path, label) if self.table.mask_format == "rgb" else read_indices(path, label)
        # 32-bit masks may hold anything; what is beyond the table is undeclared.
        beyond = (values < 0) | (values >= len(self._meaning)) if values.dtype.itemsize > 2 else None
        mask = self._meaning[values if beyond is None else np.where(beyond, 0, values)]
        if beyond is not None:
            mask[beyond] = UNDECLARED
        unknown = values[mask == UNDECLARED]
        if not len(unknown):
            return mask, None
        found, pixels = np.unique(unknown, return_counts=True)
        written = [self.table.written(value) for value in found.tolist()]
        return mask, Undeclared(label, dict(zip(written, pixels.tolist(), strict=True)))
