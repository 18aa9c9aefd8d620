"""The confirmed pixel counts of a study, as arrays ready to be pooled: from tidy tables to numbers with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sweeper.report import statistics
from sweeper.report.statistics import Array, Interval
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


@dataclass(frozen=True)
class Counts:
    """Test counts of the confirm trials of one key."""

    trials: tuple[str, ...]
    """Keys of the trials, one per seed."""
    seeds: tuple[int, ...]
    images: tuple[str, ...]
    values: Array
    """(S, N, C, 4), `tp, fp, fn, tn` under the level weights; 0 where an image does not show a class."""


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
        actual, drawn = statistics.pool(cell.values, resample)
        found = {}
        for klass in classes:
            columns = self.columns(klass)
            for metric in metrics:
                found[klass, metric] = statistics.interval(
                    statistics.score(actual[:, columns], metric),
                    statistics.score(drawn[:, :, columns], metric),
                    resample.seeds,
                ).clipped(0.0, 1.0)
        return found

    def difference(self, first: Key, second: Key, metric: str, klass: str = MINORITY) -> Interval | None:
        """Return the paired difference first − second, or None where they share no seed or no image."""
        common = self.common([first, second])
        if common is None:
            return None
        (a, b), resample = common
        columns = self.columns(klass)
        return statistics.difference(a[:, :, columns], b[:, :, columns], metric, resample)

    def same(self, first: Key, second: Key) -> bool:
        """Whether both names stand for the same trials, as when a search kept the default."""
        return self.counts[first].trials == self.counts[second].trials

    def lead_shares(self, keys: Sequence[Key], metric: str, klass: str = MINORITY) -> dict[Key, float]:
        """Return the share of repetitions in which each key scores highest, over the seeds and images all share."""
        common = self.common(keys)
        if common is None:
            return {}
        cells, resample = common
        columns = self.columns(klass)
        means = [
            statistics.repetitions(
                statistics.score(statistics.pool(values[:, :, columns], resample)[1], metric), resample.seeds
            )
            for values in cells
        ]
        stacked = np.where(np.isnan(means), -np.inf, np.stack(means))
        wins = np.bincount(stacked.argmax(axis=0), minlength=len(keys)) / stacked.shape[1]
        return dict(zip(keys, wins.tolist(), strict=True))

    def common(self, keys: Sequence[Key]) -> tuple[list[Array], statistics.Resample] | None:
        """Return the counts of the keys over the seeds and images all share, and a resample of these."""
        cells = [self.counts[key] for key in keys if key in self.counts]
        if len(cells) < len(keys) or not cells:
            return None
        seeds = sorted(set(cells[0].seeds).intersection(*(cell.seeds for cell in cells)))
        images = sorted(set(cells[0].images).intersection(*(cell.images for cell in cells)))
        if not seeds or not images:
            return None
        chosen = [
            cell.values[np.ix_([cell.seeds.index(s) for s in seeds], [cell.images.index(i) for i in images])]
            for cell in cells
        ]
        return chosen, _resample(len(seeds), len(images), self.seed)


def gather(results: Results, *, seed: int = 0) -> Evidence:
    """Collect the per-image test counts of every completed confirm trial."""
    trials = confirmed(results)
    names = [str(entry["name"]) for entry in results.meta["data"]["classes"]]
    by_index = {entry["index"]: str(entry["name"]) for entry in results.meta["data"]["classes"]}
    scores = results.scores
    wanted = pc.and_(
        pc.and_(pc.is_valid(scores["image"]), pc.equal(scores["split"], "test")),
        pc.is_in(scores["metric"], pa.array(COUNT_METRICS)),
    )
    rows = scores.filter(wanted).to_pandas()
    seen = set(rows["class"].unique())
    classes = tuple(name for name in names if name in seen)
    rows["class"] = pd.Categorical(rows["class"], classes).codes
    rows["metric"] = pd.Categorical(rows["metric"], COUNT_METRICS).codes
    groups = dict(iter(rows.groupby(["key", "point"])[["image", "class", "metric", "value"]]))
    counts: dict[Key, Counts] = {}
    for (family, level), cell in trials.groupby(["family", "level"], sort=False):
        for setting in SETTINGS:
            chosen = cell[cell["is_tuned" if setting == "tuned" else "is_default"]].sort_values("seed")
            for point in POINTS:
                kept = [
                    (str(key), int(number))
                    for key, number in zip(chosen["key"], chosen["seed"], strict=True)
                    if (key, point) in groups
                ]
                if kept:
                    frames = [groups[key, point] for key, _ in kept]
                    counts[Key(str(family), float(str(level)), setting, point)] = _stack(kept, frames, classes)
    minority = tuple(by_index[index] for index in results.meta["data"]["minority"] if by_index[index] in classes)
    return Evidence(counts=counts, classes=classes, minority=minority, seed=seed)


def confirmed(results: Results) -> pd.DataFrame:
    """Return the completed confirm trials."""
    trials = results.trials
    wanted = pc.and_(pc.equal(trials["stage"], "confirm"), pc.equal(trials["status"], "completed"))
    found: pd.DataFrame = trials.filter(wanted).to_pandas()
    return found


def _stack(trials: Sequence[tuple[str, int]], frames: Sequence[pd.DataFrame], classes: tuple[str, ...]) -> Counts:
    """Stack one frame of (image, class, metric, value) per (key, seed), over the images all were tested on."""
    images = tuple(sorted(set.intersection(*(set(frame["image"]) for frame in frames))))
    values = np.zeros((len(frames), len(images), len(classes), len(COUNT_METRICS)))
    for layer, frame in zip(values, frames, strict=True):
        rows = pd.Index(images).get_indexer(frame["image"])
        kept = rows >= 0
        value = frame["value"].fillna(0.0).to_numpy(np.float64)
        layer[rows[kept], frame["class"].to_numpy()[kept], frame["metric"].to_numpy()[kept]] = value[kept]
    keys, seeds = zip(*trials, strict=True)
    return Counts(trials=keys, seeds=seeds, images=images, values=values)


@lru_cache(maxsize=32)
def _resample(seeds: int, images: int, seed: int) -> statistics.Resample:
    # One draw for all cells of the same shape is what pairs them.
    return statistics.draw(seeds, images, rng=np.random.default_rng(seed))
