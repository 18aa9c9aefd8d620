"""How many inputs a loader is given: some hundred, always the same; with SWEEPER_FUZZ=10000 that many, new ones."""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import HealthCheck, settings

ASKED = int(os.environ.get("SWEEPER_FUZZ", "0"))

TRIED: Counter[str] = Counter()
"""Inputs by loader."""


def inputs(default: int) -> settings:
    """Return how often a test is run: `default` times, or as SWEEPER_FUZZ says."""
    return settings(
        max_examples=max(default, ASKED),
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
