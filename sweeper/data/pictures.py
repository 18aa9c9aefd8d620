"""What a source of data is: named pictures with masks, split three ways, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import ClassInfo, SplitName


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture with its mask. H x W pixels, K channels, C classes."""

    image: NDArray[np.uint8]
    """(H, W, K)."""
    mask: NDArray[np.uint8]
    """(H, W), class index or IGNORE."""
    curves: NDArray[np.float32] | None = None
    """(C, H), as in `Split.curves`; None where pictures are no logs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One file that cannot be used: which, what is wrong, and what would be right."""

    file: str
    wrong: str
    fix: str
    damaged: bool = False
    """The file's content is broken, so that nothing can read it. Not so where the machine failed to read it, or where
    it can be read and is wrong."""

    def __str__(self) -> str:
        return f"{self.file}: {self.wrong}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A mask with values that no class declares."""

    file: str
    values: Mapping[str, int]
    """The value as the user would write it (`7`, `#8429F6`), and how many pixels have it."""


class Unusable(Exception):
    """A file that cannot be used, and why. Never leaves `sweeper.data`: all of them are gathered into one DataError."""

    def __init__(self, *faults: Fault | Undeclared) -> None:
        super().__init__(*faults)
        self.faults = faults


def in_one_line(error: Exception) -> str:
    """Return what an exception says, with its kind unless that is one a person need not know."""
    says = str(error).strip().splitlines()
    if not says:
        return type(error).__name__
    return says[0] if isinstance(error, (OSError, ValueError, SyntaxError)) else f"{type(error).__name__}: {says[0]}"


class Source(Protocol):
    """Where pictures come from. Picklable, so that pictures can be read in several processes."""

    @property
    def name(self) -> str:
        """What to call the data in a report."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]: ...

    @property
    def splits(self) -> Mapping[SplitName, tuple[str, ...]]:
        """Names of the pictures of each split, in the order they are kept."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is already known to be wrong without reading a picture."""

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of pictures that are in no split."""

    @property
    def declared_in(self) -> str:
        """Where the classes are declared, for messages."""

    @property
    def track_width(self) -> int | None:
        """Pixels across a log's track, which spans the whole picture; None where pictures are no logs."""

    @property
    def seconds(self) -> float:
        """About how long one core takes to read all pictures: whether more than one process is worth starting."""

    def identity(self) -> object:
        """Return plain data that differs whenever the pictures may differ, without reading them."""

    def read(self, stem: str) -> Picture:
        """Read one picture. Raises: Unusable, with everything wrong with it."""
