"""What boundary losses cost on the small pictures of `golden`."""

from __future__ import annotations

ROWS: list[tuple[str, dict[str, object], dict[str, float]]] = []
