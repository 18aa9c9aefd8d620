"""Charts of who beats whom: verdicts as a matrix, mean ranks with what is not separable joined, profiles."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from sweeper.report.inference.verdict import Verdict
from sweeper.report.output.theme import GREY, OTHER, Style, family_scales
from sweeper.report.output.writing import percent

NUMBERS = 7
"""Up to so many families the cells of the matrix hold differences, beyond only signs."""

WIDE = 12
"""Up to so many families two matrices stand side by side."""

FILLS = {
    Verdict.BETTER: "rgba(46,126,187,0.5)",
    Verdict.WORSE: "rgba(213,94,0,0.5)",
    Verdict.EQUIVALENT: "rgba(0,158,115,0.38)",
    Verdict.OPEN: "rgba(138,144,153,0.1)",
}
"""Translucent: numbers on them stay readable in the page's ink, on light and on dark ground."""

SIGNS = {Verdict.BETTER: "+", Verdict.WORSE: "−", Verdict.EQUIVALENT: "≈", Verdict.OPEN: "?"}


def matrix(cells: pd.DataFrame, order: Sequence[str], panels: Sequence[str], label: str) -> alt.ConcatChart:
    """Draw the verdict on every row against every column, a panel per level.

    Args:
        cells: Columns row, column, panel, difference, low, high, improvement, corrected, verdict.
        order: The families, best first.
        panels: Values of `panel`, in order.
        label: What the difference is of.
    """
    few = len(order) <= NUMBERS
    # Rounded to what can be seen: the page carries every number it draws.
    data = cells.round(dict.fromkeys(("difference", "low", "high", "improvement"), 4)).assign(
        shown=[
            f"{'' if Verdict(verdict).separable else SIGNS[Verdict(verdict)] + ' '}{_points(difference)}"
            if few
            else SIGNS[Verdict(verdict)]
            for verdict, difference in zip(cells["verdict"], cells["difference"], strict=True)
        ]
    )
    width, height = (50, 27) if few else (27, 24) if len(order) <= WIDE else (24, 22)
    drawn = [
        _matrix(data[data["panel"] == panel], order, label, panel).properties(
            width=width * len(order), height=height * len(order)
        )
        for panel in panels
    ]
    return alt.concat(*drawn, columns=2 if len(order) <= WIDE else 1)


def _matrix(data: pd.DataFrame, order: Sequence[str], label: str, panel: str) -> alt.LayerChart | alt.FacetChart:
    names = [str(verdict) for verdict in FILLS]
    scale = alt.Scale(domain=list(order))
    base = alt.Chart(data).encode(
        x=alt.X(
            "column:N",
            sort=list(order),
            scale=scale,
            title=None,
            axis=alt.Axis(orient="top", labelAngle=-40, labelLimit=110, domain=False, ticks=False),
        ),
        y=alt.Y(
            "row:N",
            sort=list(order),
            scale=scale,
            title=None,
            axis=alt.Axis(labelLimit=130, domain=False, ticks=False),
        ),
        tooltip=[
            alt.Tooltip("row:N", title="family"),
            alt.Tooltip("column:N", title="against"),
            alt.Tooltip("panel:N", title="background"),
            alt.Tooltip("verdict:N"),
            alt.Tooltip("difference:Q", format="+.3f", title=f"difference in {label}"),
            alt.Tooltip("low:Q", format="+.3f", title="95 % low"),
            alt.Tooltip("high:Q", format="+.3f", title="95 % high"),
            alt.Tooltip("improvement:Q", format=".2f", title="probability of improvement"),
            alt.Tooltip("corrected:Q", format=".2~g", title="p, corrected"),
        ],
    )
    legend = alt.Legend(
        title="row against column", orient="bottom", columns=4, symbolType="square", symbolSize=160, labelLimit=240,
        symbolStrokeColor=GREY, symbolStrokeWidth=0.5,
    )  # fmt: skip
    boxes = base.mark_rect(stroke=GREY, strokeOpacity=0.5, strokeWidth=0.5).encode(
        fill=alt.Fill("verdict:N", scale=alt.Scale(domain=names, range=list(FILLS.values())), legend=legend)
    )
    words = base.mark_text(fontSize=11.5 if len(order) <= NUMBERS else 13).encode(text="shown:N")
    return alt.layer(boxes, words).properties(title=panel)


def ranking(
    rows: pd.DataFrame, joined: pd.DataFrame, look: dict[str, Style], panels: Sequence[str]
) -> alt.HConcatChart:
    """Draw mean ranks, and beside them bars that join neighbors which are not separable.

    Args:
        rows: Columns panel, family, rank; families beyond those shown are left out.
        joined: Columns panel, bar (from 0), first and last (families).
        panels: The panels, from the left.
    """
    # One scale for all panels, whatever their order: Vega warns of two that differ.
    names = list(dict.fromkeys(rows["family"]))
    colors = alt.Scale(domain=names, range=[look[name].color if name in look else "#a9a9a9" for name in names])
    parts = [
        _ranked(rows[rows["panel"] == panel], joined[joined["panel"] == panel], colors, title=panel) for panel in panels
    ]
    return alt.HConcatChart(hconcat=parts, spacing=40)


def _ranked(rows: pd.DataFrame, joined: pd.DataFrame, colors: alt.Scale, *, title: str) -> alt.HConcatChart:
    rows = rows.sort_values("rank", kind="stable")
    order = rows["family"].tolist()
    height = 26 * len(order)
    y = alt.Y("family:N", sort=order, scale=alt.Scale(domain=order), title=None, axis=alt.Axis(labelLimit=150))
    ranked = alt.Chart(rows).encode(
        y=y,
        x=alt.X(
            "rank:Q", title="mean rank, 1 is best", scale=alt.Scale(domain=_rank_domain(rows), nice=False, padding=8)
        ),
        tooltip=[alt.Tooltip("family:N"), alt.Tooltip("rank:Q", format=".2f", title="mean rank")],
    )
    dots = alt.layer(
        ranked.mark_rule(strokeDash=[2, 3], stroke=GREY, opacity=0.5).encode(x2=alt.datum(_rank_domain(rows)[0])),
        ranked.mark_circle(size=110, opacity=1).encode(color=alt.Color("family:N", scale=colors, legend=None)),
    ).properties(width=250, height=height, title=title)
    bare = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
    bars = (
        alt.Chart(joined)
        .mark_rule(strokeWidth=6, stroke=GREY, strokeCap="round")
        .encode(
            x=alt.X("bar:O", title=None, axis=bare),
            y=alt.Y("first:N", sort=order, scale=alt.Scale(domain=order), title=None, axis=bare),
            y2="last:N",
            tooltip=[alt.Tooltip("first:N", title="not separable, from"), alt.Tooltip("last:N", title="to")],
        )
        .properties(width=max(14, 14 * joined["bar"].nunique()), height=height)
    )
    return alt.HConcatChart(hconcat=[dots, bars] if len(joined) else [dots], spacing=6)


def profiles(rows: pd.DataFrame, look: dict[str, Style], label: str) -> alt.ConcatChart:
    """Draw the share of runs above each threshold, a panel per level; bands for the families that have a color."""
    # Rounded to what can be seen: the page carries every number it draws.
    data = rows[["family", "level", "threshold", "share", "low", "high"]].round(4)
    data["shown"] = [family if family in look else OTHER for family in data["family"]]
    scales = family_scales(look, others=bool((data["shown"] == OTHER).any()))
    # Turned round: legends of equal domains are merged, and the bands have none.
    bands = alt.Scale(domain=[*look][::-1], range=[style.color for style in look.values()][::-1])
    panels = []
    for level in sorted(data["level"].unique()):
        own = data[data["level"] == level]
        base = alt.Chart(own).encode(
            x=alt.X("threshold:Q", title=f"{label} of one image", scale=alt.Scale(domain=[0, 1])),
            detail="family:N",
        )
        band = base.transform_filter(alt.datum.shown != OTHER).mark_area(opacity=0.13)
        line = base.mark_line(strokeWidth=2)
        y = alt.Y("share:Q", title="share of runs above it", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
        tips = [
            alt.Tooltip("family:N"),
            alt.Tooltip("threshold:Q", format=".2f"),
            alt.Tooltip("share:Q", format=".0%"),
            alt.Tooltip("low:Q", format=".0%", title="95 % low"),
            alt.Tooltip("high:Q", format=".0%", title="95 % high"),
        ]
        fill = alt.Fill("shown:N", scale=bands, legend=None)
        panels.append(
            alt.layer(
                band.encode(y=alt.Y("low:Q", title=None), y2="high:Q", fill=fill),
                line.encode(y=y, color=scales["color"], strokeDash=scales["dash"], tooltip=tips),
            ).properties(width=390, height=260, title=f"{percent(level)} background")
        )
    return alt.concat(*panels, columns=2)


def _rank_domain(rows: pd.DataFrame) -> list[float]:
    return [1.0, max(2.0, float(rows["rank"].max()))]


def _points(difference: float) -> str:
    if difference != difference:
        return "–"
    return f"{100 * difference:+.1f}".replace("-", "−")
