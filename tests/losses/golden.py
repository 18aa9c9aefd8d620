"""Small pictures with known probabilities, and what each loss costs on them, worked out independently of the code.

Logits are log p, so that the softmax gives the probabilities back exactly. Ignored pixels carry label 255.
Values are rounded to nine decimals.
"""

from __future__ import annotations

import torch
from torch import Tensor

IGNORED = 255

_B4 = [0.9, 0.4, 0.2, 0.1]
_T4 = [[[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]], [[0.25, 0.35, 0.40], [0.6, 0.3, 0.1]]]
_G5 = [
    [0.1, 0.1, 0.7, 0.1, 0.1],
    [0.1, 0.4, 0.9, 0.9, 0.1],
    [0.1, 0.9, 0.9, 0.9, 0.3],
    [0.1, 0.9, 0.9, 0.6, 0.1],
    [0.1, 0.1, 0.1, 0.1, 0.1],
]
_C5 = [
    [0.05, 0.05, 0.9, 0.05, 0.05],
    [0.05, 0.05, 0.9, 0.60, 0.05],
    [0.05, 0.05, 0.2, 0.05, 0.05],
    [0.05, 0.05, 0.9, 0.05, 0.05],
    [0.05, 0.05, 0.9, 0.05, 0.05],
]
_SQUARE = [[int(1 <= row <= 3 and 1 <= col <= 3) for col in range(5)] for row in range(5)]
_CURVE = [[int(col == 2) for col in range(5)] for _ in range(5)]


def _two_classes(foreground: list[list[float]], target: list[list[int]]) -> tuple[Tensor, Tensor]:
    p = torch.tensor(foreground, dtype=torch.float64)
    return torch.stack([1 - p, p]).log().unsqueeze(0), torch.tensor([target])


def _three_classes(target: list[list[int]]) -> tuple[Tensor, Tensor]:
    p = torch.tensor(_T4, dtype=torch.float64).permute(2, 0, 1)
    return p.log().unsqueeze(0), torch.tensor([target])


PICTURES: dict[str, tuple[Tensor, Tensor]] = {
    "B4": _two_classes([_B4], [[1, 1, 0, 0]]),
    "T4": _three_classes([[0, 1], [2, 0]]),
    "T4i": _three_classes([[0, 1], [2, IGNORED]]),
    "G5": _two_classes(_G5, _SQUARE),
    "C5": _two_classes(_C5, _CURVE),
}

ALL = {"classes": "all"}
FG = {"classes": "foreground"}
DIAL = {"alpha": 0.3, "beta": 0.7}
SWAPPED = {"alpha": 0.7, "beta": 0.3}

GOLDEN: list[tuple[str, dict[str, object], dict[str, float]]] = [
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
    (
        "dice",
        ALL,
        {"B4": 0.252525253, "T4": 0.484899655, "T4i": 0.473128221, "G5": 0.175120876, "C5": 0.167528678},
    ),
    (
        "dice",
        FG,
        {"B4": 0.277777778, "T4": 0.565011820, "T4i": 0.520803443, "G5": 0.219251337, "C5": 0.265700483},
    ),
    ("dice", {"smooth": 1.0, **ALL}, {"B4": 0.167410714, "T4": 0.262392645, "T4i": 0.234167501}),
    ("dice", {"smooth": 1.0, **FG}, {"B4": 0.178571429, "T4": 0.286751361, "T4i": 0.251251251}),
    ("dice", {"denominator": "squared", **ALL}, {"B4": 0.124510246, "T4": 0.270919948, "T4i": 0.259506388}),
    ("dice", {"denominator": "squared", **FG}, {"B4": 0.139072848, "T4": 0.339352445, "T4i": 0.315439187}),
    ("generalized_dice", {"power": 2.0, **ALL}, {"B4": 0.25, "T4": 0.520782396, "T4i": 0.466666667}),
    ("generalized_dice", {"power": 2.0, **FG}, {"B4": 0.277777778, "T4": 0.566265060, "T4i": 0.52}),
    ("generalized_dice", {"power": 1.0, **ALL}, {"B4": 0.25, "T4": 0.489711934, "T4i": 0.466666667}),
    ("generalized_dice", {"power": 0.0, **ALL}, {"B4": 0.25, "T4": 0.45, "T4i": 0.466666667}),
    (
        "iou",
        ALL,
        {"B4": 0.402576490, "T4": 0.644737174, "T4i": 0.639371381, "G5": 0.295643770, "C5": 0.274782155},
    ),
    ("iou", FG, {"B4": 0.434782609, "T4": 0.722007722, "T4i": 0.684863524}),
    ("lovasz_softmax", ALL, {"B4": 0.333333333, "T4": 0.483333333, "T4i": 0.466666667}),
    ("lovasz_softmax", FG, {"B4": 0.366666667, "T4": 0.55, "T4i": 0.55}),
    ("tversky", {**DIAL, **ALL}, {"B4": 0.253311923, "T4": 0.485672587, "T4i": 0.472221977}),
    ("tversky", {**DIAL, **FG}, {"B4": 0.308510638, "T4": 0.560989699, "T4i": 0.533914362}),
    ("tversky", {**SWAPPED, **ALL}, {"B4": 0.249286006, "T4": 0.482420488, "T4i": 0.471611473}),
    ("tversky", {**SWAPPED, **FG}, {"B4": 0.244186047, "T4": 0.566638648, "T4i": 0.505289549}),
    ("focal_tversky", {"gamma": 4 / 3, **DIAL, **ALL}, {"B4": 0.355452846, "T4": 0.578908121, "T4i": 0.567607655}),
    ("focal_tversky", {"gamma": 4 / 3, **DIAL, **FG}, {"B4": 0.413954500, "T4": 0.648175570, "T4i": 0.624457866}),
    ("focal_tversky", {"gamma": 0.5, **DIAL, **ALL}, {"B4": 0.067213828, "T4": 0.247344308, "T4i": 0.231074554}),
    ("focal_tversky", {"gamma": 0.5, **DIAL, **FG}, {"B4": 0.095178814, "T4": 0.314891109, "T4i": 0.285768132}),
    ("combo", {"alpha": 0.5, "beta": 0.5}, {"B4": 0.210647333, "T4": 0.397258483, "T4i": 0.400406849}),
    ("combo", {"alpha": 0.5, "beta": 0.7}, {"B4": 0.227976013, "T4": 0.415806916, "T4i": 0.442165614}),
    ("dice_ce", {}, {"B4": 0.590064081, "T4": 1.104134275, "T4i": 1.128499174}),
]
"""(family, settings, value on each picture)."""
