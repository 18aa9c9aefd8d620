"""Trains an artefact: what is common to all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sweeper.errors import LossError, suggest
from sweeper.training.artefacts import boundary_transform, mask_autoencoder
from sweeper.training.artefacts.learn import Curriculum, Progress, learn

MOST_MASKS = 2048
"""Training masks looked at, evenly spread; more would add time and little else."""


@dataclass(frozen=True)
class Artefact:
    """A trained network as plain data."""

    name: str
    arrays: Mapping[str, NDArray[Any]]
    """Its weights."""
    report: Mapping[str, float | int | str]
    """How it was trained and how well: `train_error` and `validation_error` mean what `error` says, `chance_error` is
    that of a network that has learned nothing."""


@dataclass(frozen=True)
class _Kind:
    curriculum: Callable[[NDArray[np.uint8], int], Curriculum]
    """From masks, background first, and the number of classes."""
    steps: int


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "boundary_transform": _Kind(boundary_transform.BoundaryCurriculum, steps=400),
        "mask_autoencoder": _Kind(mask_autoencoder.MaskCurriculum, steps=250),
    }
)

STEPS: Mapping[str, int] = MappingProxyType({name: kind.steps for name, kind in _KINDS.items()})
"""Optimizer steps that each artefact is trained for."""


def build(
    name: str,
    masks: NDArray[np.uint8],
    classes: int,
    *,
    seed: int = 0,
    device: str = "cpu",
    steps: int | None = None,
    progress: Progress | None = None,
) -> Artefact:
    """Train an artefact on masks of the training split. Under a minute on two cores at 64 pixels a side.

    Equal arguments give equal arrays on the CPU; torch's global generator is left as it was.

    Args:
        name: One of `losses.needs.ARTEFACTS`.
        masks: (N, P, P), class indices with the background as 0; whatever is not below `classes` is ignored.
        classes: C.
        seed: Of the first weights, and of what is drawn in training.
        device: A torch device.
        steps: Of the optimizer; None for the artefact's own number.
        progress: Called with the steps done, those in all, and the name.

    Raises: LossError for a name there is not, or with fewer than two masks to learn from.
    """
    if name not in _KINDS:
        raise LossError(f"there is no artefact {name!r}; {suggest(name, _KINDS)}")
    kind = _KINDS[name]
    steps = kind.steps if steps is None else steps
    chosen = np.linspace(0, len(masks) - 1, min(len(masks), MOST_MASKS)).round().astype(int)
    # Patches of one picture lie together, so that a part cut off the end shares few pictures with the rest.
    held_out = max(1, len(chosen) // 5)
    parts = [
        kind.curriculum(np.asarray(masks[part]), classes)
        for part in (chosen[:-held_out], chosen[len(chosen) - held_out :])
    ]
    if not all(len(part) for part in parts):
        raise LossError(
            f"{name} is trained on masks with foreground and judged on others; the {len(masks)} training masks have "
            "too few: add pictures, or take a loss that does not need it"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = parts[0].network()
    report = learn(network, *parts, name=name, seed=seed, device=torch.device(device), steps=steps, progress=progress)
    details: dict[str, float | int | str] = {"name": name, "error": parts[0].error, "seed": seed, "steps": steps}
    return Artefact(name, parts[0].arrays(network), {**details, **report})
