"""Reliability curves with the weight of every bin below them."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sweeper.report.output.theme import GREY, Style, family_scales
from sweeper.report.output.writing import percent
from sweeper.results.margins import PROBABILITY_BINS

WIDTH = 350


def reliability(rows: pd.DataFrame, look: dict[str, Style]) -> alt.HConcatChart:
    """Draw observed over predicted, a panel per level, points as large as the bin's share of the minority pixels.

    `rows` has family, level, bin, probability, share, pixels, minority, share_low, share_high (`calibration.curves`),
    of families with a look of their own. Below: the share of all pixels in each bin, on a logarithmic scale, since all
    but a few lie in the first.
    """
    data = rows.copy()
    data["shown"] = data["family"]
    data["background"] = [percent(level) for level in data["level"]]
    # The weights are drawn as a step per bin.
    data["from"] = data["bin"] / PROBABILITY_BINS
    data["to"] = (data["bin"] + 1) / PROBABILITY_BINS
    scales = family_scales({name: style for name, style in look.items() if name in set(data["family"])}, others=False)
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("probability:Q", title="predicted probability of a minority class", scale=unit)
    y = alt.Y("share:Q", title="share that is of one", scale=unit)
    size = alt.Size(
        "minority:Q",
        title="share of the minority pixels in the bin",
        scale=alt.Scale(type="sqrt", domain=[0, 0.5], range=[12, 320], clamp=True),
        legend=alt.Legend(values=[0.01, 0.1, 0.5], format=".0%", orient="bottom", symbolFillColor=GREY, titleLimit=320),
    )
    weight = alt.Scale(type="log", domain=[1e-5, 1], clamp=True)
    tips = [
        alt.Tooltip("family:N"),
        alt.Tooltip("background:N"),
        alt.Tooltip("probability:Q", title="predicted", format=".3f"),
        alt.Tooltip("share:Q", title="observed", format=".3f"),
        alt.Tooltip("share_low:Q", title="lowest seed", format=".3f"),
        alt.Tooltip("share_high:Q", title="highest seed", format=".3f"),
        alt.Tooltip("minority:Q", title="of the minority pixels", format=".2%"),
        alt.Tooltip("pixels:Q", title="of all pixels", format=".3%"),
    ]
    diagonal = pd.DataFrame({"probability": [0.0, 1.0], "share": [0.0, 1.0]})
    panels = []
    for level in sorted(data["level"].unique()):
        own = alt.Chart(data[data["level"] == level])
        ideal = alt.Chart(diagonal).mark_line(strokeDash=[2, 3], color=GREY, strokeWidth=1.5).encode(x=x, y=y)
        line = own.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=scales["color"], strokeDash=scales["dash"])
        point = own.mark_point(filled=True, opacity=0.9).encode(
            x=x, y=y, color=scales["color"], shape=scales["shape"], size=size, tooltip=tips
        )
        curve = alt.layer(ideal, line, point).properties(width=WIDTH, height=300, title=f"{percent(level)} background")
        weights = (
            own.mark_rule(strokeWidth=2)
            .encode(
                x=alt.X("from:Q", title=None, scale=unit),
                x2="to:Q",
                y=alt.Y("pixels:Q", title="of all pixels", scale=weight,
                        axis=alt.Axis(values=[1e-4, 1e-2, 1], format=".2~%")),
                color=scales["color"],
                tooltip=tips,
            )
            .properties(width=WIDTH, height=80)
        )  # fmt: skip
        panels.append(alt.vconcat(curve, weights, spacing=12))
    return alt.hconcat(*panels, spacing=36)
