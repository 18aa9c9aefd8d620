"""Test patches to show in a report, the same ones for every trial of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import Prepared
from sweeper.training.randomness import generator

if TYPE_CHECKING:
    from sweeper.training.trainer import Trainer


class Panel(NamedTuple):
    """One test patch with its truth and what the trial made of it."""

    stem: str
    """The picture it was cut from."""
    row: int
    col: int
    image: NDArray[np.uint8]
    """(P, P, 3); gray pictures in three equal channels."""
    truth: NDArray[np.uint8]
    """(P, P), class index or IGNORE."""
    prediction: NDArray[np.uint8]
    """(P, P), class index at argmax."""


def predictions(trainer: Trainer, count: int = 8, seed: int = 0) -> tuple[Panel, ...]:
    """Return up to `count` test patches, richest in minority pixels first, with the trainer's current predictions."""
    test = trainer.data.splits["test"]
    chosen = choose(trainer.data, count, seed)
    predicted = trainer.predict("test", chosen)
    return tuple(
        Panel(
            stem=test.stems[test.picture[index]],
            row=int(test.row[index]),
            col=int(test.col[index]),
            image=np.broadcast_to(test.images[index], (*test.images.shape[1:3], 3)).copy(),
            truth=np.array(test.masks[index]),
            prediction=prediction,
        )
        for index, prediction in zip(chosen, predicted, strict=True)
    )


def choose(data: Prepared, count: int, seed: int) -> NDArray[np.int64]:
    """Return the indices of up to `count` test patches; they depend on data, count and seed alone.

    Drawn from the richer half of the patches that hold minority pixels, so that there is something to see, and
    from different pictures as far as these reach, so that it is not one scene again and again.
    """
    test = data.splits["test"]
    rare = test.counts[:, list(data.minority)].sum(axis=1)
    ranked = np.argsort(-rare, kind="stable")
    richest = ranked[: max(count, int(np.count_nonzero(rare)) // 2)]
    drawn = generator("panels", seed).permutation(richest)
    _, first = np.unique(test.picture[drawn], return_index=True)
    repeats = np.ones(len(drawn), dtype=np.bool_)
    repeats[first] = False
    # A stable sort by "repeats a picture" keeps the drawn order within both groups.
    chosen = drawn[np.argsort(repeats, kind="stable")][:count]
    return np.asarray(chosen[np.argsort(-rare[chosen], kind="stable")], dtype=np.int64)
