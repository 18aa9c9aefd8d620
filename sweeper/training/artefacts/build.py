"""Trains an artefact: what is common to all of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sweeper.errors import LossError, suggest
from sweeper.training.artefacts import boundary_transform, mask_autoencoder
from sweeper.training.artefacts.chunks import chunks
from sweeper.training.artefacts.learn import Curriculum, Progress, learn

MOST_MASKS = 2048
"""Training masks looked at, evenly spread; more would add time and little else."""

MOST_BYTES = 128 * 2**20
"""Of the masks looked at: 2048 of 256 pixels a side. Of larger ones fewer show as much."""

FOLDS = 5
"""One in so many pictures, or masks, is held out."""

THREADS = 2
"""Torch's while training: sums depend on how they are split, and equal masks shall give equal networks anywhere."""


@dataclass(frozen=True)
class Artefact:
    """A trained network as plain data."""

    name: str
    arrays: Mapping[str, NDArray[Any]]
    """Its weights."""
    report: Mapping[str, float | int | str]
    """How it was trained and how well: `train_error` and `validation_error` mean what `error` says, `chance_error` is
    that of a network that has learned nothing. `digest` is that of the arrays."""


@dataclass(frozen=True)
class _Kind:
    curriculum: Callable[[NDArray[np.uint8], int], Curriculum]
    """From masks, background first, and the number of classes."""
    steps: int
    needed_by: str
    """What of the catalogue cannot do without."""


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "boundary_transform": _Kind(boundary_transform.BoundaryCurriculum, steps=400, needed_by="`inverseform`"),
        "mask_autoencoder": _Kind(
            mask_autoencoder.MaskCurriculum, steps=250, needed_by="`extractor: mask_autoencoder` of `perceptual`"
        ),
    }
)

STEPS: Mapping[str, int] = MappingProxyType({name: kind.steps for name, kind in _KINDS.items()})
"""Optimizer steps that each artefact is trained for."""


def build(
    name: str,
    masks: NDArray[np.uint8],
    classes: int,
    *,
    pictures: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
    device: str = "cpu",
    steps: int | None = None,
    progress: Progress | None = None,
) -> Artefact:
    """Train an artefact on masks of the training split. Under a minute on two cores at 64 pixels a side.

    Equal arguments give equal arrays on the CPU, however many threads torch is set to use; that number and torch's
    global generator are left as they were.

    Args:
        name: One of `losses.needs.ARTEFACTS`.
        masks: (N, P, P), class indices with the background as 0; whatever is not below `classes` is ignored.
        classes: C.
        pictures: (N,), a number for the picture each mask was cut from, so that whole pictures can be held out.
        seed: Of the first weights, and of what is drawn in training.
        device: A torch device.
        steps: Of the optimizer; None for the artefact's own number.
        progress: Called with the steps done, those in all, and the name.

    Raises: LossError for a name there is not, with too few masks that have foreground, or when nothing could be learned
        from them: the network is no better on those held out than one that was never trained.
    """
    if name not in _KINDS:
        raise LossError(f"there is no artefact {name!r}; {suggest(name, _KINDS)}")
    kind = _KINDS[name]
    steps = kind.steps if steps is None else steps
    chosen = spread(_with_foreground(masks, classes), masks.shape[1:])
    held_out = _held_out(len(chosen), None if pictures is None else pictures[chosen])
    with _threads(THREADS):
        parts = [kind.curriculum(masks[chosen[part]], classes) for part in (~held_out, held_out)]
        if not all(len(part) for part in parts):
            raise LossError(
                f"{name} learns from {parts[0].examples}; the {len(chosen)} training masks that have foreground hold "
                f"{len(parts[0])} to learn from and {len(parts[1])} to judge by, too few: add pictures, or leave out "
                f"{kind.needed_by}"
            )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = parts[0].network()
        report = learn(
            network, *parts, name=name, seed=seed, device=torch.device(device), steps=steps, progress=progress
        )
        arrays = parts[0].arrays(network)
    _judge(name, report, parts[0].error, len(chosen))
    details: dict[str, float | int | str] = {"name": name, "error": parts[0].error, "seed": seed, "steps": steps}
    return Artefact(name, arrays, {**details, **report, "digest": digest(arrays)})


def spread(candidates: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return those masks among `candidates` that are looked at, evenly spread; `shape` is that of one mask."""
    most = min(len(candidates), MOST_MASKS, max(2 * FOLDS, MOST_BYTES // max(1, math.prod(shape))))
    return candidates[np.linspace(0, len(candidates) - 1, most).round().astype(np.intp)]


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of arrays with their names, dtypes and shapes."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _with_foreground(masks: NDArray[np.uint8], classes: int) -> NDArray[np.intp]:
    """Return the indices of the masks that have any class but background."""
    found = [((part > 0) & (part < classes)).any(axis=(1, 2)) for part in chunks(masks, 3)]
    return np.flatnonzero(np.concatenate(found)) if found else np.zeros(0, dtype=np.intp)


def _held_out(count: int, pictures: NDArray[np.integer[Any]] | None) -> NDArray[np.bool_]:
    """Return which of `count` masks are held out: the last of every FOLDS pictures, or masks where pictures are few.

    Patches of one picture are alike, so that whole pictures judge better. Taken at strides, whatever the order of names
    says of pictures, both parts have some of it.
    """
    groups = np.arange(count)
    if pictures is not None:
        distinct, numbers = np.unique(pictures, return_inverse=True)
        groups = numbers if len(distinct) >= FOLDS else groups
    last = min(FOLDS, int(groups.max(initial=0)) + 1) - 1
    held_out: NDArray[np.bool_] = groups % FOLDS == last
    return held_out


def _judge(name: str, report: Mapping[str, float], error: str, masks: int) -> None:
    """Raise: LossError for a network that has learned nothing, an error that is no number included."""
    found, chance = report["validation_error"], report["chance_error"]
    if not found < chance:
        raise LossError(
            f"{name} has learned nothing from the {masks} training masks that have foreground: {error} is {found:.4g} "
            f"on those held out, and {chance:.4g} without learning; add pictures, or leave out {_KINDS[name].needed_by}"
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
