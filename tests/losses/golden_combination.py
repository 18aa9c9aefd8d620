"""What combination losses cost on the small pictures of `golden`."""

from __future__ import annotations

ROWS: list[tuple[str, dict[str, object], dict[str, float]]] = [
    ("combo", {"alpha": 0.5, "beta": 0.5}, {"B4": 0.210647333, "T4": 0.397258483, "T4i": 0.400406849}),
    ("combo", {"alpha": 0.5, "beta": 0.7}, {"B4": 0.227976013, "T4": 0.415806916, "T4i": 0.442165614}),
    ("dice_ce", {}, {"B4": 0.590064081, "T4": 1.104134275, "T4i": 1.128499174}),
]
