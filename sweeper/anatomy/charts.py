"""Charts of how losses behave, in the look of the report."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from sweeper.anatomy.scenes import OBJECTS
from sweeper.report.curves import Chart
from sweeper.report.output.theme import COLORS, OTHER, Style, family_scales

WIDTH = 385
"""Of one panel of two, in pixels."""

MOST_ROWS = 16
"""Losses in the chart of deformations; all of them are in its table."""


def profile(rows: pd.DataFrame, look: dict[str, Style]) -> Chart:
    """Draw value and gradient against the probability of the true class; `rows` as from `measure.profiles`."""
    data = _shown(rows, look)
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    pick = alt.selection_point(fields=["shown"], bind="legend")
    panels: list[alt.Chart] = []
    for column, title in (("value", "value of the loss"), ("pull", "gradient, relative to that at p = ½")):
        line = (
            alt.Chart(data.dropna(subset=[column]))
            .mark_line(strokeWidth=2, clip=True)
            .encode(
                x=alt.X("p:Q", title="probability of the true class, at every pixel", scale=alt.Scale(domain=[0, 1])),
                y=alt.Y(f"{column}:Q", title=title, scale=alt.Scale(domain=_middle(data[column]))),
                color=scales["color"],
                strokeDash=scales["dash"],
                detail="loss:N",
                opacity=alt.condition(pick, alt.value(1.0), alt.value(0.12)),
                tooltip=["loss:N", alt.Tooltip("p:Q", format=".3f"), alt.Tooltip(f"{column}:Q", format=".4g")],
            )
        )
        panels.append((line if panels else line.add_params(pick)).properties(width=WIDTH, height=260))
    chart: Chart = alt.hconcat(*panels).resolve_scale(color="shared", strokeDash="shared")
    return chart


def deformation(rows: pd.DataFrame, order: Sequence[str]) -> alt.VConcatChart:
    """Draw what is charged as each object's edge is moved and as it is shifted: a row of two panels per loss.

    `rows` as from `summary.relative`.
    """
    names = list(OBJECTS)
    # One legend for both: of two with equal domains only one may be left out, and merged ones must say the same.
    legend = alt.Legend(title=None, orient="top", symbolStrokeWidth=3, symbolSize=300)
    color = alt.Color("object:N", scale=alt.Scale(domain=names, range=list(COLORS[: len(names)])), legend=legend)
    dashes = alt.Scale(domain=names, range=[[1, 0], [6, 2], [2, 2]])
    dash = alt.StrokeDash("object:N", scale=dashes, legend=legend)
    titles = {
        "edge moved": "← eroded: misses   ·   edge moved, px   ·   dilated: false alarms →",
        "shifted": "shifted sideways, px",
    }
    panels = []
    shown = list(order)[:MOST_ROWS]
    for index, loss in enumerate(shown):
        own = rows[(rows["loss"] == loss)].dropna(subset=["cost"])
        pair: list[alt.LayerChart | alt.FacetChart] = []
        for change, title in titles.items():
            data = own[own["change"] == change]
            last = index == len(shown) - 1
            line = (
                alt.Chart(data)
                .mark_line(strokeWidth=2, clip=True)
                .encode(
                    x=alt.X("pixels:Q", title=title if last else None, scale=alt.Scale(nice=False)),
                    y=alt.Y("cost:Q", title=None, axis=alt.Axis(tickCount=3, format="~g", minExtent=28)),
                    color=color,
                    strokeDash=dash,
                    tooltip=[
                        "loss:N",
                        "object:N",
                        "pixels:Q",
                        "missed:Q",
                        "alarms:Q",
                        alt.Tooltip("cost:Q", format=".3f"),
                    ],
                )
            )
            # One row of the same data, not data of its own: what the chart draws is also its CSV file.
            zero = (
                alt.Chart(data)
                .transform_aggregate(rows="count()")
                .mark_rule(color="#8a9099", strokeDash=[2, 2])
                .encode(x=alt.XDatum(0, type="quantitative"))
            )
            panel = alt.layer(zero, line) if change == "edge moved" else alt.layer(line)
            pair.append(panel.properties(width=WIDTH, height=96, title=loss if not pair else ""))
        panels.append(alt.hconcat(*pair).resolve_scale(y="shared"))
    return alt.vconcat(*panels)


def shares(rows: pd.DataFrame, look: dict[str, Style]) -> Chart:
    """Draw the foreground's share of the gradient against the background fraction, a panel per state of the model."""
    data = _shown(rows.dropna(subset=["share"]), look)
    data["foreground"] = 1 - data["level"]
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    pick = alt.selection_point(fields=["shown"], bind="legend")
    ticks = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005]
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for state in data["state"].unique():
        own = data[data["state"] == state]
        base = alt.Chart(own).encode(
            x=alt.X(
                "foreground:Q",
                title="background fraction of pixels →",
                scale=alt.Scale(type="log", reverse=True, nice=False, padding=10),
                axis=alt.Axis(values=ticks, labelExpr="format(1 - datum.value, '.3~%')"),
            ),
            y=alt.Y(
                "share:Q",
                title="foreground's share of the gradient" if not panels else None,
                scale=alt.Scale(type="log", domain=[0.003, 1], clamp=True),
                axis=alt.Axis(format=".1~%", values=[0.003, 0.01, 0.03, 0.1, 0.3, 1]),
            ),
            detail="loss:N",
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.12)),
            tooltip=["loss:N", alt.Tooltip("level:Q", format=".3~%"), alt.Tooltip("share:Q", format=".2%")],
        )
        line = base.mark_line(strokeWidth=2).encode(color=scales["color"], strokeDash=scales["dash"])
        point = base.mark_point(filled=True, size=45).encode(color=scales["color"], shape=scales["shape"])
        layers = alt.layer(line, point)
        panels.append(
            (layers if panels else layers.add_params(pick)).properties(width=WIDTH, height=270, title=f"{state}")
        )
    return alt.hconcat(*panels)


def _shown(rows: pd.DataFrame, look: dict[str, Style]) -> pd.DataFrame:
    return rows.assign(shown=[loss if loss in look else OTHER for loss in rows["loss"]])


def _middle(values: pd.Series) -> list[float]:
    """Return an axis that leaves out the last per cent at either end, where logarithms run off."""
    low, high = np.nanquantile(values.to_numpy(), [0.01, 0.98])
    margin = 0.05 * (high - low) or 1.0
    return [float(min(low - margin, 0.0)), float(high + margin)]
