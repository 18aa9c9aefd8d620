"""What losses charge and where they pull, as tidy frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sweeper.anatomy.contestants import Contestant
from sweeper.anatomy.scenes import (
    GROWTH,
    OBJECTS,
    SHIFTS,
    Mask,
    disk_of_share,
    grown,
    logits_of,
    shifted,
    target_of,
)

PROBABILITIES = (0.001, 0.01, *(round(0.02 * step, 2) for step in range(1, 50)), 0.99, 0.999)
"""Of the true class, at which value and gradient are taken."""

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Background fractions at which the gradient is shared out."""

STATES = ("untrained", "all background")
"""Models whose gradient is shared out: one that knows nothing, and one that calls every pixel background."""

_NOISE = 0.1
"""Deviation of an untrained model's logits: enough to tell pixels apart, too little to have an opinion."""

_CALLED = 0.02
"""Foreground probability everywhere of the model that calls every pixel background."""


def profiles(losses: Sequence[Contestant]) -> pd.DataFrame:
    """Return value and gradient where every pixel of the frame gives its true class the same probability.

    Columns: loss, p, value, gradient; the gradient is that of the true class's logit margin, summed over the pixels,
    with its sign turned, so that a positive number pulls towards the truth.
    """
    mask = OBJECTS["large disk"]
    target = target_of(mask)
    rows = []
    for p in PROBABILITIES:
        logits = logits_of(mask, p)
        for loss in losses:
            value, gradient = _pull(loss, logits, target)
            towards = torch.where(target[0] == 1, gradient[0, 1] - gradient[0, 0], gradient[0, 0] - gradient[0, 1])
            rows.append({"loss": loss.label, "p": p, "value": value, "gradient": -float(towards.sum()) / 2})
    return pd.DataFrame(rows)


def deformations(losses: Sequence[Contestant]) -> pd.DataFrame:
    """Return what each loss charges for an object that is predicted too small, too large, or beside itself.

    Columns: loss, object, change (`edge moved` or `shifted`), pixels (moved), missed and alarms (pixels wrong), value.
    """
    rows = []
    for name, mask in OBJECTS.items():
        target = target_of(mask)
        for change, moves, move in (("edge moved", GROWTH, grown), ("shifted", SHIFTS, shifted)):
            for pixels in moves:
                predicted = move(mask, pixels)
                logits = logits_of(predicted)
                wrong = {"missed": int((mask & ~predicted).sum()), "alarms": int((predicted & ~mask).sum())}
                for loss in losses:
                    rows.append(
                        {
                            "loss": loss.label,
                            "object": name,
                            "change": change,
                            "pixels": pixels,
                            **wrong,
                            "value": float(loss(logits, target)),
                        }
                    )
    return pd.DataFrame(rows)


def gradient_shares(losses: Sequence[Contestant], *, seed: int = 0, repeats: int = 3) -> pd.DataFrame:
    """Return which share of the gradient the foreground's pixels get as the background grows.

    Columns: loss, state, level, share: Σ over foreground pixels of |∂L/∂margin|, over that of all pixels; NaN where the
    loss has no gradient at all. Averaged over `repeats` draws of the untrained model's logits.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = [_NOISE * torch.randn(1, 2, *OBJECTS["large disk"].shape, generator=generator) for _ in range(repeats)]
    rows = []
    for level in LEVELS:
        mask = disk_of_share(1 - level)
        empty = logits_of(np.zeros_like(mask), 1 - _CALLED)
        for state in STATES:
            starts = [each.double() for each in noise] if state == "untrained" else [empty]
            for loss in losses:
                share = float(np.mean([_share(loss, start, mask) for start in starts]))
                rows.append({"loss": loss.label, "state": state, "level": level, "share": share})
    return pd.DataFrame(rows)


def _share(loss: Contestant, logits: Tensor, mask: Mask) -> float:
    _, gradient = _pull(loss, logits, target_of(mask))
    size = (gradient[0, 1] - gradient[0, 0]).abs()
    total = float(size.sum())
    return float(size[torch.from_numpy(mask)].sum()) / total if total > 0 else math.nan


def _pull(loss: Contestant, logits: Tensor, target: Tensor) -> tuple[float, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, target)
    (gradient,) = torch.autograd.grad(value, logits)
    return float(value.detach()), gradient
