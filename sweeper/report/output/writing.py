"""Numbers and names as a reader sees them, the same in text, tables and charts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sweeper.report.inference.statistics import Interval

MISSING = "–"
"""Where there is no number."""


def percent(level: float) -> str:
    """Write a background fraction as a percentage, 0.995 as 99.5 %; the space does not break.

    Where the foreground is below one percent, it keeps two digits of what is left: 0.99995 is 99.995 %, not 100 %.
    """
    foreground = 100 * (1 - level)
    if not 0 < foreground < 1:
        return f"{level * 100:.4g}\u00a0%"
    places = 1 - math.floor(math.log10(foreground))
    return f"{level * 100:.{places}f}".rstrip("0").rstrip(".") + "\u00a0%"


def whole(share: float) -> str:
    """Write a share in whole percent, never 0 or 100 for what is not none or all; a dash where there is none."""
    if share != share:
        return MISSING
    if 0 < share < 0.01:
        return "under 1\u00a0%"
    if 0.99 < share < 1:
        return "over 99\u00a0%"
    return f"{100 * share:.0f}\u00a0%"


def digits(value: float | None, places: int = 3, *, sign: bool = False) -> str:
    """Write a number with a true minus, a dash where there is none."""
    if value is None or value != value:
        return MISSING
    written = f"{value:+.{places}f}" if sign else f"{value:.{places}f}"
    return written.replace("-", "−")


def p_value(p: float) -> str:
    """Write a p-value, `p = 0.031`, with spaces that do not break; none is ever written as 0."""
    return ("p < 0.001" if p < 0.001 else f"p = {p:.3f}").replace(" ", "\u00a0")


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
