"""The batches and settings of the conformance suite, in short form for the tests of single losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from sweeper.losses.conformance import batches
from sweeper.losses.conformance.batches import CLASSES, IGNORED, IMAGES, SIDE, random_batch
from sweeper.losses.conformance.cases import Case, cases, legal_ends, spread
from sweeper.losses.family import Family

__all__ = [
    "AWKWARD",
    "CLASSES",
    "IGNORED",
    "IMAGES",
    "SIDE",
    "describe",
    "dynamic_settings",
    "extremes",
    "random_batch",
    "settings",
]

Batch = tuple[Tensor, Tensor]

AWKWARD: dict[str, Callable[[], Batch]] = {name: lambda make=make: make(SIDE) for name, make in batches.AWKWARD.items()}

dynamic_settings = spread


def settings(family: Family) -> Iterator[dict[str, Any]]:
    """Yield what the suite tries of arguments of the function."""
    yield from (dict(case.values) for case in cases(family) if case.progress == 1 and not case.bare)


def extremes(family: Family) -> Iterator[dict[str, Any]]:
    """Yield both ends of what is legal, one dynamic argument at a time."""
    yield from (dict(case.values) for case in legal_ends(family) if case.progress == 1)


def describe(values: dict[str, Any]) -> str:
    return str(Case(values))
