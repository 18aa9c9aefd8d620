"""Test patches whose predictions are kept, the same ones for every trial of a data set.

Which of them a report shows is decided there, when all families are known: it wants those where families disagree, or
where they miss an object, which no choice in advance can find.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sweeper.data.patches import Prepared, Split
from sweeper.data.settings import IGNORE
from sweeper.training.curves import row_positions
from sweeper.training.randomness import generator
from sweeper.training.stitching import stitch

if TYPE_CHECKING:
    from sweeper.training.trainer import Trainer

MOST = 256
"""Patches kept, at most."""
PIXELS = 1 << 21
"""Pixels of all patches kept, at most, unless a single patch has more."""
POSITIONS = 1 << 20
"""Curve positions kept, at most: scans × curves × rows."""
BATCH = 32
"""Patches per forward pass."""


@dataclass(frozen=True, eq=False)
class Pool:
    """What is kept of the predictions of every trial of a data set."""

    id: str
    """Names data, patches and scans."""
    patches: NDArray[np.int64]
    """Indices into the test split, ascending; all show a minority class."""
    available: int
    """Test patches that show a minority class."""
    scans: NDArray[np.int64]
    """Pictures of the test split whose curves are kept, ascending; none where they are no logs."""
    curves: NDArray[np.int64]
    """Classes drawn as curves."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects that some patches show: 8-connected regions of one minority class in the whole picture."""

    numbers: NDArray[np.int32]
    """(n, P, P), the object each pixel belongs to, from 1; 0 for none."""
    pixels: NDArray[np.int64]
    """(m,), the size of each object in its whole picture."""


@dataclass(frozen=True, eq=False)
class Kept:
    """One trial's predictions of a pool."""

    classes: NDArray[np.uint8]
    """(n, P, P), the predicted class of every pixel at argmax."""
    curves: NDArray[np.float32]
    """(S, k, rows), as `positions` returns them."""


def pool(data: Prepared, *, most: int = MOST, pixels: int = PIXELS, positions: int = POSITIONS) -> Pool:
    """Choose what is kept: all test patches that show a minority class, or an even share of every picture's.

    Depends on the data and the limits alone.
    """
    test = data.splits["test"]
    rare = np.flatnonzero(test.counts[:, list(data.minority)].sum(axis=1))
    count = max(1, min(most, pixels // data.patch**2))
    patches = np.sort(_in_turns(rare, test.picture[rare])[:count])
    curves = np.empty(0, dtype=np.int64)
    scans = curves
    if test.curves is not None:
        drawn = np.isfinite(test.curves)
        curves = np.flatnonzero(drawn.any(axis=(0, 2)))
        scans = np.intersect1d(test.picture, np.flatnonzero(drawn.any(axis=(1, 2))))
        fitting = positions // max(1, len(curves) * test.curves.shape[2])
        scans = np.sort(_shuffled(scans)[: max(1, fitting)])
    chosen = f"{data.fingerprint} {patches.tolist()} {scans.tolist()} {curves.tolist()}"
    name = hashlib.sha256(chosen.encode()).hexdigest()[:16]
    return Pool(name, patches.astype(np.int64), len(rare), scans.astype(np.int64), curves.astype(np.int64))


def choose(data: Prepared, among: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Return up to `count` positions in `among`, test patches, to look at a trial alone, richest first.

    Drawn from their richer half, so that there is something to see, and from different pictures as far as these reach,
    so that it is not one scene again and again.
    """
    test = data.splits["test"]
    rare = test.counts[among][:, list(data.minority)].sum(axis=1)
    ranked = np.argsort(-rare, kind="stable")
    richest = ranked[: max(count, int(np.count_nonzero(rare)) // 2)]
    drawn = generator("panels", seed).permutation(richest)
    chosen = _first_of_each(drawn, test.picture[among[drawn]])[:count]
    return np.asarray(chosen[np.argsort(-rare[chosen], kind="stable")], dtype=np.int64)


def keep(trainer: Trainer, pool: Pool) -> Kept:
    """Predict the patches of a pool, and for logs recover the curves of its scans."""
    test = trainer.data.splits["test"]
    # Of logs whole scans are needed; they are small. Of other data, only the pool: a test split may be large.
    wanted = np.flatnonzero(np.isin(test.picture, pool.scans)) if len(pool.scans) else pool.patches
    predicted = _predict(trainer, wanted)
    if not len(pool.scans):
        return Kept(predicted, _no_positions(test, pool))
    every = np.zeros(test.masks.shape, dtype=np.uint8)
    every[wanted] = predicted
    rest = np.setdiff1d(pool.patches, wanted)
    every[rest] = _predict(trainer, rest)
    return Kept(every[pool.patches], recovered(test, every, pool))


def recovered(test: Split, predicted: NDArray[np.uint8], pool: Pool) -> NDArray[np.float32]:
    """Return the position of every curve in every depth row, as fractions of the track width.

    (S, k, rows), S and k as the pool's; NaN in rows where its class is not predicted, and in those that the patches do
    not cover from edge to edge.

    Args:
        predicted: (N, P, P), predicted classes of all test patches; those of other pictures do not matter.
    """
    found = _no_positions(test, pool)
    for place, picture in zip(found, pool.scans.tolist(), strict=True):
        scan = stitch(test, predicted, picture)
        whole = (scan != IGNORE).all(axis=1)
        for row, klass in zip(place, pool.curves.tolist(), strict=True):
            row[whole] = row_positions(scan == klass)[whole]
    return found


def true_curves(test: Split, pool: Pool) -> NDArray[np.float32]:
    """Return the positions that `recovered` should find, NaN also where a curve is not drawn."""
    found = _no_positions(test, pool)
    if test.curves is not None:
        for place, picture in zip(found, pool.scans.tolist(), strict=True):
            whole = (stitch(test, test.masks, picture) != IGNORE).all(axis=1)
            place[:, whole] = test.curves[picture][pool.curves][:, whole]
    return found


def objects(data: Prepared, pool: Pool) -> Objects:
    """Find the objects that the pool's patches show; one of which only a part is kept has the size of the whole."""
    test = data.splits["test"]
    numbers = np.zeros((len(pool.patches), data.patch, data.patch), dtype=np.int32)
    sizes = [np.empty(0, dtype=np.int64)]
    known = 0
    for picture in np.unique(test.picture[pool.patches]).tolist():
        mask = stitch(test, test.masks, picture)
        labels = np.zeros(mask.shape, dtype=np.int32)
        for klass in data.minority:
            own, count = ndimage.label(mask == klass, structure=np.ones((3, 3)))
            labels[own > 0] = own[own > 0] + known
            sizes.append(np.bincount(own.ravel(), minlength=count + 1)[1:])
            known += count
        for place in np.flatnonzero(test.picture[pool.patches] == picture).tolist():
            index = pool.patches[place]
            row, col = int(test.row[index]), int(test.col[index])
            part = labels[row : row + data.patch, col : col + data.patch]
            numbers[place, : part.shape[0], : part.shape[1]] = part
    # Objects that lie in patches which were not kept have no number.
    shown = np.flatnonzero(np.bincount(numbers.ravel(), minlength=known + 1)[1:])
    renumbered = np.zeros(known + 1, dtype=np.int32)
    renumbered[shown + 1] = np.arange(1, len(shown) + 1)
    return Objects(renumbered[numbers], np.concatenate(sizes)[shown].astype(np.int64))


def _predict(trainer: Trainer, patches: NDArray[np.int64]) -> NDArray[np.uint8]:
    parts = [trainer.predict("test", patches[start : start + BATCH]) for start in range(0, len(patches), BATCH)]
    side = trainer.data.patch
    return np.concatenate([np.empty((0, side, side), dtype=np.uint8), *parts])


def _no_positions(test: Split, pool: Pool) -> NDArray[np.float32]:
    rows = 0 if test.curves is None else test.curves.shape[2]
    return np.full((len(pool.scans), len(pool.curves), rows), np.nan, dtype=np.float32)


def _in_turns(items: NDArray[np.int64], group: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the items in drawn order, one of every group, then a second of every group, and so on."""
    order = generator("panels", 0).permutation(len(items))
    by_group = np.argsort(group[order], kind="stable")
    _, starts, counts = np.unique(group[order][by_group], return_index=True, return_counts=True)
    turn = np.empty(len(items), dtype=np.int64)
    turn[by_group] = np.arange(len(items)) - np.repeat(starts, counts)
    return items[order][np.argsort(turn, kind="stable")]


def _shuffled(items: NDArray[np.int64]) -> NDArray[np.int64]:
    return generator("panels", 0).permutation(items)


def _first_of_each(items: NDArray[np.int64], group: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the items in their order, but the first of every group before all others."""
    _, first = np.unique(group, return_index=True)
    repeats = np.ones(len(items), dtype=np.bool_)
    repeats[first] = False
    return items[np.argsort(repeats, kind="stable")]
