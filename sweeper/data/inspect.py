"""What a data set holds and which imbalance levels it can show: as plain data, and as a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.levels import Method, level_weights, mixture_reach, reachable
from sweeper.data.patches import SPLITS, ClassInfo, Prepared, Skipped, Split, SplitName
from sweeper.data.prepare import Progress, open_source, prepare
from sweeper.data.settings import DataSettings
from sweeper.errors import LevelError

LEVELS = (0.80, 0.90, 0.95, 0.97, 0.99)


@dataclass(frozen=True)
class LevelReport:
    """What weighting the patches of a split to one level takes."""

    level: float
    method: Method | None
    """None: the level cannot be reached."""
    effective: float | None
    """Equally weighted patches that are as informative; see `LevelWeights`."""


@dataclass(frozen=True)
class SplitReport:
    """One split in numbers."""

    pictures: int
    patches: int
    without_minority: int
    """Patches that hold no pixel of a minority class."""
    ignored: float
    """Share of the patches' pixels that belong to no class, padding included."""
    fractions: Mapping[str, float]
    """Share of each class among the valid pixels; a class that is absent has 0."""
    natural: float
    """Level without weights."""
    mixture: tuple[float, float] | None
    """Levels between these are reached by a pure change of prevalence; None when no patch holds a minority class."""
    tilt: tuple[float, float] | None
    """Levels strictly between these are reached at all."""
    levels: tuple[LevelReport, ...]


@dataclass(frozen=True)
class Inspection:
    """What `sweeper data inspect` tells."""

    name: str
    fingerprint: str
    classes: tuple[ClassInfo, ...]
    background: str
    background_because: str
    minority: tuple[str, ...]
    minority_because: str
    patch: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unused: tuple[str, ...]
    """Pictures that are in no split."""
    repeated: tuple[tuple[str, str], ...]
    """Pictures that are in two splits, as in `Prepared`."""
    skipped: tuple[Skipped, ...]
    """Damaged pictures that were left out."""
    splits: Mapping[SplitName, SplitReport]

    @property
    def reach(self) -> tuple[float, float] | None:
        """Levels strictly between these can be compared on every split; None when there are none."""
        reaches = [report.tilt for report in self.splits.values()]
        known = [reach for reach in reaches if reach is not None]
        low, high = max(low for low, _ in known) if known else 1.0, min((high for _, high in known), default=0.0)
        return (low, high) if len(known) == len(reaches) and low < high else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**dataclasses.asdict(self), "reach": self.reach}


def inspect(
    settings: DataSettings, cache: Path, *, levels: tuple[float, ...] = LEVELS, progress: Progress | None = None
) -> Inspection:
    """Prepare the data, or find it prepared, and describe it. Raises: DataError."""
    prepared = prepare(settings, cache, progress=progress)
    names = [item.name for item in prepared.classes]
    return Inspection(
        name=prepared.name,
        fingerprint=prepared.fingerprint,
        classes=prepared.classes,
        background=names[prepared.background],
        background_because=prepared.background_because,
        minority=tuple(names[index] for index in prepared.minority),
        minority_because=prepared.minority_because,
        patch=prepared.patch,
        channels=prepared.channels,
        mean=prepared.mean,
        std=prepared.std,
        unused=open_source(settings).unused,
        repeated=prepared.repeated,
        skipped=prepared.skipped,
        splits={name: describe(prepared, prepared.splits[name], levels) for name in SPLITS},
    )


def describe(prepared: Prepared, split: Split, levels: tuple[float, ...] = LEVELS) -> SplitReport:
    """Return one split in numbers."""
    counts = split.counts
    pixels = counts.sum(axis=0)
    valid = int(pixels.sum())
    minority = counts[:, list(prepared.minority)].sum(axis=1)
    mixture: tuple[float, float] | None
    tilt: tuple[float, float] | None
    try:
        mixture = mixture_reach(counts, background=prepared.background, minority=prepared.minority)
        tilt = reachable(counts, background=prepared.background, minority=prepared.minority)
    except LevelError:
        mixture = tilt = None
    return SplitReport(
        pictures=len(split.stems),
        patches=len(split),
        without_minority=int((minority == 0).sum()),
        ignored=1 - valid / (len(split) * prepared.patch**2),
        fractions={item.name: float(pixels[item.index] / valid) for item in prepared.classes},
        natural=float(pixels[prepared.background] / valid),
        mixture=mixture,
        tilt=tilt,
        levels=tuple(_level_report(prepared, counts, level) for level in levels),
    )


def _level_report(prepared: Prepared, counts: NDArray[np.int64], level: float) -> LevelReport:
    try:
        weights = level_weights(counts, background=prepared.background, minority=prepared.minority, level=level)
    except LevelError:
        return LevelReport(level, None, None)
    return LevelReport(level, weights.method, weights.effective)
