"""Synthetic scans of well logs: a paper strip with a grid, one solid and one dashed curve, aged and scanned.

The track spans the whole picture. A curve at position p of [0, 1) lies at p x width pixels from the left edge, where
pixel j covers j to j + 1; a curve that leaves on one side comes back on the other, as in the print of a log. The mask
holds the pixels that ink covers by more than half, before any wear; where the curves cross it shows the dashed one,
which is inked last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sweeper.data import log_paper
from sweeper.data.exact_noise import Reals, between, smoothstep, wander
from sweeper.data.patches import SPLITS, ClassInfo, SplitName
from sweeper.data.pictures import Fault, Picture
from sweeper.data.settings import RasterLog
from sweeper.errors import DataError

CLASSES = (
    ClassInfo(0, "background", "#f2ead8"),
    ClassInfo(1, "curve_1", "#1f5fbf"),
    ClassInfo(2, "curve_2", "#d1392b"),
)
SMALLEST = 64
"""Least height and width of a scan: below it two curves, a grid and depth figures do not fit."""
STEPS = 16
"""Points per depth row at which a curve is traced; the steepest runs about 8 px per row, so points are 0.5 px apart."""
MARGIN = 4
"""Depth rows traced beyond each end, so that no curve ends visibly at the picture's edge."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One curve as the pen draws it, point by point."""

    x: Reals
    """Across, in pixels, not wrapped."""
    y: Reals
    """Down, in depth rows."""
    half_width: Reals
    """Half the width of the line, in pixels."""
    inked: NDArray[np.bool_]
    """False between dashes, where the pen skips and where nothing was logged."""
    truth: NDArray[np.float32]
    """(rows,), mean position within each depth row, in [0, 1), between dashes too; NaN where nothing was logged."""


def draw_scan(settings: RasterLog, number: int) -> Picture:
    """Return scan `number`: the same bytes on every machine for the same settings and numpy.

    Curves, paper and wear are drawn from separate random streams: `wear` changes how a scan looks and how often the
    pen skips, never where its curves run.
    """
    height, width = settings.height, settings.width
    geometry, pen, look = (
        np.random.Generator(np.random.PCG64(np.random.SeedSequence([settings.seed, number, purpose])))
        for purpose in range(3)
    )
    traces = _traces(geometry, pen, height, width, settings.wear)
    coverage = np.stack([_coverage(trace, height, width) for trace in traces])
    mask = np.zeros((height, width), dtype=np.uint8)
    for index, cover in enumerate(coverage, start=1):
        mask[cover > 0.5] = index  # in the order of inking: where curves cross, the later one is on top
    curves = np.full((len(CLASSES), height), np.nan, dtype=np.float32)
    for index, trace in enumerate(traces, start=1):
        curves[index] = trace.truth
    return Picture(image=log_paper.photograph(coverage, look, settings.wear), mask=mask, curves=curves)


def _traces(
    geometry: np.random.Generator, pen: np.random.Generator, height: int, width: int, wear: float
) -> tuple[Trace, Trace]:
    y = np.arange(-MARGIN * STEPS, (height + MARGIN) * STEPS) / STEPS + 0.5 / STEPS
    logged = _logged(geometry, y, height)
    activity = between(geometry, 0.7, 1.6)
    busy = _busy_section(geometry, y, height)
    home = between(geometry, 0.1, 0.9)
    solid = home + _response(geometry, y, width, activity, busy)
    # The two tools answer to the same rock: partly alike, partly mirrored, so the curves approach, follow and cross.
    likeness = between(geometry, -0.7, 0.7)
    dashed = home + between(geometry, -0.28, 0.28) + likeness * (solid - home)
    dashed += 0.8 * _response(geometry, y, width, activity, busy)
    return (
        _trace(pen, solid * width, y, logged, height, width, between(geometry, 1.9, 3.0), None, wear),
        _trace(
            pen,
            dashed * width,
            y,
            logged,
            height,
            width,
            between(geometry, 1.6, 2.6),
            (between(geometry, 7, 11), between(geometry, 3.5, 5)),
            wear,
        ),
    )


def _response(rng: np.random.Generator, y: Reals, width: int, activity: float, busy: Reals) -> Reals:
    """Return how a tool answers to the rock, in track widths around 0: drift, beds, laminae and jitter.

    Periods are in depth rows; the quick parts are set in pixels so that the steepest run stays near 8 px per row.
    """
    pixel = 192.0 / width
    drift = 0.20 * wander(rng, y, 130) + 0.08 * wander(rng, y, 48)
    beds = np.zeros_like(y)
    at = between(rng, -20, 20)
    while at < y[-1]:
        beds += between(rng, -0.15, 0.15) * smoothstep((y - at) / between(rng, 9, 16))
        at += between(rng, 14, 60)
    beds -= 0.5 * beds[-1]  # jumps add up to a random walk; centred, so that a log does not spend all its time wrapping
    laminae = 0.030 * wander(rng, y, 15) + 0.010 * wander(rng, y, 6.5)
    quick = 0.16 * wander(rng, y, 9.5)
    return pixel * activity * (laminae + beds) + drift + pixel * busy * quick


def _busy_section(rng: np.random.Generator, y: Reals, height: int) -> Reals:
    """Return an envelope in [0, 1]: each log has one thinly bedded stretch where the curves swing widely."""
    length = between(rng, 70, 120)
    start = between(rng, -10, max(height - length + 10, 0))
    return smoothstep((y - start) / 14) * smoothstep((start + length - y) / 14)


def _logged(rng: np.random.Generator, y: Reals, height: int) -> NDArray[np.bool_]:
    """Return where the log holds data: about half of the logs miss a stretch, at an end or in the middle."""
    missing = np.zeros(len(y), dtype=bool)
    if rng.random() < 0.5:
        length = between(rng, 0.15, 0.4) * height
        start = between(rng, -0.2, 1.0) * height
        missing = (y >= start) & (y < start + length)
    return ~missing


def _trace(
    rng: np.random.Generator,
    x: Reals,
    y: Reals,
    logged: NDArray[np.bool_],
    height: int,
    width: int,
    line_width: float,
    dash: tuple[float, float] | None,
    wear: float,
) -> Trace:
    inked = logged.copy()
    if dash is not None:
        inked &= _dashes(rng, x, y, *dash)
    inked &= ~_skips(rng, y, height, wear)
    # Never below 1.1 px: a thinner line between two pixels covers neither by more than half, and the mask would break.
    half_width = 0.5 * np.maximum(line_width * (1 + 0.12 * wander(rng, y, 23)), 1.1)
    inside = slice(MARGIN * STEPS, (MARGIN + height) * STEPS)
    rows = x[inside].reshape(height, STEPS)
    total = rows[:, 0].copy()
    for step in range(1, STEPS):
        total += rows[:, step]
    position = total / STEPS / width
    truth = (position - np.floor(position)).astype(np.float32)
    truth[truth == 1] = 0  # 1 - 1e-9 is 1 in float32, which is the same place as 0
    truth[~logged[inside].reshape(height, STEPS).all(axis=1)] = np.nan
    return Trace(x=x, y=y, half_width=half_width, inked=inked, truth=truth)


def _dashes(rng: np.random.Generator, x: Reals, y: Reals, on: float, off: float) -> NDArray[np.bool_]:
    """Return where a dashed pen is down: `on` then `off` pixels along the line, as drawn."""
    steps_x, steps_y = np.diff(x), np.diff(y)
    along = np.concatenate([[0.0], np.cumsum(np.sqrt(steps_x * steps_x + steps_y * steps_y))])
    phase = (along + between(rng, 0, on + off)) / (on + off)
    down: NDArray[np.bool_] = (phase - np.floor(phase)) < on / (on + off)
    return down


def _skips(rng: np.random.Generator, y: Reals, height: int, wear: float) -> NDArray[np.bool_]:
    """Return where the pen left no ink: a few short stretches, more with wear, none at wear 0."""
    skipped = np.zeros(len(y), dtype=bool)
    places = rng.random((12, 3))
    for kept, start, length in places:
        if kept < 0.15 * wear:
            begin = start * height
            skipped |= (y >= begin) & (y < begin + 2 + 6 * length)
    return skipped


def _coverage(trace: Trace, height: int, width: int) -> Reals:
    """Return (height, width) in [0, 1]: the share of each pixel that the line covers, from its distance to the line."""
    x, y, half = (values[trace.inked] for values in (trace.x, trace.y, trace.half_width))
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    reach = 2  # a pixel centre further away than half the widest line plus half a pixel is not touched
    outside = np.full((height + 2 * (MARGIN + reach)) * width, 1e9)
    for down in range(-reach, reach + 1):
        offset_y = (row + down + 0.5) - y
        for across in range(-reach, reach + 1):
            offset_x = (column + across + 0.5) - x
            distance = np.sqrt(offset_x * offset_x + offset_y * offset_y) - half
            pixel = (row + down + MARGIN + reach) * width + (column + across) % width
            np.minimum.at(outside, pixel, distance)
    field = outside.reshape(-1, width)[MARGIN + reach : MARGIN + reach + height]
    return np.clip(0.5 - field, 0.0, 1.0)


@dataclass(frozen=True)
class RasterLogSource:
    """Scans drawn on demand, as a source of pictures."""

    settings: RasterLog
    name: str = "raster_log"
    classes: tuple[ClassInfo, ...] = CLASSES
    faults: tuple[Fault, ...] = ()
    unused: tuple[str, ...] = ()
    declared_in: str = "raster_log"

    def __post_init__(self) -> None:
        settings = self.settings
        problems = [
            f"data.{key} is {value!r}; {right}"
            for key, value, fine, right in (
                ("scans", settings.scans, settings.scans >= 5, "at least 5, so that each split holds one"),
                ("height", settings.height, settings.height >= SMALLEST, f"at least {SMALLEST} pixels"),
                ("width", settings.width, settings.width >= SMALLEST, f"at least {SMALLEST} pixels"),
                ("wear", settings.wear, 0 <= settings.wear <= 4, "between 0, a clean print, and 4, a ruin"),
                ("seed", settings.seed, settings.seed >= 0, "0 or more"),
            )
            if not fine
        ]
        if problems:
            raise DataError("\n".join(problems))

    @cached_property
    def splits(self) -> Mapping[SplitName, tuple[str, ...]]:
        """Of every five scans three train, one validates, one tests: more scans never move one to another split."""
        numbers: Mapping[SplitName, tuple[int, ...]] = {"train": (0, 1, 2), "val": (3,), "test": (4,)}
        return {
            split: tuple(f"scan-{number:04d}" for number in range(self.settings.scans) if number % 5 in numbers[split])
            for split in SPLITS
        }

    @property
    def track_width(self) -> int:
        return self.settings.width

    @property
    def seconds(self) -> float:
        return 5e-7 * self.settings.scans * self.settings.height * self.settings.width

    def identity(self) -> object:
        return dataclasses.asdict(self.settings)

    def read(self, stem: str) -> Picture:
        return draw_scan(self.settings, int(stem.removeprefix("scan-")))
