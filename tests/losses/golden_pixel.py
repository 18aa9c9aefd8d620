"""What pixel losses cost on the small pictures of `golden`."""

from __future__ import annotations

ROWS: list[tuple[str, dict[str, object], dict[str, float]]] = [
    (
        "cross_entropy",
        {},
        {"B4": 0.337538829, "T4": 0.619234620, "T4i": 0.655370952, "G5": 0.208013397, "C5": 0.156869732},
    ),
    ("weighted_cross_entropy", {"class_weights": [1, 3]}, {"B4": 0.424182226}),
    ("weighted_cross_entropy", {"class_weights": [1, 3, 3]}, {"T4": 0.711976788, "T4i": 0.740712669}),
    ("focal", {"gamma": 2.0}, {"B4": 0.085224404, "T4": 0.154246076, "T4i": 0.178417401}),
    ("focal", {"gamma": 0.75}, {"B4": 0.182217985, "T4": 0.359581401, "T4i": 0.393797972}),
    ("focal", {"gamma": 2.0, "alpha": 0.25}, {"B4": 0.022553519, "T4": 0.052790625, "T4i": 0.049954474}),
]
