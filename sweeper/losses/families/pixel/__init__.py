"""Losses that are a mean over pixels, each pixel judged by itself."""

from __future__ import annotations

from sweeper.losses.families.pixel.cross_entropy import CROSS_ENTROPY, WEIGHTED_CROSS_ENTROPY
from sweeper.losses.families.pixel.focal import FOCAL
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    CROSS_ENTROPY,
    WEIGHTED_CROSS_ENTROPY,
    FOCAL,
)
