"""Charts, each from a tidy frame; a function returns the chart and draws nothing itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from sweeper.report.comparisons import METRIC_NAMES
from sweeper.report.output.theme import OTHER, Style, family_scales
from sweeper.report.output.writing import percent

Chart = alt.FacetChart | alt.HConcatChart | alt.VConcatChart | alt.ConcatChart

PANEL = 265
"""Width of one panel, in pixels: three make a page."""


def sensitivity(rows: pd.DataFrame, look: dict[str, Style], metrics: Sequence[str]) -> Chart:
    """Draw every metric against the imbalance, a line per family with its intervals.

    `rows` has family, level, metric, mean, low, high. The x axis is the foreground share on a logarithmic scale,
    falling to the right, so that 97 % and 99 % background lie as far apart as 91 % and 97 %; families are moved a
    little sideways so that their intervals do not hide one another.
    """
    data = _shown(rows[rows["metric"].isin(metrics)].dropna(subset=["mean"]), look)
    data["metric"] = data["metric"].map(METRIC_NAMES)
    pick = alt.selection_point(fields=["shown"], bind="legend")
    layers = _over_levels(data, look, pick, among=data).add_params(pick)
    return _by_metric(layers.properties(width=PANEL, height=270), metrics)


def recovered(rows: pd.DataFrame, look: dict[str, Style]) -> Chart:
    """Draw error and coverage of every recovered curve against the imbalance, side by side, a row per curve.

    `rows` has family, level, class, metric, mean, low, high, in track widths and shares; both are drawn in percent.
    """
    data = _shown(rows.dropna(subset=["mean"]), look)
    data[["mean", "low", "high"]] *= 100
    pick = alt.selection_point(fields=["shown"], bind="legend")
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for klass in sorted(data["class"].unique()):
        for metric, title in (("curve_mae", "MAE, % of track width"), ("curve_coverage", "coverage, % of depth rows")):
            own = data[(data["class"] == klass) & (data["metric"] == metric)]
            if len(own):
                layers = _over_levels(own, look, pick, among=data)
                # One selection for all: a second would be a copy of its own.
                layers = layers if panels else layers.add_params(pick)
                panels.append(layers.properties(width=PANEL + 50, height=190, title=f"{klass}: {title}"))
    return alt.concat(*panels, columns=2)


def _over_levels(
    data: pd.DataFrame, look: dict[str, Style], pick: alt.Parameter, *, among: pd.DataFrame
) -> alt.LayerChart | alt.FacetChart:
    """Draw lines, intervals and points of `mean` against the imbalance; `among` holds the rows of all panels."""
    levels = sorted(among["level"].unique(), reverse=True)
    data = data.assign(share=_dodged(data, look))
    scales = family_scales(look, others=OTHER in set(among["shown"]))
    x = alt.X(
        "share:Q",
        title="background fraction of pixels →",
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=14),
        axis=alt.Axis(values=[1 - level for level in levels], labelExpr="format(1 - datum.value, '.3~%')", grid=True),
    )
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=True))
    strength = alt.condition(pick, alt.value(1.0), alt.value(0.12))
    base = alt.Chart(data).encode(x=x, opacity=strength, detail="family:N", tooltip=_tooltip())
    line = base.mark_line(strokeWidth=2).encode(y=y, color=scales["color"], strokeDash=scales["dash"])
    bar = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", title=None), y2="high:Q", color=scales["color"])
    point = base.mark_point(filled=True, size=70).encode(y=y, color=scales["color"], shape=scales["shape"])
    return alt.layer(line, bar, point)


def forest(rows: pd.DataFrame, look: dict[str, Style], metrics: Sequence[str], order: Sequence[str]) -> Chart:
    """Draw families as rows in `order`, every metric with its interval: one level at a glance."""
    data = _shown(rows[rows["metric"].isin(metrics)].dropna(subset=["mean"]), look)
    data["metric"] = data["metric"].map(METRIC_NAMES)
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    for encoding in ("color", "shape"):
        scales[encoding].legend = None
    base = alt.Chart(data).encode(
        y=alt.Y("family:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=220)), tooltip=_tooltip()
    )
    x = alt.X("mean:Q", title=None, axis=_few_ticks(), scale=alt.Scale(zero=False, nice=True))
    bar = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=None, scale=alt.Scale(zero=False, nice=True)), x2="high:Q", color=scales["color"]
    )
    point = base.mark_point(filled=True, size=90, opacity=1).encode(x=x, color=scales["color"], shape=scales["shape"])
    layers = alt.layer(bar, point).properties(width=PANEL - 30, height=alt.Step(24))
    panels: alt.FacetChart = _by_metric(layers, metrics).resolve_scale(x="independent")
    return panels


def dumbbell(rows: pd.DataFrame, *, kind: str, first: str, second: str, label: str, order: Sequence[str]) -> Chart:
    """Join two values per family, a panel per level: `rows` has family, level, `kind`, mean, low, high.

    The value where `kind` is `first` is hollow, where it is `second` filled.
    """
    data = rows.dropna(subset=["mean"]).copy()
    data["background"] = [f"{percent(level)} background" for level in data["level"]]
    levels = [f"{percent(level)} background" for level in sorted(data["level"].unique())]
    wide = data.pivot_table(index=["family", "background"], columns=kind, values="mean").reset_index()
    y = alt.Y("family:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=220))
    legend = alt.Legend(title=None, orient="top")
    scale = alt.Scale(domain=[first, second], range=["#d55e00", "#2e7ebb"])
    panels = []
    for name in levels:
        joined = wide[wide["background"] == name]
        layers: list[alt.Chart] = []
        if first in joined and second in joined:
            layers.append(
                alt.Chart(joined)
                .mark_rule(color="#9aa0a8", strokeWidth=2)
                .encode(y=y, x=f"{first}:Q", x2=f"{second}:Q")
            )
        own = data[data["background"] == name]
        layers.append(
            alt.Chart(own)
            .mark_point(size=80, opacity=1, strokeWidth=2)
            .encode(
                y=y,
                x=alt.X("mean:Q", title=label, scale=alt.Scale(zero=False, nice=True), axis=_few_ticks()),
                color=alt.Color(f"{kind}:N", scale=scale, legend=legend),
                fill=alt.Fill(
                    f"{kind}:N",
                    scale=alt.Scale(domain=[first, second], range=["transparent", "#2e7ebb"]),
                    legend=legend,
                ),
                shape=alt.Shape(
                    f"{kind}:N", scale=alt.Scale(domain=[first, second], range=["diamond", "circle"]), legend=legend
                ),
                tooltip=_tooltip(kind),
            )
        )
        panels.append(alt.layer(*layers).properties(width=PANEL - 60, height=alt.Step(22), title=name))
    chart: alt.ConcatChart = alt.concat(*panels, columns=_columns(panels)).resolve_scale(x="shared")
    return chart


def precision_recall(rows: pd.DataFrame, look: dict[str, Style]) -> Chart:
    """Draw precision over recall, a panel per level: filled at argmax, hollow at the shifted threshold, joined.

    `rows` has family, level, point, precision, recall. Grey curves hold the IoU of one class.
    """
    data = _shown(rows.dropna(subset=["precision", "recall"]), look)
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    axis = alt.Scale(domain=[0, 1])
    x = alt.X("recall:Q", title="recall", scale=axis)
    y = alt.Y("precision:Q", title="precision", scale=axis)
    iso = _iso_iou()
    ends = iso.sort_values("recall").groupby("iou", as_index=False).last()
    panels = []
    for level in sorted(data["level"].unique()):
        own = data[data["level"] == level]
        grid = alt.Chart(iso).mark_line(strokeWidth=1, color="#b5bac2").encode(x=x, y=y, detail="iou:N")
        names = (
            alt.Chart(ends).mark_text(align="left", dx=4, fontSize=10, color="#6b717a").encode(x=x, y=y, text="label:N")
        )
        tips = [
            alt.Tooltip("family:N"),
            alt.Tooltip("point:N"),
            alt.Tooltip("recall:Q", format=".3f"),
            alt.Tooltip("precision:Q", format=".3f"),
        ]
        base = alt.Chart(own)
        path = base.mark_line(strokeWidth=1).encode(x=x, y=y, detail="family:N", color=scales["color"], order="point:O")
        solid = (
            base.transform_filter("datum.point == 'argmax'")
            .mark_point(filled=True, size=80, opacity=1)
            .encode(x=x, y=y, color=scales["color"], shape=scales["shape"], tooltip=tips)
        )
        hollow = (
            base.transform_filter("datum.point == 'shifted'")
            .mark_point(filled=False, size=60, opacity=1, strokeWidth=1.5)
            .encode(x=x, y=y, color=scales["color"], shape=scales["shape"], tooltip=tips)
        )
        panels.append(
            alt.layer(grid, names, path, hollow, solid).properties(
                width=PANEL - 20, height=PANEL - 20, title=f"{percent(level)} background"
            )
        )
    return alt.concat(*panels, columns=_columns(panels))


def _shown(rows: pd.DataFrame, look: dict[str, Style]) -> pd.DataFrame:
    data = rows.copy()
    data["shown"] = [family if family in look else OTHER for family in data["family"]]
    data["background"] = [percent(level) for level in data["level"]]
    return data


def _dodged(data: pd.DataFrame, look: dict[str, Style]) -> np.ndarray[Any, np.dtype[np.float64]]:
    place = {family: index - (len(look) - 1) / 2 for index, family in enumerate(look)}
    steps = data["family"].map(lambda family: place.get(family, 0.0)).to_numpy(np.float64)
    return (1 - data["level"].to_numpy(np.float64)) * 1.024**steps


def _tooltip(*more: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("family:N"),
        *(alt.Tooltip(f"{name}:N") for name in more),
        alt.Tooltip("background:N"),
        alt.Tooltip("mean:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f", title="95 % low"),
        alt.Tooltip("high:Q", format=".3f", title="95 % high"),
    ]


def unit_domain(scores: Iterable[float]) -> tuple[float, float]:
    """Return the ends of an axis for scores in [0, 1]: around them, at multiples of 0.05, at least 0.1 apart.

    A chart of nearly equal scores then looks as flat as it is, and one with a single score has a scale.
    """
    step, least = 0.05, 2
    values = list(scores)
    margin = 0.04 * (max(values) - min(values)) + 0.005
    low = max(0, math.floor((min(values) - margin) / step))
    high = min(round(1 / step), math.ceil((max(values) + margin) / step))
    while high - low < least:
        below = min(values) - low * step < high * step - max(values)
        low, high = (low - 1, high) if (below and low > 0) or high * step >= 1 else (low, high + 1)
    return round(low * step, 2), round(high * step, 2)


def _few_ticks() -> alt.Axis:
    return alt.Axis(tickCount=4, labelOverlap="greedy", labelSeparation=6)


def _by_metric(layers: alt.LayerChart | alt.FacetChart, metrics: Sequence[str]) -> alt.FacetChart:
    names = [METRIC_NAMES[metric] for metric in metrics]
    column = alt.Column("metric:N", sort=names, title=None, header=alt.Header(labelAnchor="start"))
    panels: alt.FacetChart = layers.facet(column=column)
    return panels


def _columns(panels: Sequence[object]) -> int:
    return 2 if len(panels) == 4 else 3


def _iso_iou() -> pd.DataFrame:
    parts = []
    for iou in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(iou, 1, 60)
        precision = 1 / (1 / iou + 1 - 1 / recall)
        parts.append(pd.DataFrame({"recall": recall, "precision": precision, "iou": iou, "label": str(iou)}))
    return pd.concat(parts, ignore_index=True)
