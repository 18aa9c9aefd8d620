"""Losses that judge structure: windows, skeletons, components, features, critics."""

from __future__ import annotations

from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = ()
