"""Numeric bounds of the sections that are plain dataclasses, as one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sweeper.study.families import Report

_WHOLE, _REAL = True, False

LIMITS: Mapping[tuple[str, str], tuple[bool, float, float, str]] = {
    ("training", "epochs"): (_WHOLE, 1, 100_000, "a whole number, 1 or more"),
    ("training", "batch_size"): (_WHOLE, 2, 65_536, "a whole number, 2 or more (batch normalization needs two)"),
    ("training", "steps_per_epoch"): (_WHOLE, 1, math.inf, "a whole number, 1 or more, or null"),
    ("training", "lr"): (_REAL, 1e-12, 1e3, "a number above 0"),
    ("training", "weight_decay"): (_REAL, 0, 1e3, "a number, 0 or more"),
    ("training", "warmup"): (_REAL, 0, 0.9, "a share of the steps between 0 and 0.9"),
    ("training", "divergence"): (_REAL, 1.0, math.inf, "a factor above 1"),
    ("model", "depth"): (_WHOLE, 3, 5, "3, 4 or 5"),
    ("data", "patch"): (_WHOLE, 32, 4096, "a multiple of 32 from 32 to 4096"),
    ("data", "limit"): (_WHOLE, 1, math.inf, "a whole number, 1 or more, or null"),
    ("data", "seed"): (_WHOLE, 0, 2**31 - 1, "a whole number from 0 to 2147483647"),
    ("data", "scans"): (_WHOLE, 5, 100_000, "a whole number from 5 to 100000"),
    ("data", "height"): (_WHOLE, 32, 16_384, "a whole number of pixels from 32 to 16384"),
    ("data", "width"): (_WHOLE, 32, 16_384, "a whole number of pixels from 32 to 16384"),
    ("data", "wear"): (_REAL, 0, 3, "a number from 0 to 3"),
}
"""(section, key) -> (whole number, least, most, in words)."""


def check_limits(raw: Mapping[Any, Any], report: Report) -> None:
    """Report every value of the raw study of the wrong type or out of its bounds; null is left to the schema."""
    for (section, key), (whole, least, most, words) in LIMITS.items():
        part = raw.get(section)
        if not isinstance(part, Mapping) or part.get(key) is None or isinstance(part[key], Mapping):
            continue
        value = part[key]
        right = f"it must be {words}"
        if isinstance(value, bool) or not isinstance(value, int | float) or (whole and not isinstance(value, int)):
            report((section, key), f"{value!r} is not {'a whole number' if whole else 'a number'}", right)
        elif not least <= value <= most:
            report((section, key), f"{value} is out of range", right)
        elif (section, key) == ("data", "patch") and value % 32:
            report((section, key), f"{value} is not a multiple of 32", right)
