"""Pictures left out because they are damaged, in words."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.data.patches import Skipped

SHOWN = 5


def reasons(skipped: Sequence[Skipped]) -> str:
    """Return the first few with their reasons."""
    shown = ", ".join(f"{item.split}/{item.stem}: {item.reason}" for item in skipped[:SHOWN])
    return shown + (", ..." if len(skipped) > SHOWN else "")
