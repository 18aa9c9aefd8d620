"""Durations in the unit people read."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return seconds as `42 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
