"""Losses that look at a region's edge: distances to it, its contour, its neighbourhood."""

from __future__ import annotations

from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = ()
