"""Every seed of every family."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from sweeper.report.curves import unit_domain
from sweeper.report.output.theme import OTHER, Style, family_scales
from sweeper.report.output.writing import percent

WIDTH = 350


def seeds(rows: pd.DataFrame, look: dict[str, Style], *, label: str, order: Sequence[str]) -> alt.HConcatChart:
    """Draw a strip of seeds per family, a panel per level; a bar marks their mean.

    `rows` has family, level, seed, score, none of them undefined; `order` says which family comes first.
    """
    data = rows.copy()
    data["shown"] = [family if family in look else OTHER for family in data["family"]]
    data["background"] = [percent(level) for level in data["level"]]
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    for encoding in ("color", "shape"):
        # The axis names every family: a legend would say it again.
        scales[encoding].legend = None
    scale = alt.Scale(domain=list(unit_domain(data["score"])), nice=False)
    kept = [family for family in order if family in set(data["family"])]
    tips = [
        alt.Tooltip("family:N"),
        alt.Tooltip("background:N"),
        alt.Tooltip("seed:N"),
        alt.Tooltip("score:Q", title=label, format=".3f"),
    ]
    panels = []
    for place, level in enumerate(sorted(data["level"].unique())):
        own = alt.Chart(data[data["level"] == level])
        axis = alt.Axis(labelLimit=220) if place == 0 else None
        y = alt.Y("family:N", sort=kept, title=None, axis=axis, scale=alt.Scale(domain=kept))
        x = alt.X("score:Q", title=f"{label} of a seed", scale=scale, axis=alt.Axis(tickCount=5))
        mean = own.mark_tick(thickness=2, size=16, color="#8a9099").encode(
            y=y, x=alt.X("mean(score):Q", title=f"{label} of a seed", scale=scale)
        )
        point = own.mark_point(filled=True, size=60, opacity=0.75).encode(
            x=x, y=y, color=scales["color"], shape=scales["shape"], tooltip=tips
        )
        panels.append(
            alt.layer(mean, point).properties(width=WIDTH, height=alt.Step(22), title=f"{percent(level)} background")
        )
    return alt.hconcat(*panels, spacing=24)
