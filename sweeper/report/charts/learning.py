"""Charts of learning and of the search's budget."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from sweeper.report.curves import PANEL, Chart
from sweeper.report.output.theme import OTHER, Style, family_scales
from sweeper.report.output.writing import percent


def learning(rows: pd.DataFrame, look: dict[str, Style], targets: dict[float, float], label: str) -> Chart:
    """Draw validation scores over epochs, a panel per level, a line per family with the band of its seeds.

    Args:
        rows: family, level, epoch, mean, low, high.
        targets: Score that counts as learned, by level: a dashed line.
    """
    data = _shown(rows, look)
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    pick = alt.selection_point(fields=["shown"], bind="legend")
    panels: list[alt.LayerChart | alt.FacetChart] = []
    for level in sorted(data["level"].unique()):
        own = data[data["level"] == level]
        x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False))
        base = alt.Chart(own).encode(
            x=x, detail="family:N", opacity=alt.condition(pick, alt.value(1.0), alt.value(0.1))
        )
        layers: list[alt.Chart] = []
        if own["low"].notna().any():
            banded = alt.Chart(own.dropna(subset=["low"]))
            layers.append(
                banded.mark_area().encode(
                    x=x,
                    y=alt.Y("low:Q", title=label),
                    y2="high:Q",
                    detail="family:N",
                    color=scales["color"],
                    opacity=alt.condition(pick, alt.value(0.14), alt.value(0.02)),
                )
            )
        line = base.mark_line(strokeWidth=2, point=own["epoch"].nunique() < 3).encode(
            y=alt.Y("mean:Q", title=label),
            color=scales["color"],
            strokeDash=scales["dash"],
            tooltip=[alt.Tooltip("family:N"), alt.Tooltip("epoch:Q"), alt.Tooltip("mean:Q", format=".3f")],
        )
        layers.append(line if panels else line.add_params(pick))
        if level in targets:
            goal = pd.DataFrame({"target": [targets[level]]})
            layers.append(alt.Chart(goal).mark_rule(strokeDash=[4, 3], color="#8a9099").encode(y="target:Q"))
        panels.append(
            alt.layer(*layers).properties(width=PANEL + 110, height=260, title=f"{percent(level)} background")
        )
    return alt.concat(*panels, columns=2)


def budget(rows: pd.DataFrame, look: dict[str, Style], families: Sequence[str], label: str) -> Chart:
    """Draw the expected best score over the number of trials, a panel per level, and the best so far as steps.

    `rows` has family, level, trials, so_far, expected.
    """
    data = _shown(rows[rows["family"].isin(families)], look)
    scales = family_scales(look, others=OTHER in set(data["shown"]))
    panels = []
    for level in sorted(data["level"].unique()):
        own = data[data["level"] == level]
        x = alt.X("trials:Q", title="completed trials", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False))
        tips = [alt.Tooltip("family:N"), alt.Tooltip("trials:Q"), alt.Tooltip("expected:Q", format=".3f"),
                alt.Tooltip("so_far:Q", format=".3f", title="best so far")]  # fmt: skip
        scale = alt.Scale(zero=False, nice=True)
        steps = (
            alt.Chart(own)
            .mark_line(interpolate="step-after", strokeWidth=1, opacity=0.55)
            .encode(x=x, y=alt.Y("so_far:Q", title=label, scale=scale), color=scales["color"], detail="family:N")
        )
        line = (
            alt.Chart(own)
            .mark_line(strokeWidth=2.2)
            .encode(
                x=x,
                y=alt.Y("expected:Q", title=label, scale=scale),
                color=scales["color"],
                detail="family:N",
                strokeDash=scales["dash"],
                tooltip=tips,
            )
        )
        panels.append(
            alt.layer(steps, line).properties(width=PANEL + 110, height=230, title=f"{percent(level)} background")
        )
    return alt.concat(*panels, columns=2)


def _shown(rows: pd.DataFrame, look: dict[str, Style]) -> pd.DataFrame:
    data = rows.copy()
    data["shown"] = [family if family in look else OTHER for family in data["family"]]
    return data
