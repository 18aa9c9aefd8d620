"""Every family on the measured plane, and every family's curve by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import altair as alt
import numpy as np
import pandas as pd

from sweeper.report.output.theme import OTHER, Style, family_scales
from sweeper.report.output.writing import percent
from sweeper.report.plane.placement import LINE, RINGS, Box, place

WIDTH, HEIGHT = 700, 430
LONGEST = 26
"""Letters of a name that are written beside its point; the tooltip has all."""
INK = "#30343b"
GAP = "  ·  "

Channel = TypeVar("Channel", alt.X, alt.Y)


def plane(
    rows: pd.DataFrame, look: dict[str, Style], *, metric: str, medians: Mapping[str, float], named: Sequence[str]
) -> alt.HConcatChart:
    """Draw recall span against fall: a point per family, its name beside it.

    Args:
        rows: family, overlap, tradeoff, fall, fall_low, fall_high, span, without_one, double, trials; fall and span of
            no row are undefined.
        metric: Whose fall it is.
        medians: Median fall of the families under an overlap label, drawn as lines.
        named: Families whose names are written; those of others are in the tooltip.
    """
    order = {family: index for index, family in enumerate(named)}
    data = rows.assign(
        shown=[family if family in look else OTHER for family in rows["family"]],
        rank=[order.get(family, len(order)) for family in rows["family"]],
    ).sort_values("rank", kind="stable")
    x_ends, y_ends = _ends(data[["span", "without_one", "double"]]), _ends(data[["fall", "fall_low", "fall_high"]])
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    for encoding in ("color", "shape"):
        # The names stand beside the points.
        scales[encoding].legend = None

    def x(column: str) -> alt.X:
        # The same in every layer: what differs between layers would be drawn twice or not at all.
        return _axis(
            alt.X, column, GAP.join(["← fixed", "recall its dials buy at equal F1, on validation", "tunable →"]), x_ends
        )

    def y(column: str) -> alt.Y:
        return _axis(
            alt.Y,
            column,
            GAP.join(["← robust", f"{metric} lost per foreground ten times scarcer", "fragile →"]),
            y_ends,
        )

    tips = [
        alt.Tooltip("family:N"),
        alt.Tooltip("overlap:N", title="called"),
        alt.Tooltip("tradeoff:N", title="and"),
        alt.Tooltip("fall:Q", format=".3f", title="falls by"),
        alt.Tooltip("fall_low:Q", format=".3f", title="95 % low"),
        alt.Tooltip("fall_high:Q", format=".3f", title="95 % high"),
        alt.Tooltip("span:Q", format=".3f", title="recall span"),
        alt.Tooltip("without_one:Q", format=".3f", title="without a trial"),
        alt.Tooltip("double:Q", format=".3f", title="twice the tolerance"),
        alt.Tooltip("trials:Q", title="trials"),
    ]
    # The named ones come last, on top of the others, and they alone have their uncertainty drawn.
    base, sure = alt.Chart(data[::-1]), alt.Chart(data[data["family"].isin(order)])
    layers: list[alt.Chart] = []
    for rank, (name, median) in enumerate(sorted(medians.items(), key=lambda item: -item[1])):
        own = alt.Chart(pd.DataFrame({"median": [median], "name": [f"{name}, median"], "at": [x_ends[1]]}))
        layers.append(own.mark_rule(strokeDash=[5, 4], color="#9aa0a8").encode(y=y("median")))
        # The higher line has its words above it, the lower one below, however close they are.
        words = own.mark_text(align="right", baseline="top" if rank else "bottom", dy=4 if rank else -3, fontSize=11)
        layers.append(words.encode(x=x("at"), y=y("median"), text="name:N"))
    layers += [
        sure.mark_rule(strokeWidth=1, opacity=0.55).encode(
            x=x("without_one"), x2="double:Q", y=y("fall"), color=scales["color"]
        ),
        sure.transform_filter("isValid(datum.fall_low)")
        .mark_rule(strokeWidth=1.5)
        .encode(x=x("span"), y=y("fall_low"), y2="fall_high:Q", color=scales["color"]),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x("span"), y=y("fall"), color=scales["color"], shape=scales["shape"], tooltip=tips
        ),
    ]
    names = _names(data, [family for family in data["family"] if family in order], x_ends, y_ends, medians)
    if names["apart"].any():
        leader = alt.Chart(names[names["apart"]]).mark_rule(strokeWidth=0.75, color="#8a9099")
        layers.append(leader.encode(x=x("span"), y=y("fall"), x2="x:Q", y2="y:Q"))
    for align in sorted(set(names["align"])):
        rows_ = names[names["align"] == align]
        text = alt.Chart(rows_).mark_text(align=align, baseline="middle", fontSize=12, color=INK)
        layers.append(text.encode(x=x("x"), y=y("y"), text="name:N"))
    return alt.hconcat(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT))


def each(rows: pd.DataFrame, look: dict[str, Style], *, label: str, order: Sequence[str]) -> alt.FacetChart:
    """Draw one small panel per family of `order`: its curve, on the range that all families span.

    `rows` has family, level, mean, low, high of all families, none of the means undefined.
    """
    range_ = rows.groupby("level")["mean"].agg(least="min", most="max").reset_index()
    data = rows[rows["family"].isin(order)].merge(range_, on="level")
    data["share"] = 1 - data["level"]
    data["background"] = [percent(level) for level in data["level"]]
    data["shown"] = [family if family in look else OTHER for family in data["family"]]
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    scales["color"].legend = None
    ends = sorted({float(data["share"].min()), float(data["share"].max())})
    x = alt.X(
        "share:Q",
        title=None,
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=8),
        axis=alt.Axis(values=ends, labelExpr="format(1 - datum.value, '.3~%')", grid=False),
    )
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4))
    tips = [
        alt.Tooltip("family:N"),
        alt.Tooltip("background:N"),
        alt.Tooltip("mean:Q", format=".3f", title=label),
        alt.Tooltip("low:Q", format=".3f", title="95 % low"),
        alt.Tooltip("high:Q", format=".3f", title="95 % high"),
    ]
    base = alt.Chart().encode(x=x)
    band = base.mark_area(color="#b5bac2", opacity=0.35).encode(y=alt.Y("least:Q", title=None), y2="most:Q")
    bar = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", title=None), y2="high:Q", color=scales["color"])
    line = base.mark_line(strokeWidth=2).encode(y=y, color=scales["color"])
    point = base.mark_point(filled=True, size=40, opacity=1).encode(y=y, color=scales["color"], tooltip=tips)
    panels: alt.FacetChart = (
        alt.layer(band, bar, line, point, data=data)
        .properties(width=125, height=95)
        .facet(
            facet=alt.Facet(
                "family:N", sort=list(order), title=None, header=alt.Header(labelLimit=140, labelAnchor="start")
            ),
            columns=5,
        )
    )
    return panels


def _names(
    data: pd.DataFrame,
    names: Sequence[str],
    x_ends: tuple[float, float],
    y_ends: tuple[float, float],
    medians: Mapping[str, float],
) -> pd.DataFrame:
    """Return where the names of the first rows are written.

    Columns: name, align, x, y (of its anchor), span, fall (of its point), apart (whether a line should join them).
    """
    left, low = x_ends[0], y_ends[0]
    wide, high = x_ends[1] - left, y_ends[1] - low

    def down(value: float) -> float:
        return HEIGHT - (value - low) / high * HEIGHT

    at: dict[str, list[float]] = {name: data[name].tolist() for name in ("span", "fall", "fall_low", "fall_high")}
    points = [((span - left) / wide * WIDTH, down(fall)) for span, fall in zip(at["span"], at["fall"], strict=True)]
    lines = [
        Box(x - 1, down(highest), x + 1, down(lowest))
        for (x, _), lowest, highest in zip(points, at["fall_low"], at["fall_high"], strict=True)
        if lowest == lowest
    ]
    # Where the words of the medians stand.
    lines += [Box(0, down(median) - 1, WIDTH, down(median) + 1) for median in medians.values()]
    lines += [Box(WIDTH - 140, down(median) - LINE, WIDTH, down(median) + LINE) for median in medians.values()]
    shown = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    places = place(shown, points, (WIDTH, HEIGHT), lines)
    rows = [
        (name, one.align, left + one.x / WIDTH * wide, low + (HEIGHT - one.y) / HEIGHT * high, span, fall,
         one.distance > RINGS[0])
        for name, one, span, fall in zip(shown, places, at["span"], at["fall"], strict=False)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["name", "align", "x", "y", "span", "fall", "apart"]).astype({"apart": bool})


def _axis(channel: type[Channel], column: str, title: str, ends: tuple[float, float]) -> Channel:
    scale = alt.Scale(domain=list(ends), nice=False, zero=False)
    return channel(f"{column}:Q", title=title, scale=scale, axis=alt.Axis(values=ticks(*ends), format="~g"))


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round numbers in [low, high], 0 among them if it is, so many at most."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(index * step, 10) for index in range(first, last + 1)]


def _ends(values: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an axis that holds 0 and all values, with room beside them."""
    found = values.to_numpy(np.float64)
    low, high = min(0.0, float(np.nanmin(found))), max(0.0, float(np.nanmax(found)))
    # A plane on which nothing moved still needs a width.
    room = max(high - low, 0.05)
    return low - 0.06 * room, low + 1.08 * room
