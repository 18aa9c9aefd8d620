"""Numbers and names as a reader sees them, the same in text, tables and charts."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.report.statistics import Interval

MISSING = "–"
"""Where there is no number."""


def percent(level: float) -> str:
    """Write a background fraction as a percentage, 0.995 as 99.5 %; the space does not break."""
    return f"{level * 100:.4g}\u00a0%"


def digits(value: float | None, places: int = 3, *, sign: bool = False) -> str:
    """Write a number with a true minus, a dash where there is none."""
    if value is None or value != value:
        return MISSING
    written = f"{value:+.{places}f}" if sign else f"{value:.{places}f}"
    return written.replace("-", "−")


def number(score: Interval, *, sign: bool = False) -> str:
    """Write `mean [low, high]`; a dash where nothing is defined."""
    return f"{digits(score.mean, sign=sign)} {bounds(score, sign=sign)}".rstrip()


def bounds(score: Interval, places: int = 3, *, sign: bool = False) -> str:
    """Write the ends of an interval, `[low, high]`; nothing where it has none."""
    if score.mean != score.mean or score.low != score.low:
        return ""
    return f"[{digits(score.low, places, sign=sign)}, {digits(score.high, places, sign=sign)}]"


def signed(difference: Interval) -> str:
    """Write a difference with its interval, every number with its sign."""
    return number(difference, sign=True)


def listed(names: Iterable[str], most: int = 8) -> str:
    """Write names as `a, b and c`, the last ones as a number where there are more than `most`."""
    items = list(names)
    if len(items) > most:
        items = [*items[:most], f"{len(items) - most} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def text(value: object) -> str:
    """Write any single value: a float in four digits, nothing as a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return MISSING
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return str(value)
