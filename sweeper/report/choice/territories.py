"""Where on the decision map one winner holds: runs of cost ratios within a level, and regions across levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from sweeper.report.choice.decision import SEPARABLE, TIE, UNSURE

RUN_COLUMNS = ["level", "ratio_from", "ratio_to", "family", "setting", "hyperparameters", "misses_from", "misses_to",
               "alarms_from", "alarms_to", "offset_from", "offset_to", "at_limit", "share_least", "share_most",
               "separable", "tied"]  # fmt: skip


@dataclass(frozen=True)
class Region:
    """Neighboring cells of the map with one winning family."""

    family: str
    levels: tuple[float, ...]
    spans: tuple[tuple[float, float], ...]
    """The least and the greatest ratio at each of these levels."""
    size: float
    """Share of the map's cells."""
    judged: float
    """Share of its cells in which it could be told whether the winner is separable from the runner-up."""
    separable: float
    """Share of these in which it is; NaN where there are none."""
    tied: float
    """Share of its cells in which no family does better than predicting nothing, nor worse."""


def runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per level and run of neighboring ratios with one winning configuration, mildest level first.

    Columns: level, ratio_from, ratio_to (ends included); family, setting, hyperparameters; misses, alarms and offset at
    both ends (`_from`, `_to`); at_limit, the largest share of seeds whose offset is at an end of those tried;
    share_least and share_most of its family within the run; separable and tied, the shares of its ratios with that
    verdict.
    """
    rows = []
    for level, group in frame.sort_values(["level", "ratio"]).groupby("level", sort=True):
        winner = group["family"] + "\0" + group["setting"]
        for _, run in group.groupby((winner != winner.shift()).cumsum(), sort=True):
            first, last = run.iloc[0], run.iloc[-1]
            rows.append(
                (
                    level, first["ratio"], last["ratio"], first["family"], first["setting"], first["hyperparameters"],
                    *(end[name] for name in ("misses", "alarms", "offset") for end in (first, last)),
                    run["at_limit"].max(), run["family_share"].min(), run["family_share"].max(),
                    run["separable"].mean(), (run["verdict"] == TIE).mean(),
                )
            )  # fmt: skip
    return pd.DataFrame(rows, columns=RUN_COLUMNS)


def regions(frame: pd.DataFrame) -> list[Region]:
    """Return the regions of the map, the largest first.

    Cells are neighbors along the ratio and along the level; a level without a map is none.
    """
    if frame.empty:
        return []
    winners = frame.pivot(index="level", columns="ratio", values="family").sort_index().sort_index(axis=1)
    verdicts = frame.pivot(index="level", columns="ratio", values="verdict").loc[winners.index, winners.columns]
    cells = winners.to_numpy(dtype=object)
    said = verdicts.to_numpy(dtype=object)
    levels, ratios = [float(level) for level in winners.index], [float(ratio) for ratio in winners.columns]
    found = []
    for family in dict.fromkeys(frame["family"]):
        labels, count = ndimage.label(cells == family)
        found += [_region(str(family), labels == number + 1, said, levels, ratios) for number in range(count)]
    return sorted(found, key=lambda region: -region.size)


def _region(
    family: str,
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    said: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
    levels: Sequence[float],
    ratios: Sequence[float],
) -> Region:
    rows = np.flatnonzero(mask.any(axis=1)).tolist()
    judged = np.isin(said[mask].astype(str), [SEPARABLE, UNSURE])
    ends = [np.flatnonzero(mask[row])[[0, -1]].tolist() for row in rows]
    return Region(
        family=family,
        levels=tuple(levels[row] for row in rows),
        spans=tuple((ratios[first], ratios[last]) for first, last in ends),
        size=float(mask.mean()),
        judged=float(judged.mean()),
        separable=float((said[mask] == SEPARABLE).sum() / judged.sum()) if judged.any() else float("nan"),
        tied=float((said[mask] == TIE).mean()),
    )
