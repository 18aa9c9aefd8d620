"""Charts that compare studies."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from sweeper.report.curves import Chart
from sweeper.report.output.theme import OTHER, Style, family_scales
from sweeper.report.output.writing import percent

SHORT = 14
"""Letters of a family's name."""


def by_study(rows: pd.DataFrame, look: dict[str, Style], order: Sequence[str], label: str) -> Chart | None:
    """Draw every family at the hardest level of each study, a panel per study with an axis of its own."""
    data = rows[rows["is_hardest"]].dropna(subset=["mean"])
    if data.empty:
        return None
    data = data.assign(
        shown=[family if family in look else OTHER for family in data["family"]],
        background=[percent(level) for level in data["level"]],
    )
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    for encoding in ("color", "shape"):
        scales[encoding].legend = None
    tips = [alt.Tooltip("family:N"), alt.Tooltip("study:N"), alt.Tooltip("background:N"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high"))]  # fmt: skip
    # Three panels beside each other where the families' names leave room for them on the page.
    short = max(map(len, data["family"])) <= SHORT
    panels = []
    for study in dict.fromkeys(data["study"]):
        own = data[data["study"] == study]
        base = alt.Chart(own).encode(
            y=alt.Y("family:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=200)), tooltip=tips
        )
        scale = alt.Scale(zero=False, nice=True)
        axis = alt.Axis(tickCount=4, labelOverlap="greedy", labelSeparation=6)
        bar = base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title=label, scale=scale, axis=axis), x2="high:Q", color=scales["color"]
        )
        point = base.mark_point(filled=True, size=90, opacity=1).encode(
            x=alt.X("mean:Q", title=label, scale=scale, axis=axis), color=scales["color"], shape=scales["shape"]
        )
        title = alt.TitleParams(f"{study}, {own['background'].iloc[0]} background", limit=300)
        panels.append(alt.layer(bar, point).properties(width=200 if short else 240, height=alt.Step(22), title=title))
    return alt.concat(*panels, columns=3 if short else 2)
