"""What pixel losses cost on the small pictures of `golden`."""

from __future__ import annotations

import torch

_TWO = torch.tensor([0.97, 0.03], dtype=torch.float64)
_THREE = torch.tensor([0.97, 0.02, 0.01], dtype=torch.float64)

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
    ("balanced_cross_entropy", {}, {"B4": 0.337538829, "T4": 0.656331487, "T4i": 0.655370952, "G5": 0.215123244}),
    ("topk_cross_entropy", {"k": 0.5}, {"B4": 0.569717142, "T4": 0.804718956, "T4i": 0.841909548}),
    ("topk_cross_entropy", {"k": 0.25}, {"B4": 0.916290732, "T4": 0.916290732, "T4i": 0.916290732}),
    ("distance_map_cross_entropy", {}, {"B4": 0.648737528, "T4": 1.238469240}),
    ("label_smoothing_cross_entropy", {}, {"B4": 0.404729809, "T4": 0.683519880, "T4i": 0.713474558}),
    ("poly1_cross_entropy", {}, {"B4": 0.587538829, "T4": 1.069234620, "T4i": 1.122037619}),
    ("poly1_cross_entropy", {"gamma": 2.0}, {"B4": 0.141724404, "T4": 0.262246076, "T4i": 0.301084068}),
    ("phuber_cross_entropy", {"tau": 2.0}, {"B4": 0.331752941, "T4": 0.613448732, "T4i": 0.647656435}),
    ("phuber_cross_entropy", {}, {"B4": 0.337538829, "T4": 0.619234620, "T4i": 0.655370952}),
    ("generalized_cross_entropy", {}, {"B4": 0.271520015, "T4": 0.492661003, "T4i": 0.513723333}),
    ("logit_adjusted_cross_entropy", {"class_frequencies": _TWO}, {"B4": 1.359387531}),
    (
        "logit_adjusted_cross_entropy",
        {"class_frequencies": _THREE},
        {"T4": 1.894877425, "T4i": 2.522517988},
    ),
    ("recall_cross_entropy", {}, {"B4": 0.127706406, "T4": 0.0, "T4i": 0.0}),
    ("mse", {}, {"B4": 0.21, "T4": 0.33125, "T4i": 0.355}),
    ("mae", {}, {"B4": 0.5, "T4": 0.9, "T4i": 0.933333333}),
    ("kl_divergence", {}, {"B4": 0.206214565, "T4": 0.392380041}),
    ("hierarchical_cross_entropy", {}, {"T4": 0.498599508, "T4i": 0.494524136}),
]
