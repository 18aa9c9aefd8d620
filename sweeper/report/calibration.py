"""Whether the predicted probability of a minority class is kept: reliability curves and what they sum up to.

Everything starts from the `reliability` table: pixels in equal bins of the predicted probability that a pixel is of any
minority class, with the mean probability and the true share of each bin. Counts are under the level weights, so a
probability is judged at the imbalance its model was trained for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from sweeper.report.inference.seeds import over_seeds, tuned_seeds
from sweeper.report.inference.statistics import Array, Interval
from sweeper.results.margins import PROBABILITY_BINS

if TYPE_CHECKING:
    from sweeper.results.results import Results

LIKELY = PROBABILITY_BINS // 2
"""First bin of pixels that are given a probability of 0.5 or more."""

OVERLAP, PIXEL = "overlap-aware", "per-pixel"
"""The two ends of the first axis, whose calibration the literature tells apart."""


@dataclass(frozen=True)
class Bins:
    """Reliability of one tuned family at one level: (S seeds, B bins) each."""

    seeds: tuple[int, ...]
    pixels: Array
    """Under the level weights; 0 in an empty bin, as the two others."""
    probability: Array
    """Mean predicted probability of a minority class."""
    share: Array
    """Share of the pixels that are of one."""

    @property
    def minority(self) -> Array:
        """Minority pixels of each bin, (S, B)."""
        return self.pixels * self.share


Cells = Mapping[tuple[str, float], Bins]
"""By family and level."""


def gather_bins(results: Results) -> dict[tuple[str, float], Bins]:
    """Collect the test bins of the tuned confirm trials; empty for results that have none."""
    trials = tuned_seeds(results)
    rows = results.reliability.filter(pc.equal(results.reliability["split"], "test"))
    place = pd.Index(trials["key"]).get_indexer(rows["key"].to_pandas())
    wanted = place >= 0
    at = (place[wanted], rows["bin"].to_numpy()[wanted])
    stacked = np.zeros((3, len(trials), PROBABILITY_BINS))
    for layer, name in zip(stacked, ("pixels", "probability", "share"), strict=True):
        layer[at] = np.nan_to_num(rows[name].to_numpy()[wanted])
    known = np.isin(trials.index, place)
    cells = {}
    for (family, level), group in trials[known].groupby(["family", "level"], sort=False):
        own = group.index.to_numpy()
        seeds = tuple(int(number) for number in group["seed"])
        cells[str(family), float(str(level))] = Bins(seeds, *stacked[:, own])
    return cells


def expected_error(bins: Bins) -> Array:
    """Return the expected calibration error over all pixels, per seed (S,): Σ (pixels of the bin / all) · |gap|.

    Where most pixels are background and known to be, it is close to 0 whatever happens to the minority.
    Source: Naeini et al. 2015, AAAI 29; Guo et al. 2017, arXiv:1706.04599.
    """
    return _weighted(np.abs(bins.share - bins.probability), bins.pixels)


def minority_error(bins: Bins) -> Array:
    """Return the miscalibration that a random minority pixel meets, per seed (S,).

    Σ (minority pixels of the bin / all minority pixels) · |share − probability|. The truth weighs the bins; the gap of
    a bin is that of all of its pixels, so a family whose every probability is kept has 0.
    """
    return _weighted(np.abs(bins.share - bins.probability), bins.minority)


def promised(bins: Bins) -> Array:
    """Return the mean probability of the pixels that are given 0.5 or more, per seed (S,)."""
    return _weighted(bins.probability[:, LIKELY:], bins.pixels[:, LIKELY:])


def kept(bins: Bins) -> Array:
    """Return the share of the pixels given 0.5 or more that are of a minority class, per seed (S,)."""
    return _weighted(bins.share[:, LIKELY:], bins.pixels[:, LIKELY:])


def expected_area(bins: Bins) -> Array:
    """Return the minority pixels that the probabilities add up to, over those there are, per seed (S,)."""
    true = bins.minority.sum(axis=1)
    return np.where(true > 0, (bins.pixels * bins.probability).sum(axis=1) / np.where(true > 0, true, 1.0), np.nan)


def calibration(cells: Cells, *, seed: int) -> pd.DataFrame:
    """Return one row per family and level, mean over seeds with intervals over seeds.

    Columns: family, level, `ece` (all pixels), `minority_ece`, `promised` and `kept` (of pixels given 0.5 or more),
    `gap` (promised − kept, paired by seed), `area` (expected over true minority pixels); `_low` and `_high` of each
    but promised and kept; seeds.
    """
    rows = []
    for (family, level), bins in cells.items():
        row: dict[str, object] = {"family": family, "level": level}
        for name, values in (
            ("ece", expected_error(bins)),
            ("minority_ece", minority_error(bins)),
            ("gap", promised(bins) - kept(bins)),
            ("area", expected_area(bins)),
        ):
            found = over_seeds(values, seed=seed)
            # An error cannot be negative, nor an area; a gap of two shares lies in [-1, 1].
            found = found.clipped(-1.0 if name == "gap" else 0.0, np.inf if name == "area" else 1.0)
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
        row["promised"] = over_seeds(promised(bins), seed=seed).mean
        row["kept"] = over_seeds(kept(bins), seed=seed).mean
        row["seeds"] = len(bins.seeds)
        rows.append(row)
    ends = ("", "_low", "_high")
    columns = ["family", "level", *(f"{name}{end}" for name in ("ece", "minority_ece") for end in ends)]
    columns += ["promised", "kept", *(f"{name}{end}" for name in ("gap", "area") for end in ends), "seeds"]
    return pd.DataFrame(rows, columns=columns)


def curves(cells: Cells) -> pd.DataFrame:
    """Return the reliability curves, the seeds of a cell pooled.

    Columns: family, level, bin, probability, share, `pixels` (share of all pixels in this bin), `minority` (share of
    all minority pixels), `share_low` and `share_high` (lowest and highest seed). Empty bins have no row.
    """
    parts = []
    for (family, level), bins in cells.items():
        pixels, minority = bins.pixels.sum(axis=0), bins.minority.sum(axis=0)
        filled = np.flatnonzero(pixels > 0)
        if not len(filled):
            continue
        weight = pixels[filled]
        there = bins.pixels[:, filled] > 0
        share = bins.share[:, filled]
        parts.append(
            pd.DataFrame(
                {
                    "family": family,
                    "level": level,
                    "bin": filled,
                    "probability": (bins.pixels * bins.probability).sum(axis=0)[filled] / weight,
                    "share": minority[filled] / weight,
                    "pixels": weight / pixels.sum(),
                    "minority": minority[filled] / minority.sum() if minority.sum() > 0 else np.nan,
                    "share_low": np.where(there, share, np.inf).min(axis=0),
                    "share_high": np.where(there, share, -np.inf).max(axis=0),
                }
            )
        )
    columns = ["family", "level", "bin", "probability", "share", "pixels", "minority", "share_low", "share_high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def group_gap(cells: Cells, families: Sequence[str], level: float, *, seed: int) -> Interval | None:
    """Return the mean gap, promised − kept, of some families at a level over the seeds they share; None without."""
    gaps = _gaps(cells, families, level)
    return None if gaps is None else over_seeds(gaps, seed=seed)


def group_difference(
    cells: Cells, first: Sequence[str], second: Sequence[str], level: float, *, seed: int
) -> Interval | None:
    """Return the mean gap of some families minus that of others, paired by the seeds all share; None without."""
    common = _common(cells, [*first, *second], level)
    one, other = (_gaps(cells, families, level, common) for families in (first, second))
    return None if one is None or other is None else over_seeds(one - other, seed=seed)


def _gaps(cells: Cells, families: Sequence[str], level: float, seeds: Sequence[int] | None = None) -> Array | None:
    """Return the mean gap of the families per seed, those that give no pixel 0.5 or more left out."""
    known = [cells[family, level] for family in families if (family, level) in cells]
    common = _common(cells, families, level) if seeds is None else seeds
    if not known or not common:
        return None
    rows = [[bins.seeds.index(number) for number in common] for bins in known]
    gaps = np.stack([(promised(bins) - kept(bins))[own] for bins, own in zip(known, rows, strict=True)])
    return np.asarray(gaps[~np.isnan(gaps).all(axis=1)].mean(axis=0)) if not np.isnan(gaps).all() else None


def _common(cells: Cells, families: Sequence[str], level: float) -> list[int]:
    known = [set(cells[family, level].seeds) for family in families if (family, level) in cells]
    return sorted(set.intersection(*known)) if known else []


def _weighted(values: Array, weights: Array) -> Array:
    """Average over bins; NaN for a seed without weight."""
    total = weights.sum(axis=1)
    return np.where(total > 0, (values * weights).sum(axis=1) / np.where(total > 0, total, 1.0), np.nan)
