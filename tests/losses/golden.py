"""Small pictures with known probabilities, and what each loss costs on them, worked out independently of the code.

Logits are log p, so that the softmax gives the probabilities back exactly. Ignored pixels carry label 255.
Values are rounded to nine decimals.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import golden_boundary, golden_combination, golden_pixel, golden_region, golden_structural

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
    "M5": _two_classes([[0.05] * 5 for _ in range(5)], _SQUARE),
}

GOLDEN: list[tuple[str, dict[str, object], dict[str, float]]] = [
    *golden_pixel.ROWS,
    *golden_region.ROWS,
    *golden_boundary.ROWS,
    *golden_combination.ROWS,
    *golden_structural.ROWS,
]
"""(family, settings, value on each picture)."""
