"""Boundary, object and centerline scores of whole test pictures: from per-picture rows to means with intervals.

A picture that does not show a class has no score of it. In one where nothing of the class is predicted, the normalized
surface distance and clDice are 0 and the Hausdorff distance is undefined: it needs two boundaries. A family that misses
an object altogether so takes its worst pictures out of its own mean, which is why `hd95` comes with the number of
pictures it covers, with the share of objects missed, and with its mean over the pictures that every family covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sweeper.report.inference import statistics
from sweeper.report.inference.seeds import tuned_seeds
from sweeper.report.inference.statistics import Array, Interval
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

MEANS = ("nsd", "cldice", "hd95")
"""Scores averaged over the pictures in which they are defined."""

KEPT = (*MEANS, "objects", "objects_missed")
"""What is read of every picture and class."""

METRICS = (*MEANS, "hd95_common", "object_miss_rate")
"""What is worked out: `hd95_common` over the pictures every compared family covers."""

HIGHEST = {"nsd": 1.0, "cldice": 1.0, "object_miss_rate": 1.0}
"""What a score can be at most; distances are in pixels and have no end."""


class Place(NamedTuple):
    """A tuned family at a level, read at argmax."""

    family: str
    level: float


@dataclass(frozen=True)
class Pictures:
    """Per-picture scores of one place, NaN where a score is undefined."""

    seeds: tuple[int, ...]
    values: Array
    """(S seeds, N pictures, C classes, `KEPT`)."""


@dataclass(frozen=True)
class Surfaces:
    """Per-picture scores of a study."""

    places: Mapping[Place, Pictures]
    classes: tuple[str, ...]
    """The minority classes, in the study's order."""
    seed: int = 0
    """Of the resampling."""

    def of(self, place: Place, common: Array) -> Iterator[tuple[str, str, Interval]]:
        """Yield (class, metric, interval) of a place, of single classes and of their mean.

        `common` (C, N) marks the pictures of which every compared family has a Hausdorff distance.
        """
        own = self.places[place].values
        resample = _resample(*own.shape[:2], self.seed)
        top, bottom = _parts(own, common)
        actual = _divide(top.sum(axis=-1), bottom.sum(axis=-1))
        drawn = _divide(top @ resample.images.T, bottom @ resample.images.T)
        every = list(range(len(self.classes)))
        chosen = {name: [at] for at, name in enumerate(self.classes)} | ({MINORITY: every} if len(every) > 1 else {})
        for klass, columns in chosen.items():
            # A score of several classes rests on as many pictures as that of the class with the fewest.
            resting = [statistics.effective(weights[columns].mean(axis=1).T) for weights in bottom]
            found = statistics.intervals(
                statistics.present_mean(actual[:, columns], axis=1),
                statistics.present_mean(drawn[:, columns], axis=1),
                resample,
                np.array(resting),
            )
            for at, metric in enumerate(METRICS):
                yield klass, metric, found.one(at).clipped(0.0, HIGHEST.get(metric, np.inf))

    def common(self, level: float) -> tuple[Array, tuple[str, ...]]:
        """Return the pictures (C, N) of which all families have a Hausdorff distance with all seeds at a level.

        A seed of a family that has none at all of a class is left out for that class, for it would leave no picture;
        the families of those left out anywhere come second.
        """
        here = {place.family: own.values[..., KEPT.index("hd95")] for place, own in self.places.items()
                if place.level == level}  # fmt: skip
        shape = next(iter(here.values())).shape
        mask = np.ones((shape[2], shape[1]))
        without = []
        for family, values in here.items():
            defined = ~np.isnan(values)
            silent = ~defined.any(axis=1, keepdims=True)
            mask *= (defined | silent).all(axis=0).T
            if silent.any():
                without.append(family)
        return mask, tuple(without)


def gather_surfaces(results: Results, *, seed: int = 0) -> Surfaces | None:
    """Collect the per-picture test scores of the tuned confirm trials at argmax; None for results that have none."""
    trials = tuned_seeds(results)
    scores = results.scores
    wanted = pc.and_(
        pc.and_(pc.is_valid(scores["image"]), pc.equal(scores["split"], "test")),
        pc.and_(pc.equal(scores["point"], "argmax"), pc.is_in(scores["metric"], pa.array(KEPT))),
    )
    rows = scores.filter(wanted)
    codes = {name: rows[name].combine_chunks().dictionary_encode() for name in ("key", "image", "class", "metric")}
    classes = _minority(results, codes["class"].dictionary.to_pylist())
    if not len(rows) or not classes:
        return None
    images = sorted(codes["image"].dictionary.to_pylist())
    known = {"key": list(trials["key"]), "image": images, "class": list(classes), "metric": list(KEPT)}
    at = tuple(_positions(codes[name], known[name]) for name in ("key", "image", "class", "metric"))
    valid = np.logical_and.reduce([each >= 0 for each in at])
    values = np.full((len(trials), len(images), len(classes), len(KEPT)), np.nan)
    values[tuple(each[valid] for each in at)] = rows["value"].to_numpy()[valid].astype(np.float64)
    scored = np.isin(trials.index, at[0][valid])
    places = {}
    for (family, level), group in trials[scored].groupby(["family", "level"], sort=False):
        own = group.index.to_numpy()
        seeds = tuple(int(number) for number in group["seed"])
        places[Place(str(family), float(str(level)))] = Pictures(seeds, values[own])
    return Surfaces(places, classes, seed) if places else None


def surfaces(found: Surfaces) -> pd.DataFrame:
    """Return one row per family, level, class and metric.

    Columns: family, level, class, metric (of `METRICS`), mean, low, high, seeds, `pictures` (that show the class),
    `covered` (of these with the score, mean over seeds), `objects` (in these pictures; the truth, so of no seed).
    """
    rows = []
    for level in sorted({place.level for place in found.places}):
        mask, _ = found.common(level)
        for place, own in found.places.items():
            if place.level != level:
                continue
            for klass, metric, interval in found.of(place, mask):
                chosen = [found.classes.index(klass)] if klass in found.classes else list(range(len(found.classes)))
                values = own.values[:, :, chosen]
                covered = _covered(values, metric, mask[chosen])
                counts = (len(own.seeds), int(_shown(values).any(axis=0).sum()), covered, _objects(values))
                rows.append((*place, klass, metric, interval.mean, interval.low, interval.high, *counts))
    columns = ["family", "level", "class", "metric", "mean", "low", "high", "seeds", "pictures", "covered", "objects"]
    return pd.DataFrame(rows, columns=columns)


def _parts(values: Array, common: Array) -> tuple[Array, Array]:
    """Return what every picture adds to a score and what it weighs in it, two arrays (`METRICS`, C, S, N).

    A score is the sum of the one over that of the other: mostly the mean of the pictures that have it; of objects the
    share of all of them, so that every object counts once.
    """
    by_name = dict(zip(KEPT, np.moveaxis(values, (3, 2), (0, 1)), strict=True))
    tops, bottoms = [], []
    for metric in METRICS:
        if metric == "object_miss_rate":
            top, bottom = (np.nan_to_num(by_name[name]) for name in ("objects_missed", "objects"))
        else:
            own = by_name["hd95" if metric == "hd95_common" else metric]
            there = ~np.isnan(own)
            if metric == "hd95_common":
                there &= common[:, None] > 0
            top, bottom = np.where(there, own, 0.0), there.astype(np.float64)
        tops.append(top)
        bottoms.append(bottom)
    return np.stack(tops), np.stack(bottoms)


def _divide(top: Array, bottom: Array) -> Array:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def _shown(values: Array) -> NDArray[np.bool_]:
    """Whether a picture shows the class, by the truth alone: (S, N, C)."""
    return np.asarray(np.nan_to_num(values[..., KEPT.index("objects")]) > 0)


def _objects(values: Array) -> int:
    return int(np.nan_to_num(values[..., KEPT.index("objects")]).max(axis=0).sum())


def _covered(values: Array, metric: str, mask: Array) -> float:
    """Return how many (picture, class) have the score, mean over seeds: values (S, N, C, `KEPT`), mask (C, N)."""
    if metric == "object_miss_rate":
        return float(_shown(values).sum(axis=(1, 2)).mean())
    there = ~np.isnan(values[..., KEPT.index("hd95" if metric == "hd95_common" else metric)])
    if metric == "hd95_common":
        there &= mask.T > 0
    return float(there.sum(axis=(1, 2)).mean())


def _minority(results: Results, scored: Sequence[str]) -> tuple[str, ...]:
    data = results.meta["data"]
    names = [str(one["name"]) for one in data["classes"] if one["index"] in data["minority"]]
    return tuple(name for name in names if name in scored)


def _positions(codes: pa.DictionaryArray, known: Sequence[str]) -> NDArray[np.int64]:
    """Return where in `known` every value lies, −1 for those that are not there: one look-up per distinct value."""
    place = pd.Index(known).get_indexer(codes.dictionary.to_pylist())
    found: NDArray[np.int64] = place[codes.indices.to_numpy(zero_copy_only=False)]
    return found


@lru_cache(maxsize=32)
def _resample(seeds: int, images: int, seed: int) -> statistics.Resample:
    # One draw for all places of the same shape pairs them.
    return statistics.draw(seeds, images, rng=np.random.default_rng(seed))
