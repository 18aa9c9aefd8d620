"""Where names stand beside their points without covering one another, worked out in pixels before a chart is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Align = Literal["left", "center", "right"]

LINE = 15.0
"""Height of a line of text of 12 pixels."""
POINT = 7.0
"""Half the width of a point."""
RINGS = (13.0, 24.0, 36.0, 50.0, 66.0, 84.0, 104.0)
"""Distances from a point at which a name is tried."""
TURNS = 16
"""Directions in which it is tried."""


class Box(NamedTuple):
    """A rectangle, y growing downward."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the area both share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is anchored, at the middle of its height."""

    x: float
    y: float
    align: Align
    """Which part of the name is at `x`."""
    box: Box
    distance: float
    """From its point; beyond the first ring a line should join the two."""


def width(name: str) -> float:
    """Estimate the width of a text of 12 pixels; wide scripts and emoji take twice as much."""
    return sum(13.0 if ord(letter) > 0x2E7F else 7.0 for letter in name)


def place(
    names: Sequence[str], points: Sequence[tuple[float, float]], size: tuple[float, float], lines: Sequence[Box] = ()
) -> list[Place]:
    """Place a name beside every one of its points.

    Every name takes the free place nearest to its point; where none is free, the one that covers least. Names with the
    closest neighbors choose first. Equal input gives equal places.

    Args:
        names: The first of them belong to `points` in order; points beyond them have no name but must stay free.
        points: In pixels from the top left.
        size: Width and height of the panel, which names do not leave while there is room inside.
        lines: Thin boxes, such as intervals, that had better stay free too.
    """
    panel = Box(0, 0, *size)
    marks = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    taken: list[Box] = []
    found: dict[int, Place] = {}
    for index in _closest_first(points):
        if index >= len(names):
            continue
        candidates = _candidates(points[index], width(names[index]))
        best = min(candidates, key=lambda one: _cost(one, panel, taken, marks, lines))
        taken.append(best.box)
        found[index] = best
    return [found[index] for index in range(len(names))]


def _cost(one: Place, panel: Box, taken: Sequence[Box], marks: Sequence[Box], lines: Sequence[Box]) -> float:
    outside = one.box.area - one.box.overlap(panel)
    hidden = sum(one.box.overlap(other) for other in (*taken, *marks))
    crossed = sum(one.box.overlap(other) for other in lines)
    # A pixel of another name hidden weighs as much as a name far away; of a line, far less.
    return 20 * hidden + 20 * outside + 0.4 * crossed + one.distance


def _candidates(point: tuple[float, float], wide: float) -> list[Place]:
    found = []
    for ring in RINGS:
        # From the right of the point round, so that among equals the right side wins.
        for turn in np.arange(TURNS) * 2 * np.pi / TURNS:
            across, down = float(np.cos(turn)), float(np.sin(turn))
            align: Align = "left" if across > 0.3 else "right" if across < -0.3 else "center"
            x, y = point[0] + ring * across, point[1] + ring * down
            left = x - {"left": 0.0, "center": wide / 2, "right": wide}[align]
            found.append(Place(x, y, align, Box(left, y - LINE / 2, left + wide, y + LINE / 2), ring))
    return found


def _closest_first(points: Sequence[tuple[float, float]]) -> list[int]:
    where = np.asarray(points, np.float64).reshape(-1, 2)
    apart = np.linalg.norm(where[:, None] - where[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(axis=1) if len(where) > 1 else np.zeros(len(where))
    return [int(index) for index in np.argsort(nearest, kind="stable")]
