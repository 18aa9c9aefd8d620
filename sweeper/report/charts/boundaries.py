"""Boundary scores of all families at one level, the Hausdorff distance beside the objects missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from sweeper.report.output.theme import OTHER, Style, family_scales

WIDTH = 172


def boundaries(
    rows: pd.DataFrame, look: dict[str, Style], *, names: Mapping[str, str], order: Sequence[str]
) -> alt.HConcatChart:
    """Draw families as rows in `order`, a panel per metric of `names`, each with its interval and its own scale.

    `rows` has family, metric, mean, low, high, covered, pictures; a family without a value has an empty row.
    """
    data = rows[rows["metric"].isin(list(names))].dropna(subset=["mean"]).copy()
    data["shown"] = [family if family in look else OTHER for family in data["family"]]
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    for encoding in ("color", "shape"):
        scales[encoding].legend = None
    kept = [family for family in order if family in set(data["family"])]
    tips = [
        alt.Tooltip("family:N"),
        alt.Tooltip("mean:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f", title="95 % low"),
        alt.Tooltip("high:Q", format=".3f", title="95 % high"),
        alt.Tooltip("covered:Q", format=".1f", title="covers"),
        alt.Tooltip("pictures:Q", title="of"),
    ]
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for metric, title in names.items():
        part = data[data["metric"] == metric]
        if part.empty:
            continue
        axis = None if panels else alt.Axis(labelLimit=220)
        y = alt.Y("family:N", sort=kept, title=None, axis=axis, scale=alt.Scale(domain=kept))
        scale = alt.Scale(zero=False, nice=True)
        few = alt.Axis(tickCount=4, labelOverlap="greedy", labelSeparation=6)
        own = alt.Chart(part)
        bar = own.mark_rule(strokeWidth=2).encode(
            y=y, x=alt.X("low:Q", title=None, scale=scale), x2="high:Q", color=scales["color"]
        )
        point = own.mark_point(filled=True, size=80, opacity=1).encode(
            y=y, x=alt.X("mean:Q", title=None, scale=scale, axis=few), color=scales["color"], shape=scales["shape"],
            tooltip=tips,
        )  # fmt: skip
        panels.append(alt.layer(bar, point).properties(width=WIDTH, height=alt.Step(24), title=title))
    return alt.hconcat(*panels, spacing=20)
