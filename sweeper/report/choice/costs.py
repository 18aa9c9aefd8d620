"""The misses and false alarms of every configuration, each at the threshold that suits what a miss costs.

One policy for all: a trial's background offset is the one of least cost on *validation*, for every ratio of costs anew;
its errors are then counted on test, image by image. Results that hold no decision margins (of earlier versions) know
errors at argmax only, whatever a miss costs; `Mistakes.tuned` tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sweeper.report.evidence import SETTINGS, Evidence, Key, Setting, confirmed
from sweeper.report.inference.statistics import FN, FP, TP, Array
from sweeper.results.margins import BINS, OFFSETS, above

if TYPE_CHECKING:
    from sweeper.results.results import Results

Histograms = NDArray[np.float32] | NDArray[np.float64]

_BATCH = 20_000
"""Images whose histograms are summed at once: some 60 MB."""

_RESIDUE = 1e-6
"""Of the minority pixels: histograms are in single precision, and fewer misses than that are a rounding."""

_NEAREST_FIRST = np.argsort(np.abs(OFFSETS), kind="stable")


@dataclass(frozen=True)
class Configuration:
    """One setting of one family at one level, as it was confirmed."""

    family: str
    setting: Setting
    """`tuned` also where the search chose the default: these are the same trials, counted once."""
    hyperparameters: str
    """JSON, as in the trials table."""
    trials: tuple[str, ...]
    """Keys, one per seed."""
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Mistakes:
    """What K configurations get wrong on N test images with S seeds, at G ratios of costs; weighted as the level is."""

    level: float
    ratios: tuple[float, ...]
    configurations: tuple[Configuration, ...]
    """Only those that share enough seeds to be compared."""
    left_out: tuple[Configuration, ...]
    """Confirmed too, but in no comparison: with the seeds that have counts, less than half of those of others.
    No seeds where no trial has counts."""
    seeds: tuple[int, ...]
    images: tuple[str, ...]
    misses: Array
    """(G, N, K, S) pixels of a minority class that were not predicted as it."""
    alarms: Array
    """(G, N, K, S) pixels predicted as a minority class that they are not of; one taken for another minority class is a
    miss and a false alarm."""
    offsets: Array
    """(G, K, S), of the background's logit."""
    target: Array
    """(N,) pixels of the minority classes."""
    pixels: Array
    """(N,) all pixels that count."""
    tuned: bool
    """Whether thresholds follow the ratio; else everything is at argmax."""


def mistakes(results: Results, evidence: Evidence, ratios: Sequence[float]) -> Iterator[Mistakes]:
    """Yield the mistakes at every level that has any, mildest first.

    A level without minority pixels on test, or where no seed or image is common to the configurations, has none.
    """
    trials = confirmed(results)
    measured = results.margins.filter(pc.is_in(results.margins["key"], pa.array(trials["key"], pa.string())))
    tuned = {"val", "test"} <= set(pc.unique(measured["split"]).to_pylist())
    for level in sorted(results.meta["levels"]):
        found = _configurations(trials[trials["level"] == level], results.meta["families"])
        one = (
            _at_best_offsets(level, found, measured, tuple(ratios))
            if tuned
            else _at_argmax(level, found, evidence, tuple(ratios))
        )
        if one is not None and one.target.sum() > 0:
            yield one


def best_offsets(found: Histograms, alarms: Histograms, ratios: Sequence[float]) -> NDArray[np.intp]:
    """Return the index into `OFFSETS` of the offset of least cost per trial and ratio, (T, G); ties go to the one
    nearest 0.

    Args:
        found: (T, BINS) minority pixels by their margin, as in the margins table.
        alarms: (T, BINS) would-be false alarms by theirs.
        ratios: (G,) cost of a miss in false alarms.
    """
    hits, wrong = above(found.astype(np.float64)), above(alarms.astype(np.float64))
    # Every pixel found is a miss less; how many there are to find is the same at every offset.
    costs = np.stack([wrong - ratio * hits for ratio in ratios], axis=1)
    chosen: NDArray[np.intp] = _NEAREST_FIRST[costs[:, :, _NEAREST_FIRST].argmin(axis=2)]
    return chosen


def _configurations(trials: pd.DataFrame, families: Mapping[str, object]) -> list[Configuration]:
    found = []
    for family in families:
        own = trials[trials["family"] == family]
        for setting in SETTINGS:
            chosen = own[own["is_tuned"] if setting == "tuned" else own["is_default"] & ~own["is_tuned"]]
            if len(chosen):
                chosen = chosen.sort_values("seed")
                found.append(
                    Configuration(
                        family=str(family),
                        setting=setting,
                        hyperparameters=str(chosen["hyperparameters"].iloc[0]),
                        trials=tuple(map(str, chosen["key"])),
                        seeds=tuple(map(int, chosen["seed"])),
                    )
                )
    return found


def _shared(found: Sequence[Configuration]) -> tuple[list[Configuration], list[Configuration], list[int]]:
    """Return who can be compared, who is left out, and the seeds the former share.

    One configuration that just began would otherwise take nearly all seeds from the comparison of the others.
    """
    most = max((len(one.seeds) for one in found), default=0)
    kept = [one for one in found if one.seeds and 2 * len(one.seeds) >= most]
    rest = [one for one in found if one not in kept]
    return kept, rest, sorted(set[int].intersection(*(set(one.seeds) for one in kept))) if kept else []


def _with(one: Configuration, held: set[str]) -> Configuration:
    """Keep the trials of a configuration that are among those held."""
    pairs = [(key, seed) for key, seed in zip(one.trials, one.seeds, strict=True) if key in held]
    return replace(one, trials=tuple(key for key, _ in pairs), seeds=tuple(seed for _, seed in pairs))


def _at_best_offsets(
    level: float, found: Sequence[Configuration], margins: pa.Table, ratios: tuple[float, ...]
) -> Mistakes | None:
    keys = [key for one in found for key in one.trials]
    own = margins.filter(pc.is_in(margins["key"], pa.array(keys, pa.string())))
    pooled = own.filter(pc.and_(pc.equal(own["split"], "val"), pc.is_null(own["image"])))
    tested = own.filter(pc.and_(pc.equal(own["split"], "test"), pc.is_valid(own["image"])))
    held = set(pc.unique(pooled["key"]).to_pylist()) & set(pc.unique(tested["key"]).to_pylist())
    kept, rest, seeds = _shared([_with(one, held) for one in found])
    if not seeds:
        return None
    # The trials of the comparison, configuration by configuration, seed by seed.
    order = [one.trials[one.seeds.index(seed)] for one in kept for seed in seeds]
    pooled = pooled.take(pc.index_in(pa.array(order, pa.string()), pooled["key"].combine_chunks()))
    offsets = best_offsets(_bins(pooled["found"]), _bins(pooled["alarms"]), ratios)

    tested = tested.filter(pc.is_in(tested["key"], pa.array(order, pa.string())))
    names = sorted(pc.unique(tested["image"]).to_pylist())
    trial = _numbers(pc.index_in(tested["key"], pa.array(order, pa.string()))).astype(np.intp)
    image = _numbers(pc.index_in(tested["image"], pa.array(names, pa.string()))).astype(np.intp)
    seen = np.zeros((len(order), len(names)), bool)
    seen[trial, image] = True
    common = np.flatnonzero(seen.all(axis=0))
    if not len(common):
        return None
    shape = (len(ratios), len(names), len(order))
    misses, alarms = np.zeros(shape), np.zeros(shape)
    target, pixels = np.zeros(len(names)), np.zeros(len(names))
    for start in range(0, tested.num_rows, _BATCH):
        part = tested.slice(start, _BATCH)
        rows = slice(start, start + part.num_rows)
        chosen = offsets[trial[rows]]
        wanted = _numbers(part["target"])
        hits = np.take_along_axis(above(_bins(part["found"]).astype(np.float64)), chosen, axis=1)
        wrong = np.take_along_axis(above(_bins(part["alarms"]).astype(np.float64)), chosen, axis=1)
        # What is found may differ from what there is by a rounding, either way.
        missed = wanted[:, None] - hits
        misses[:, image[rows], trial[rows]] = np.where(missed > _RESIDUE * wanted[:, None], missed, 0.0).T
        alarms[:, image[rows], trial[rows]] = wrong.T
        # The same for all trials of a level, which are tested on the same images under the same weights.
        target[image[rows]] = wanted
        pixels[image[rows]] = _numbers(part["pixels"])
    cells = (len(ratios), len(common), len(kept), len(seeds))
    return Mistakes(
        level=level,
        ratios=ratios,
        configurations=tuple(kept),
        left_out=tuple(rest),
        seeds=tuple(seeds),
        images=tuple(names[index] for index in common),
        misses=misses[:, common].reshape(cells),
        alarms=alarms[:, common].reshape(cells),
        offsets=OFFSETS[offsets].T.reshape(len(ratios), len(kept), len(seeds)),
        target=target[common],
        pixels=pixels[common],
        tuned=True,
    )


def _at_argmax(
    level: float, found: Sequence[Configuration], evidence: Evidence, ratios: tuple[float, ...]
) -> Mistakes | None:
    counts = {one: evidence.counts.get(Key(one.family, level, one.setting, "argmax")) for one in found}
    held = {key for cell in counts.values() if cell is not None for key in cell.trials}
    kept, rest, seeds = _shared([_with(one, held) for one in found])
    cells = [evidence.counts[Key(one.family, level, one.setting, "argmax")] for one in kept]
    images = sorted(set[str].intersection(*(set(cell.images) for cell in cells))) if cells else []
    classes = [evidence.classes.index(name) for name in evidence.minority]
    if not seeds or not images or not classes:
        return None
    # (K, S, N, C, 4)
    values = np.stack(
        [
            cell.values[np.ix_([cell.seeds.index(s) for s in seeds], [cell.images.index(i) for i in images], classes)]
            for cell in cells
        ]
    )
    summed = values.sum(axis=3).transpose(2, 0, 1, 3)
    shape = (len(ratios), *summed.shape[:3])
    return Mistakes(
        level=level,
        ratios=ratios,
        configurations=tuple(kept),
        left_out=tuple(rest),
        seeds=tuple(seeds),
        images=tuple(images),
        misses=np.broadcast_to(summed[..., FN], shape),
        alarms=np.broadcast_to(summed[..., FP], shape),
        offsets=np.zeros((len(ratios), len(kept), len(seeds))),
        target=summed[:, 0, 0, TP] + summed[:, 0, 0, FN],
        # Every class counts every pixel once.
        pixels=values[0, 0, :, 0].sum(axis=-1),
        tuned=False,
    )


def _numbers(column: pa.ChunkedArray | pa.Array) -> Array:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _bins(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Return a column of histograms as (rows, BINS)."""
    flat = column.combine_chunks()
    values = flat.flatten() if isinstance(flat, pa.Array) else pa.concat_arrays([one.flatten() for one in flat.chunks])
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(len(column), BINS)
