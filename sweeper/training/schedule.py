"""How far along training is at every step, and the learning rate there."""

from __future__ import annotations

import math


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the share of the peak learning rate at `step` (from 0) of `steps`, in (0, 1].

    It rises linearly over the first `warmup` share of the steps, reaching 1 at the last of these, then falls to 0
    along half a cosine. Step 0 already moves, and so does the last one: 0 itself would waste a step.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def progress(step: int, steps: int) -> float:
    """Return the share of training that is done at `step` (from 0) of `steps`: 0 at the first, 1 at the last.

    A training of a single step is at its end, so that what ramps up over training is then at its full value.
    """
    return step / (steps - 1) if steps > 1 else 1.0


def first_epoch_after(share: float, epochs: int, steps: int) -> int | None:
    """Return the first epoch, from 1, all of whose `steps` come when that share of training is done; None if none."""
    planned = epochs * steps
    return next((epoch for epoch in range(1, epochs + 1) if progress((epoch - 1) * steps, planned) >= share), None)
