"""What is left of a difference once thresholds are tuned alike."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sweeper.report.curves import PANEL
from sweeper.report.output.theme import GREY, Style, family_scales
from sweeper.report.output.writing import percent
from sweeper.report.survival import OPEN


def survival(rows: pd.DataFrame, look: dict[str, Style], *, other: str) -> alt.ConcatChart:
    """Draw every difference at argmax (across) against that with thresholds tuned (up), a panel per level.

    `rows` has family, level, reading, size, change, and difference, low and high at each point, prefixed by it;
    families without a look of their own are not to be among them. On the dotted diagonal tuning changes nothing; on the
    line at 0 nothing is left. Points are hollow where no change of size is established.
    """
    data = rows.copy()
    data["shown"] = data["family"]
    data["background"] = [percent(level) for level in data["level"]]
    # Names of the baseline and of families without a row would be empty entries of the legend.
    scales = family_scales({name: style for name, style in look.items() if name in set(data["family"])}, others=False)
    names = [f"{point}_{end}" for point in ("argmax", "shifted") for end in ("difference", "low", "high")]
    # Both axes alike and with their zero, so that the diagonal and the lines at 0 mean something.
    low, high = min(0.0, float(data[names].min().min())), max(0.0, float(data[names].max().max()))
    margin = 0.06 * (high - low) or 0.01
    domain = [low - margin, high + margin]
    scale = alt.Scale(domain=domain, nice=False)
    x = alt.X("argmax_difference:Q", title=f"at argmax, minus {other}", scale=scale, axis=alt.Axis(tickCount=5))
    y = alt.Y("shifted_difference:Q", title="thresholds tuned", scale=scale, axis=alt.Axis(tickCount=5))
    tips = [
        alt.Tooltip("family:N"),
        alt.Tooltip("background:N"),
        alt.Tooltip("argmax_difference:Q", title="at argmax", format="+.3f"),
        alt.Tooltip("shifted_difference:Q", title="thresholds tuned", format="+.3f"),
        alt.Tooltip("change:Q", format="+.3f"),
        alt.Tooltip("size:N", title="its size"),
        alt.Tooltip("reading:N"),
    ]
    diagonal = pd.DataFrame({"argmax_difference": domain, "shifted_difference": domain})
    zero = pd.DataFrame({"at": [0.0]})
    panels = []
    for level in sorted(data["level"].unique()):
        there = data[data["level"] == level]
        own = alt.Chart(there)
        guides = [
            alt.Chart(diagonal).mark_line(strokeDash=[2, 3], color=GREY, strokeWidth=1).encode(x=x, y=y),
            alt.Chart(zero).mark_rule(color=GREY, strokeWidth=1).encode(y=alt.Y("at:Q", scale=scale)),
            alt.Chart(zero).mark_rule(color=GREY, strokeWidth=1).encode(x=alt.X("at:Q", scale=scale)),
        ]
        across = own.mark_rule(strokeWidth=1.2, opacity=0.7).encode(
            x=alt.X("argmax_low:Q", scale=scale), x2="argmax_high:Q", y=y, color=scales["color"]
        )
        up = own.mark_rule(strokeWidth=1.2, opacity=0.7).encode(
            y=alt.Y("shifted_low:Q", scale=scale), y2="shifted_high:Q", x=x, color=scales["color"]
        )
        settled = there["size"] != OPEN
        points = [
            alt.Chart(some)
            .mark_point(filled=filled, size=85, opacity=1, strokeWidth=2)
            .encode(x=x, y=y, color=scales["color"], shape=scales["shape"], tooltip=tips)
            for some, filled in ((there[settled], True), (there[~settled], False))
            if len(some)
        ]
        panels.append(
            alt.layer(*guides, across, up, *points).properties(
                width=PANEL - 25, height=PANEL - 25, title=f"{percent(level)} background"
            )
        )
    return alt.concat(*panels, columns=2 if len(panels) == 4 else 3)
