"""The confirmed pixel counts of a study, as arrays ready to be pooled: from tidy tables to numbers with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Array, Interval
from sweeper.results.schema import COUNT_METRICS, MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

Setting = Literal["tuned", "default"]
Point = Literal["argmax", "shifted"]
SETTINGS: tuple[Setting, ...] = ("tuned", "default")
POINTS: tuple[Point, ...] = ("argmax", "shifted")

ALL = "(all classes)"
"""The `class` of scores averaged over every class present, the background included."""


class Key(NamedTuple):
    """What is compared: one setting of one family at one level, read at one operating point."""

    family: str
    level: float
    setting: Setting = "tuned"
    point: Point = "argmax"


class Shared(NamedTuple):
    """The seeds and test images that several cells have in common, sorted."""

    seeds: tuple[int, ...]
    images: tuple[str, ...]


class Scored(NamedTuple):
    """One metric of one cell per seed: as it is (S,), and under every draw of images (S, R); NaN where undefined."""

    actual: Array
    drawn: Array


@dataclass(frozen=True)
class Counts:
    """Test counts of the confirm trials of one key."""

    trials: tuple[str, ...]
    """Keys of the trials, one per seed."""
    seeds: tuple[int, ...]
    images: tuple[str, ...]
    values: Array
    """(S, N, C, 4), `tp, fp, fn, tn` under the level weights; 0 where an image does not show a class."""

    def of(self, shared: Shared) -> Array:
        """Return the values of some of its seeds and images."""
        if (self.seeds, self.images) == shared:
            return self.values
        seeds = {seed: index for index, seed in enumerate(self.seeds)}
        images = {image: index for index, image in enumerate(self.images)}
        rows, columns = [seeds[one] for one in shared.seeds], [images[one] for one in shared.images]
        return self.values[np.ix_(rows, columns)]


@dataclass(frozen=True)
class Evidence:
    """Every confirmed cell of a study, and how its intervals are drawn."""

    counts: Mapping[Key, Counts]
    classes: tuple[str, ...]
    minority: tuple[str, ...]
    seed: int = 0
    """Of the resampling: equal seeds give equal reports."""

    def columns(self, klass: str) -> list[int]:
        """Return the classes that a name in the tables stands for: itself, the minority, or all."""
        names = self.minority if klass == MINORITY else self.classes if klass == ALL else (klass,)
        return [self.classes.index(name) for name in names]

    def scores(self, key: Key, metrics: Sequence[str], classes: Sequence[str]) -> dict[tuple[str, str], Interval]:
        """Return the interval of every (class, metric) of one cell."""
        cell = self.counts[key]
        resample = _resample(len(cell.seeds), len(cell.images), self.seed)
        columns = {klass: self.columns(klass) for klass in classes}
        actual, drawn = (
            np.stack(
                [
                    statistics.present_mean(values[..., columns[klass]]).T
                    for values in (statistics.ratio(counts, metric) for metric in metrics)
                    for klass in classes
                ]
            )
            for counts in statistics.pool(cell.values, resample)
        )
        truth = statistics.targets(cell.values)
        resting = np.array([statistics.effective(truth[:, columns[klass]]) for klass in classes])
        found = statistics.intervals(actual, drawn, resample, np.tile(resting, len(metrics)))
        names = [(klass, metric) for metric in metrics for klass in classes]
        return {name: found.one(index).clipped(0.0, 1.0) for index, name in enumerate(names)}

    def score(self, key: Key, metric: str, klass: str = MINORITY) -> Interval:
        """Return the interval of one metric of one cell, in [0, 1]."""
        cell = self.counts[key]
        own = Shared(cell.seeds, cell.images)
        scored = self.scored(key, metric, klass, own)
        resting = self.resting(key, klass, own)
        found = statistics.intervals(scored.actual[None], scored.drawn[None], self.resample(own), resting)
        return found.one(0).clipped(0.0, 1.0)

    def difference(self, first: Key, second: Key, metric: str, klass: str = MINORITY) -> Interval | None:
        """Return the paired difference first − second, or None where they share no seed or no image."""
        shared = self.shared([first, second])
        if shared is None:
            return None
        one, other = (self.scored(key, metric, klass, shared) for key in (first, second))
        found = statistics.intervals(
            (one.actual - other.actual)[None],
            (one.drawn - other.drawn)[None],
            self.resample(shared),
            self.resting(first, klass, shared),
        )
        return found.one(0)

    def same(self, first: Key, second: Key) -> bool:
        """Whether both names stand for the same trials, as when a search kept the default."""
        return self.counts[first].trials == self.counts[second].trials

    def lead_shares(self, keys: Sequence[Key], metric: str, klass: str = MINORITY) -> dict[Key, float]:
        """Return the share of repetitions in which each key scores highest, over the seeds and images all share.

        Keys that score alike share a repetition.
        """
        shared = self.shared(keys)
        if shared is None:
            return {}
        seeds = self.resample(shared).seeds
        means = np.stack(
            [statistics.repetitions(self.scored(key, metric, klass, shared).drawn.T, seeds) for key in keys]
        )
        # Rounded, so that twins, whose counts are added up in another order, stay twins.
        stacked = np.where(np.isnan(means), -np.inf, means.round(12))
        first = stacked == stacked.max(axis=0)
        wins = (first / first.sum(axis=0)).mean(axis=1)
        return dict(zip(keys, wins.tolist(), strict=True))

    def shared(self, keys: Sequence[Key]) -> Shared | None:
        """Return the seeds and images all keys have, or None where there are none."""
        cells = [self.counts[key] for key in keys if key in self.counts]
        if len(cells) < len(keys) or not cells:
            return None
        seeds, images = cells[0].seeds, cells[0].images
        for cell in cells[1:]:
            # Nearly always the same for all: told apart first, since intersecting thousands of names takes time.
            if cell.seeds != seeds:
                seeds = tuple(sorted(set(seeds).intersection(cell.seeds)))
            if cell.images != images:
                images = tuple(sorted(set(images).intersection(cell.images)))
        return Shared(seeds, images) if seeds and images else None

    def common(self, keys: Sequence[Key]) -> tuple[list[Array], statistics.Resample] | None:
        """Return the counts of the keys over the seeds and images all share, and a resample of these."""
        shared = self.shared(keys)
        if shared is None:
            return None
        return [self.counts[key].of(shared) for key in keys], self.resample(shared)

    def resample(self, shared: Shared) -> statistics.Resample:
        """Return the draws of these seeds and images: the same for all cells that are scored on them."""
        return _resample(len(shared.seeds), len(shared.images), self.seed)

    def scored(self, key: Key, metric: str, klass: str, shared: Shared) -> Scored:
        """Return one metric of one cell over some of its seeds and images; kept, since every pair asks again."""
        return self._memory(key, metric, klass, shared)

    def image_scores(self, key: Key, metric: str, klass: str, shared: Shared) -> Array:
        """Return a metric of every single image, (S, N), mean over the classes it shows; NaN where it shows none."""
        return statistics.score(self.counts[key].of(shared)[:, :, self.columns(klass)], metric)

    def resting(self, key: Key, klass: str, shared: Shared) -> float:
        """Return how many images a score rests on; see `statistics.effective`."""
        return statistics.effective(statistics.targets(self.counts[key].of(shared)[:, :, self.columns(klass)]))

    @cached_property
    def _memory(self) -> Callable[[Key, str, str, Shared], Scored]:
        return lru_cache(maxsize=512)(self._scored)

    def _scored(self, key: Key, metric: str, klass: str, shared: Shared) -> Scored:
        values = self.counts[key].of(shared)[:, :, self.columns(klass)]
        actual, drawn = statistics.pool(values, self.resample(shared))
        return Scored(statistics.score(actual, metric), np.ascontiguousarray(statistics.score(drawn, metric).T))


def gather(results: Results, *, seed: int = 0) -> Evidence:
    """Collect the per-image test counts of every completed confirm trial."""
    trials = confirmed(results)
    data = results.meta["data"]
    by_index = {entry["index"]: str(entry["name"]) for entry in data["classes"]}
    recorded = _recorded(results.scores, trials["key"].tolist(), list(by_index.values()))
    keys, seeds = trials["key"].tolist(), trials["seed"].tolist()
    flags = {setting: trials[f"is_{setting}"].tolist() for setting in SETTINGS}
    cells: dict[tuple[str, float], list[int]] = {}
    for row, cell in enumerate(zip(trials["family"].tolist(), trials["level"].tolist(), strict=True)):
        cells.setdefault(cell, []).append(row)
    stacked: dict[tuple[tuple[int, ...], int], Counts | None] = {}
    counts: dict[Key, Counts] = {}
    for family, level, setting in product(results.meta["families"], results.meta["levels"], SETTINGS):
        ordered = sorted(cells.get((family, level), []), key=lambda row: int(seeds[row]))
        for number, point in enumerate(POINTS):
            rows = tuple(row for row in ordered if flags[setting][row] and recorded.present[row, number].any())
            # Where the search kept the default, both settings are the same trials: stacked once.
            if rows and (rows, number) not in stacked:
                stacked[rows, number] = recorded.stack(
                    rows, number, [keys[row] for row in rows], [int(seeds[row]) for row in rows]
                )
            found = stacked[rows, number] if rows else None
            if found is not None:
                counts[Key(family, level, setting, point)] = found
    classes = recorded.classes
    minority = tuple(by_index[index] for index in data["minority"] if by_index[index] in classes)
    return Evidence(counts=counts, classes=classes, minority=minority, seed=seed)


def confirmed(results: Results) -> pd.DataFrame:
    """Return the completed confirm trials."""
    trials = results.trials
    wanted = pc.and_(pc.equal(trials["stage"], "confirm"), pc.equal(trials["status"], "completed"))
    found: pd.DataFrame = trials.filter(wanted).to_pandas()
    return found


@dataclass(frozen=True)
class _Recorded:
    """The counts of all confirm trials as one array."""

    classes: tuple[str, ...]
    """Those some test image was counted for, in the order of the data."""
    images: tuple[str, ...]
    values: Array
    """(T, 2, N, C, 4) over trials, points and all images."""
    present: NDArray[np.bool_]
    """(T, 2, N): whether the trial was scored on the image."""

    def stack(self, rows: tuple[int, ...], point: int, keys: list[str], seeds: list[int]) -> Counts | None:
        """Return the counts of some trials over the images all were tested on; None where there are none."""
        chosen = np.flatnonzero(self.present[rows, point].all(axis=0))
        if not len(chosen):
            return None
        images = tuple(self.images[index] for index in chosen.tolist())
        return Counts(tuple(keys), tuple(seeds), images, self.values[:, point][np.ix_(np.array(rows), chosen)])


def _recorded(scores: pa.Table, keys: list[str], names: list[str]) -> _Recorded:
    """Sort the rows of `scores` into one array: millions of rows, so that nothing is done row by row in Python."""
    wanted = pc.and_(
        pc.and_(pc.is_valid(scores["image"]), pc.equal(scores["split"], "test")),
        pc.and_(
            pc.is_in(scores["metric"], pa.array(COUNT_METRICS)), pc.is_in(scores["key"], pa.array(keys, pa.string()))
        ),
    )
    rows = scores.filter(wanted)
    seen = set(pc.unique(rows["class"]).to_pylist())
    classes = tuple(name for name in names if name in seen)
    images = tuple(sorted(pc.unique(rows["image"]).to_pylist()))
    shape = (len(keys), len(POINTS), len(images), len(classes), len(COUNT_METRICS))
    columns = ("key", "point", "image", "class", "metric")
    found = [
        pc.index_in(rows[column], pa.array(values, pa.string())).fill_null(-1).to_numpy()
        for column, values in zip(columns, (keys, POINTS, images, classes, COUNT_METRICS), strict=True)
    ]
    known = np.logical_and.reduce([codes >= 0 for codes in found])
    places = tuple(codes[known].astype(np.intp) for codes in found)
    values = np.zeros(shape)
    values[places] = rows["value"].fill_null(0.0).to_numpy()[known]
    present = np.zeros(shape[:3], bool)
    present[places[:3]] = True
    return _Recorded(classes, images, values, present)


@lru_cache(maxsize=32)
def _resample(seeds: int, images: int, seed: int) -> statistics.Resample:
    # One draw for all cells of the same shape is what pairs them.
    return statistics.draw(seeds, images, rng=np.random.default_rng(seed))
