"""Where every random number of a trial comes from: its seed, the epoch, and what it is for. Nothing else.

Families and levels of one seed therefore share initial weights, uniforms and flips (common random numbers), and a
resumed trial needs only the epoch number to continue as if it had never stopped.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Purpose = Literal["initial weights", "batches", "augmentation", "dropout", "panels", "companion", "rival"]

_STREAM: dict[Purpose, int] = {
    "initial weights": 0,
    "batches": 1,
    "augmentation": 2,
    "dropout": 3,
    "panels": 4,
    "companion": 5,
    "rival": 6,
}


def generator(purpose: Purpose, seed: int, epoch: int = 0) -> np.random.Generator:
    """Return the generator of one purpose; `seed` and `epoch` are whole numbers from 0.

    Purposes have streams of their own, so that switching one off leaves the others' draws as they were.
    """
    return np.random.default_rng(_sequence(purpose, seed, epoch))


def torch_seed(purpose: Purpose, seed: int, moment: int = 0) -> int:
    """Return a seed for `torch.manual_seed`, in [0, 2⁶³). `moment` is the epoch; of a rival, the optimizer step."""
    return int(_sequence(purpose, seed, moment).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _sequence(purpose: Purpose, seed: int, epoch: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(_STREAM[purpose], epoch))
