"""What the measurements come to for each loss: prices, where they turn, and a forecast."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweeper.anatomy.contestants import Contestant
from sweeper.anatomy.scenes import OBJECTS
from sweeper.report.output.writing import listed

FLAT = 0.1
"""Below this price, relative to the large disk's, a loss hardly notices a small object."""

LARGE, SMALL, THIN = OBJECTS

_EDGE = 3
"""By how many pixels the large disk's edge is moved where misses and false alarms are compared."""

_CHANGES = ("too small", "too large", "shifted")


@dataclass(frozen=True)
class Finding:
    """One thing that can be read off the measurements, in words."""

    title: str
    text: str


def relative(deformed: pd.DataFrame) -> pd.DataFrame:
    """Add `cost`: what is charged beyond a perfect prediction, in units of what missing the large disk costs.

    NaN for a loss that charges nothing for that.
    """
    perfect = deformed[(deformed["change"] == "edge moved") & (deformed["pixels"] == 0)]
    zero = perfect.set_index(["loss", "object"])["value"]
    missed = deformed[(deformed["change"] == "edge moved") & (deformed["pixels"] == deformed["pixels"].min())]
    gone = missed.set_index(["loss", "object"])["value"]
    unit = (gone - zero).xs(LARGE, level="object")
    unit = unit.where(unit > 0)
    keys = pd.MultiIndex.from_frame(deformed[["loss", "object"]])
    above = deformed["value"].to_numpy() - zero.reindex(keys).to_numpy()
    return deformed.assign(cost=above / unit.reindex(deformed["loss"]).to_numpy())


def summary(losses: Sequence[Contestant], costs: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """Return a row per loss: its place on the axes, prices, where it turns, and its gradient shares at 99 %.

    Args:
        costs: What `relative` returns.
        shares: What `measure.gradient_shares` returns.
    """
    rows = []
    for loss in losses:
        own = costs[costs["loss"] == loss.label]
        at = shares[(shares["loss"] == loss.label) & np.isclose(shares["level"], 0.99)].set_index("state")["share"]
        rows.append(
            {
                "loss": loss.label,
                "overlap": loss.family.overlap,
                "tradeoff": loss.family.tradeoff,
                "small": _missing(own, SMALL),
                "thin": _missing(own, THIN),
                "miss_over_alarm": _miss_over_alarm(own),
                "turns": "; ".join(_turns(own)),
                "untrained": float(at["untrained"]),
                "all_background": float(at["all background"]),
            }
        )
    return pd.DataFrame(rows)


def findings(table: pd.DataFrame) -> list[Finding]:
    """Say what stands out."""
    found = [_flat(table), _dear(table), _turning(table), _forecast(table)]
    return [finding for finding in found if finding is not None]


def _missing(own: pd.DataFrame, name: str) -> float:
    edge = own[(own["object"] == name) & (own["change"] == "edge moved")].sort_values("pixels")
    return float(edge["cost"].iloc[0])


def _miss_over_alarm(own: pd.DataFrame) -> float:
    """Return the price of missed pixels over that of as many false alarms, both along the large disk's edge."""
    edge = own[(own["object"] == LARGE) & (own["change"] == "edge moved")].sort_values("pixels")
    missed = edge[edge["pixels"] == -_EDGE].iloc[0]
    alarms = edge[edge["pixels"] >= 0]
    price = float(np.interp(missed["missed"], alarms["alarms"], alarms["cost"]))
    return float(missed["cost"]) / price if price > 0 else math.nan


def _turns(own: pd.DataFrame) -> Iterator[str]:
    """Name each object and change for which a worse prediction is charged less than a better one."""
    for name in OBJECTS:
        of = own[own["object"] == name]
        edge = of[of["change"] == "edge moved"].sort_values("pixels")
        courses = (
            edge[edge["pixels"] <= 0].iloc[::-1],
            edge[edge["pixels"] >= 0],
            of[of["change"] == "shifted"].sort_values("pixels"),
        )
        for change, course in zip(_CHANGES, courses, strict=True):
            # Past the point where nothing of the object is hit, or its shift has left the frame, nothing gets worse.
            worse = course[(course["missed"] + course["alarms"]).diff().fillna(1) > 0]
            cost = worse["cost"].dropna().to_numpy()
            if len(cost) > 1 and (np.diff(cost) < -1e-6 * np.abs(cost).max()).any():
                yield f"{name} {change}"


def _flat(table: pd.DataFrame) -> Finding | None:
    flat = table[table["small"] < FLAT]["loss"]
    if flat.empty:
        return None
    return Finding(
        "Flat for a small object",
        f"{listed(flat, most=12)} {_do(flat, 'charges', 'charge')} less than a tenth for missing the small disk of "
        "what missing the large one costs: in a training set with both, the small ones hardly count.",
    )


def _dear(table: pd.DataFrame) -> Finding | None:
    ratio = table.set_index("loss")["miss_over_alarm"]
    dear, cheap = ratio[ratio > 1.25], ratio[ratio < 0.8]
    parts = []
    if len(dear):
        names = listed((f"{name} ({value:.2g} times)" for name, value in dear.sort_values(ascending=False).items()), 12)
        parts.append(
            f"{names} {_do(dear, 'charges', 'charge')} more for a missed pixel at the edge than for a false alarm"
        )
    if len(cheap):
        names = listed((f"{name} ({value:.2g} times)" for name, value in cheap.sort_values().items()), 12)
        parts.append(f"{names} {_do(cheap, 'charges', 'charge')} less")
    if not parts:
        return None
    return Finding("Misses against false alarms", f"{'; '.join(parts)}. The others weigh both alike, within a fifth.")


def _turning(table: pd.DataFrame) -> Finding | None:
    turning = table[table["turns"] != ""]
    if turning.empty:
        return Finding(
            "Worse always costs more",
            "No loss here charges a worse prediction less than a better one on these objects.",
        )
    named = listed((f"{row.loss} ({row.turns})" for row in turning.itertuples()), most=12)
    return Finding(
        "Where a worse prediction costs less",
        f"{named}: along the way the charge falls although more pixels are wrong. Descent can get stuck or "
        "run off there.",
    )


def _forecast(table: pd.DataFrame) -> Finding | None:
    ranked = table.dropna(subset=["untrained"]).sort_values("untrained", ascending=False)
    if len(ranked) < 2:
        return None
    most, least = ranked.iloc[0], ranked.iloc[-1]
    return Finding(
        "Who is heard at 99 % background",
        f"With an untrained model, the foreground's one per cent of pixels gets {100 * most['untrained']:.2g} % of "
        f"the gradient of {most['loss']} and {100 * least['untrained']:.2g} % of that of {least['loss']}. It is a "
        "forecast of who learns the minority early, not of who ends up best.",
    )


def _do(names: Sequence[object] | pd.Series, one: str, many: str) -> str:
    return one if len(names) == 1 else many
