"""Charts of what the search saw: curves over one dial, maps over two, precision-recall fronts, importance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweeper.report.curves import unit_domain
from sweeper.report.output.theme import GREY, Style
from sweeper.report.output.writing import percent
from sweeper.report.search.dials import Dial
from sweeper.report.search.responses import CELLS, Curve, Sheet

Layers = alt.LayerChart | alt.FacetChart
"""What altair says a layered chart may be."""

PANEL = 230
BLUE = "#2e7ebb"
INK = "#1d2026"
HALO = "#ffffff"
DIGITS = 4

# Viridis without its darkest and lightest ends, which would drown on a dark or a light ground.
RAMP = ("#7e4fa8", "#3b7dab", "#1f9e89", "#7ab648", "#c9a20b")


def dial(
    rows: pd.DataFrame,
    curves: Mapping[tuple[str, float], Curve],
    *,
    about: Dial,
    measures: Mapping[str, str],
) -> alt.HConcatChart:
    """Draw the search of one hyperparameter, a panel per measure: a point per trial, curves with their bands.

    Args:
        rows: value, level, number, status, and a column per measure; stopped trials are hollow.
        curves: By measure and level, where enough trials allow one.
        measures: Title of every panel by the column it shows.
    """
    levels = sorted(rows["level"].unique())
    names = [percent(level) for level in levels]
    color: Any = (
        alt.Color(
            "background:O",
            sort=names,
            title="background",
            scale=alt.Scale(domain=names, range=ramp(len(names))),
            legend=alt.Legend(symbolOpacity=1, symbolType="circle"),
        )
        if len(names) > 1
        else alt.ColorValue(BLUE)
    )
    panels = []
    for column, title in measures.items():
        own = rows[["value", "level", "number", "status"]].assign(score=rows[column].round(DIGITS)).dropna()
        if own.empty:
            continue
        own["background"] = [percent(level) for level in own["level"]]
        smooth = _smooth({level: curves[column, level] for level in levels if (column, level) in curves})
        panels.append(_panel(own, smooth, about, title, color).properties(width=PANEL, height=190))
    # Flush bounds: an axis label that overshoots must not push one panel out of line with the others.
    return alt.hconcat(*panels, bounds="flush", spacing=48)


def _panel(own: pd.DataFrame, smooth: pd.DataFrame, about: Dial, title: str, color: Any) -> Layers:
    x = _axis(about)
    ends = [own["score"].to_numpy(np.float64), *(smooth[end].to_numpy(np.float64) for end in ("low", "high"))]
    scale = alt.Scale(domain=list(unit_domain(np.concatenate(ends))), nice=False)
    # Every layer names the axis: one without a title would take it from the others.
    axis = _headed(title)
    y = alt.Y("score:Q", axis=axis, scale=scale)
    layers: list[alt.Chart] = []
    if not smooth.empty:
        band = alt.Chart(smooth).mark_area(opacity=0.16, clip=True)
        layers.append(
            band.encode(
                x=x,
                y=alt.Y("low:Q", scale=scale, axis=axis),
                y2=alt.Y2("high:Q"),
                color=color,
                detail=alt.Detail("background:N"),
            )
        )
    if about.default is not None and about.low <= about.default <= about.high:
        line = alt.Chart(pd.DataFrame({"value": [about.default]}))
        layers.append(line.mark_rule(strokeDash=[4, 3], color="#8a9099", strokeWidth=1.5).encode(x=x))
    if not smooth.empty:
        line = alt.Chart(smooth).mark_line(strokeWidth=2, clip=True)
        layers.append(
            line.encode(x=x, y=alt.Y("mean:Q", scale=scale, axis=axis), color=color, detail=alt.Detail("background:N"))
        )
    tips = [
        alt.Tooltip("value:Q", title=about.label, format=".4~g"),
        alt.Tooltip("score:Q", title=title, format=".3f"),
        alt.Tooltip("background:N"),
        alt.Tooltip("status:N"),
        alt.Tooltip("number:Q", title="trial"),
    ]
    # One layer per status, and none for a status without trials: Vega warns of an axis without values.
    for status in sorted(own["status"].unique(), reverse=True):
        solid = status == "completed"
        marks = alt.Chart(own[own["status"] == status]).mark_point(
            filled=solid, size=45 if solid else 40, strokeWidth=1.3, opacity=0.85
        )
        layers.append(marks.encode(x=x, y=y, color=color, tooltip=tips))
    return alt.layer(*layers)


def _smooth(curves: Mapping[float, Curve]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "value": _significant(curve.values),
                "mean": curve.mean.round(DIGITS),
                "low": curve.low.round(DIGITS),
                "high": curve.high.round(DIGITS),
                "background": percent(level),
            }
        )
        for level, curve in curves.items()
    ]
    columns = ["value", "mean", "low", "high", "background"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns).astype({"value": float})


def sheet(found: Sheet, trials: pd.DataFrame, *, first: Dial, second: Dial, label: str) -> alt.HConcatChart:
    """Draw a measure over two dials: color is its smoothed mean, which fades where the trials say little.

    Args:
        trials: first, second, score, status, number; and best, whether it is the best trial.
        label: Of the measure.
    """
    size = CELLS * 18
    x, y = _ends("first", first), _ends("second", second)
    ends = [found.mean.ravel(), trials["score"].to_numpy(np.float64)]
    color = alt.Scale(domain=list(unit_domain(np.concatenate(ends))), range=list(RAMP), clamp=True)
    legend = alt.Legend(title=label, orient="right", gradientLength=200, titleLimit=200)
    cells = alt.Chart(_cells(found)).mark_rect().encode(
        x=x,
        x2=alt.X2("first_end:Q"),
        y=y,
        y2=alt.Y2("second_end:Q"),
        color=alt.Color("mean:Q", scale=color, legend=legend),
        opacity=alt.Opacity("known:Q", scale=alt.Scale(domain=[0, 1], range=[0.08, 1]), legend=None),
        tooltip=[
            alt.Tooltip("mean:Q", title=f"smoothed {label}", format=".3f"),
            alt.Tooltip("sd:Q", title="its standard deviation", format=".3f"),
        ],
    )  # fmt: skip
    edges = alt.Chart(_segments(found))
    border = [
        edges.mark_rule(color=ink, strokeWidth=width, strokeCap="square").encode(
            x=x, x2=alt.X2("first_end:Q"), y=y, y2=alt.Y2("second_end:Q")
        )
        for ink, width in ((HALO, 4.5), (INK, 2.0))
    ]
    tips = [
        alt.Tooltip("first:Q", title=first.label, format=".4~g"),
        alt.Tooltip("second:Q", title=second.label, format=".4~g"),
        alt.Tooltip("score:Q", title=label, format=".3f"),
        alt.Tooltip("status:N"),
        alt.Tooltip("number:Q", title="trial"),
    ]
    points = []
    for status, best, shape, area in (
        ("stopped", False, "cross", 30), ("completed", False, "circle", 55), ("completed", True, "diamond", 170),
    ):  # fmt: skip
        own = trials[(trials["status"] == status) & (trials["best"] == best)].drop(columns="best")
        if len(own):
            mark = alt.Chart(own).mark_point(
                shape=shape, size=area, filled=True, stroke=INK, strokeWidth=1.0, opacity=1
            )
            points.append(mark.encode(x=x, y=y, color=alt.Color("score:Q", scale=color, legend=legend), tooltip=tips))
    layers = alt.layer(cells, *(border if len(_segments(found)) else []), *points).properties(width=size, height=size)
    return alt.hconcat(layers)


def fronts(
    rows: pd.DataFrame, look: Mapping[str, Style], dials: Mapping[str, Dial], order: Sequence[str]
) -> alt.ConcatChart:
    """Draw precision over recall, a panel per family in `order`: points colored by its leading dial, its front joined.

    Args:
        rows: As `fronts.points` gives them.
        dials: The leading dial of every family.
    """
    data = rows.drop(columns=["level"]).copy()
    for column in ("recall", "precision", "f1", "place"):
        data[column] = data[column].astype(float).round(DIGITS)
    data["value"] = _significant(data["value"].to_numpy(np.float64))
    ends = {name: list(unit_domain(data[name])) for name in ("recall", "precision")}
    x = alt.X("recall:Q", title="recall", scale=alt.Scale(domain=ends["recall"], nice=False), axis=_few())
    y = alt.Y("precision:Q", title="precision", scale=alt.Scale(domain=ends["precision"], nice=False), axis=_few())
    color = alt.Color(
        "place:Q",
        scale=alt.Scale(domain=[0, 1], range=list(RAMP)),
        legend=alt.Legend(
            title="the dial within its domain", orient="bottom", gradientLength=240, titleLimit=400, values=[0, 1],
            labelExpr="datum.value == 0 ? 'lower end' : 'upper end'",
        ),
    )  # fmt: skip
    joined = data[data["front"]].sort_values(["family", "recall", "precision"])[["family", "recall", "precision"]]
    panels = []
    for family in order:
        own = data[data["family"] == family]
        about = dials[family]
        others = alt.Chart(joined[joined["family"] != family]).mark_line(color="#8a9099", strokeWidth=1.3, opacity=0.8)
        tips = [
            alt.Tooltip("value:Q", title=about.label, format=".4~g"),
            alt.Tooltip("recall:Q", format=".3f"),
            alt.Tooltip("precision:Q", format=".3f"),
            alt.Tooltip("f1:Q", title="F1", format=".3f"),
            alt.Tooltip("number:Q", title="trial"),
        ]
        layers: list[alt.Chart] = []
        if len(joined["family"].unique()) > 1:
            layers.append(others.encode(x=x, y=y, detail=alt.Detail("family:N"), order=alt.Order("recall:Q")))
        ink = look[family].color if family in look else GREY
        line = alt.Chart(joined[joined["family"] == family]).mark_line(color=ink, strokeWidth=2)
        layers.append(line.encode(x=x, y=y, order=alt.Order("recall:Q")))
        for on_front, area, strength in ((False, 28, 0.75), (True, 75, 1.0)):
            some = own[own["front"] == on_front].drop(columns=["family", "dial", "front"])
            if len(some):
                mark = alt.Chart(some).mark_point(filled=True, size=area, opacity=strength)
                layers.append(mark.encode(x=x, y=y, color=color, tooltip=tips))
        title = alt.TitleParams(family, subtitle=f"{about.label}: {about.low:g} to {about.high:g}", limit=PANEL)
        panels.append(alt.layer(*layers).properties(width=PANEL, height=PANEL - 30, title=title))
    chart: alt.ConcatChart = alt.concat(*panels, columns=3)
    return chart


def importance(rows: pd.DataFrame, look: Mapping[str, Style]) -> alt.HConcatChart:
    """Draw how often over each hyperparameter's importance is what shuffled scores reach.

    `rows` has family, hyperparameter, shown (its name on the axis), ratio, chance, clear.
    """
    data = rows.assign(ratio=rows["ratio"].round(3))
    data["ink"] = [look[family].color if family in look else GREY for family in data["family"]]
    y = alt.Y("shown:N", sort=list(data["shown"]), title=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("ratio:Q", title="importance, in multiples of what shuffled scores reach once in 20", axis=_few())
    bars = alt.Chart(data).mark_bar(height=11).encode(
        x=x,
        y=y,
        color=alt.Color("ink:N", scale=None),
        opacity=alt.Opacity("clear:N", scale=alt.Scale(domain=[False, True], range=[0.3, 1]), legend=None),
        tooltip=[
            alt.Tooltip("family:N"),
            alt.Tooltip("hyperparameter:N"),
            alt.Tooltip("ratio:Q", title="times the noise", format=".2f"),
            alt.Tooltip("chance:Q", title="share of shuffles as high", format=".2f"),
        ],
    )  # fmt: skip
    line = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(color="#8a9099", strokeDash=[4, 3], strokeWidth=1.5)
    return alt.hconcat(alt.layer(bars, line.encode(x=alt.X("ratio:Q"))).properties(width=420, height=alt.Step(20)))


def outline(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return the border of the true cells (N, M) as segments (i, j, k, l) from corner (i, j) to corner (k, l).

    Straight runs are one segment; the border of the whole map belongs to it.
    """
    padded = np.pad(mask, 1)
    found = []
    # A border lies between two cells that differ, along one axis; the other one is that of its run.
    along_first = padded[1:-1, 1:] != padded[1:-1, :-1]
    for column in range(along_first.shape[1]):
        found += [(start, column, stop, column) for start, stop in _runs(along_first[:, column])]
    along_second = padded[1:, 1:-1] != padded[:-1, 1:-1]
    for row in range(along_second.shape[0]):
        found += [(row, start, row, stop) for start, stop in _runs(along_second[row])]
    return found


def ramp(count: int) -> list[str]:
    """Return so many colors spread over the ramp."""
    stops = np.array([[int(one[place : place + 2], 16) for place in (1, 3, 5)] for one in RAMP])
    at = np.linspace(0, len(RAMP) - 1, max(count, 2))[:count]
    channels = [np.interp(at, np.arange(len(RAMP)), stops[:, channel]).round().astype(int) for channel in range(3)]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in zip(*channels, strict=True)]


def _cells(found: Sheet) -> pd.DataFrame:
    first, second = np.meshgrid(np.arange(CELLS), np.arange(CELLS), indexing="ij")
    one, other = first.ravel(), second.ravel()
    return pd.DataFrame(
        {
            "first": _significant(found.first[one]),
            "first_end": _significant(found.first[one + 1]),
            "second": _significant(found.second[other]),
            "second_end": _significant(found.second[other + 1]),
            "mean": found.mean.ravel().round(DIGITS),
            "sd": found.sd.ravel().round(DIGITS),
            "known": np.clip(1 - found.sd.ravel() / found.prior, 0, 1).round(2),
        }
    )


def _segments(found: Sheet) -> pd.DataFrame:
    corners = np.array(outline(found.best), dtype=np.intp).reshape(-1, 4)
    columns = ("first", "second", "first_end", "second_end")
    axes = (found.first, found.second, found.first, found.second)
    return pd.DataFrame(
        {
            name: _significant(axis[corners[:, place]])
            for place, (name, axis) in enumerate(zip(columns, axes, strict=True))
        }
    )


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in changes.reshape(-1, 2)]


def _axis(about: Dial) -> alt.X:
    return alt.X(
        "value:Q",
        title=about.label,
        scale=alt.Scale(type=_kind(about), domain=[about.low, about.high], nice=False, padding=6),
        axis=_ticks(about, labelSeparation=8, titleLimit=PANEL),
    )


def _ends(field: str, about: Dial) -> Any:
    channel = alt.X if field == "first" else alt.Y
    # 0 belongs to few of these domains, and a scale that starts there would push the cells into a corner.
    scale = alt.Scale(type=_kind(about), domain=[about.low, about.high], nice=False, zero=False)
    axis = _ticks(about, grid=False, titleLimit=CELLS * 18)
    return channel(f"{field}:Q", title=about.label, scale=scale, axis=axis)


def _ticks(about: Dial, **more: Any) -> alt.Axis:
    if about.log:
        # Vega would draw a line at every multiple of every power of ten.
        powers = range(math.floor(math.log10(about.low)), math.ceil(math.log10(about.high)) + 1)
        ticks = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
        inside = [tick for tick in ticks if about.low <= tick <= about.high]
        decades = [tick for tick in inside if f"{tick:e}".startswith("1.0")]
        more["values"] = decades if len(decades) > 2 else inside
    return alt.Axis(tickCount=5, labelOverlap="greedy", **more)


def _kind(about: Dial) -> Any:
    return "log" if about.log else "linear"


def _few() -> alt.Axis:
    return alt.Axis(tickCount=5, labelOverlap="greedy", labelSeparation=6)


def _headed(title: str) -> alt.Axis:
    # A title at a fixed place: a panel's own would move up with its highest axis label, out of line with the others.
    return alt.Axis(
        title=title, titleAngle=0, titleAlign="left", titleAnchor="end", titleX=0, titleY=-12, titleFontWeight="bold"
    )


def _significant(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
