"""How the search scores answer to the dials: smooth curves and maps, each with what the trials leave open.

All dials that moved in a cell are smoothed together. What is shown of one of them, or of two, is the average over
values of the others that the search tried (partial dependence; Friedman 2001, doi:10.1214/aos/1013203451): a curve over
β says how scores go with β where the other dials are as they were in the search, not where each is best for that β.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sweeper.report.search.dials import Dial, FamilySearch
from sweeper.report.search.smoother import Posterior, Smoother, fit

LEAST = 6
"""Trials that ran to the end below which nothing is smoothed."""
SPREAD = 12
"""The same for a map over two dials."""
PER_DIAL = 2
"""Trials wanted for every dial that moved, beyond the first two."""
MOST = 150
"""Trials of a cell that are fitted; of more, as many spread evenly over the search."""
BACKGROUND = 16
"""Values of the other dials averaged over."""
STEPS = 33
"""Places of a curve."""
CELLS = 20
"""Cells of a map along each dial."""
INWARD = 0.2
"""How far from the end of a domain, as a share of it, a curve is compared with its end."""
NEAR = 0.03
"""A setting closer to an end of its domain, as a share of it, lies at the edge."""
FEW_VALUES = 5
"""A dial with fewer values is at an edge too easily for that to mean something."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """A measure over one dial."""

    values: NDArray[np.float64]
    """(G,), rising; so are all that follow (G,)."""
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def best(self) -> Mask:
        """Where the curve cannot be told from its best: its band reaches the highest mean."""
        return np.asarray(self.high >= self.mean.max())

    @property
    def regions(self) -> list[tuple[float, float]]:
        """First and last value of every stretch of `best`."""
        changes = np.flatnonzero(np.diff(np.concatenate([[False], self.best, [False]]).astype(np.int8)))
        return [(float(self.values[start]), float(self.values[stop - 1])) for start, stop in changes.reshape(-1, 2)]


@dataclass(frozen=True)
class Sheet:
    """A measure over two dials, on a grid of `CELLS` by `CELLS` cells: (first, second)."""

    first: NDArray[np.float64]
    """(CELLS + 1,) ends of the cells."""
    second: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    high: NDArray[np.float64]
    prior: float
    """Standard deviation where no trial says anything."""

    @property
    def best(self) -> Mask:
        """As of a curve."""
        return np.asarray(self.high >= self.mean.max())


@dataclass(frozen=True)
class Response:
    """One measure of one family at one level, smoothed over the dials that moved there."""

    search: FamilySearch
    level: float
    measure: str
    rows: NDArray[np.intp]
    """Trials of `search` that were fitted."""
    moved: tuple[int, ...]
    """Dials of `search` that the smoother knows, in the order of its axes."""
    smoother: Smoother
    points: NDArray[np.float64]
    """(trials, dials moved), in the unit cube."""
    ended: int
    """Fitted trials that ran to the end; the others were stopped early."""
    scored: int
    """Trials there are, of which no more than `MOST` were fitted."""

    @cached_property
    def curves(self) -> dict[int, Curve]:
        """The measure over every dial that moved, by its index in `search`, clipped to [0, 1]."""
        found = {}
        for dial in self.moved:
            about = self.search.dials[dial]
            grid = _grid(about)
            along = self._averaged({dial: grid})
            mean, low, high = (np.clip(part, 0, 1) for part in (along.mean, along.low, along.high))
            found[dial] = Curve(about.values(grid), mean, low, high)
        return found

    def sheet(self, first: int, second: int) -> Sheet:
        """Return the measure over two dials, clipped to [0, 1]."""
        centers = (np.arange(CELLS) + 0.5) / CELLS
        places = np.meshgrid(centers, centers, indexing="ij")
        found = self._averaged({first: places[0].ravel(), second: places[1].ravel()})
        mean, sd, high = (np.reshape(part, (CELLS, CELLS)) for part in (found.mean, found.sd, found.high))
        ends = np.linspace(0, 1, CELLS + 1)
        one, other = (self.search.dials[index].values(ends) for index in (first, second))
        return Sheet(one, other, np.clip(mean, 0, 1), sd, np.clip(high, 0, 1), self.smoother.signal)

    def rising(self, dial: int, end: float) -> bool:
        """Say whether the curve is highest at an end (0 or 1) of the dial and surely still rises there."""
        mean = self.curves[dial].mean
        if mean[0 if end == 0 else -1] < mean.max():
            return False
        inward = abs(end - INWARD)
        axis = self.moved.index(dial)
        at_end, before = self._background(), self._background()
        at_end[:, axis], before[:, axis] = end, inward
        pair = np.concatenate([at_end, before])[None]
        shares = np.repeat([1 / len(at_end), -1 / len(before)], [len(at_end), len(before)])
        return bool(self.smoother.average(pair, shares).positive[0])

    def _averaged(self, fixed: dict[int, NDArray[np.float64]]) -> Posterior:
        background = self._background() if len(fixed) < len(self.moved) else self._background()[:1]
        size = len(next(iter(fixed.values())))
        places = np.repeat(background[None], size, axis=0)
        for dial, values in fixed.items():
            places[:, :, self.moved.index(dial)] = values[:, None]
        return self.smoother.average(places)

    def _background(self) -> NDArray[np.float64]:
        return self.points[spread(len(self.points), BACKGROUND)].copy()


@dataclass(frozen=True)
class Edge:
    """A search that ended at the edge of a domain: what is best may lie beyond it."""

    family: str
    level: float
    dial: Dial
    value: float
    """The best trial's."""
    end: str
    """`lower` or `upper`."""
    near: bool
    """The best trial lies at this end."""
    rising: bool
    """The smoothed score still rises towards this end."""


def respond(search: FamilySearch, level: float, measure: str = "score", *, seed: int = 0) -> Response | None:
    """Smooth a measure over the dials that moved; None where too few trials ran to the end.

    Trials stopped early take part with the share of training they lack as one more axis, so that a region where every
    trial was stopped is not taken for unknown; the result is for trials that run to the end. Dials without a number,
    and everything else that differs between trials, count as noise.
    """
    here = (search.trials["level"] == level).to_numpy() & search.trials[measure].notna().to_numpy()
    moved = tuple(
        index for index in search.moved if len(np.unique(search.values[here, index][_known(search, here, index)])) > 1
    )
    if not moved:
        return None
    rows = np.flatnonzero(here & np.isfinite(search.values[:, moved]).all(axis=1))
    scored = len(rows)
    rows = rows[spread(scored, MOST)]
    trials = search.trials.iloc[rows]
    ended = (trials["status"] == "completed").to_numpy()
    if ended.sum() < LEAST or len(rows) < 2 + PER_DIAL * len(moved):
        return None
    points = np.column_stack([search.dials[index].unit(search.values[rows, index]) for index in moved])
    lacking = np.where(ended, 0.0, np.log(np.maximum(trials["planned"] / np.maximum(trials["epochs"], 1), 1.01)))
    lacking = lacking / lacking.max() if lacking.any() else lacking
    smoother = fit(points, trials[measure].to_numpy(np.float64), lacking=lacking, seed=seed)
    return Response(search, level, measure, rows, moved, smoother, points, int(ended.sum()), scored)


def edges_of(search: FamilySearch, level: float, response: Response | None) -> Iterator[Edge]:
    """Yield every dial of which the best trial, or the smoothed score, lies at an end of its domain.

    The best trial is the one that the selection rule takes: the highest search score of those that ran to the end.
    """
    trials = search.trials
    here = np.flatnonzero((trials["level"] == level) & (trials["status"] == "completed"))
    if not len(here):
        return
    best = here[trials["score"].to_numpy(np.float64)[here].argmax()]
    for index, dial in enumerate(search.dials):
        value = float(search.values[best, index])
        if not np.isfinite(value) or index not in search.moved or 0 < len(dial.listed) < FEW_VALUES:
            continue
        place = float(dial.unit(np.array(value)))
        for end, name in ((0.0, "lower"), (1.0, "upper")):
            near = abs(place - end) <= NEAR
            rising = response is not None and index in response.moved and response.rising(index, end)
            if near or rising:
                yield Edge(search.family, level, dial, value, name, near, rising)


def _grid(dial: Dial) -> NDArray[np.float64]:
    return dial.unit(np.array(dial.listed)) if dial.listed else np.linspace(0, 1, STEPS)


def spread(size: int, most: int) -> NDArray[np.intp]:
    """Return up to `most` indices spread evenly over `size`."""
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).round().astype(np.intp)


def _known(search: FamilySearch, here: Mask, index: int) -> Mask:
    known: Mask = np.isfinite(search.values[here, index])
    return known
