"""Recovered curves over the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from sweeper.report.output.theme import Style

WIDTH = 940
"""Of all panels of a row together, in pixels."""
HEIGHT = 150
GAP = 14
TRUE = "#9aa0a8"
OTHER = "#6b7078"
"""Of families that have no color of their own."""


def recovered(
    logs: Sequence[tuple[str, pd.DataFrame]],
    families: Sequence[str],
    classes: Sequence[str],
    look: Mapping[str, Style],
    *,
    depth: int,
) -> alt.VConcatChart:
    """Draw a row of panels per log and curve, a panel per family: depth down, position across.

    Args:
        logs: Name and lines of each log, as `tracks.lines` returns them.
        depth: Rows of a log.
    """
    width = max(70, min(220, (WIDTH - 60) // max(1, len(families)) - GAP))
    grid: list[alt.HConcatChart] = []
    for log, (stem, frame) in enumerate(logs):
        for place, curve in enumerate(classes):
            own = frame[frame["curve"] == curve]
            first, last = not grid, log == len(logs) - 1 and place == len(classes) - 1
            row = []
            for column, family in enumerate(families):
                color = look[family].color if family in look else OTHER
                label = None if column else f"{stem}: {curve}"
                below = ("position on the track" if width > 130 else "position") if last else None
                true = _line(own[own["family"].isna()], depth, label=label, below=below)
                drawn = _line(own[own["family"] == family], depth, label=label, below=below)
                layers = alt.layer(
                    true.mark_line(color=TRUE, strokeWidth=5, opacity=0.55, strokeCap="butt"),
                    drawn.mark_line(color=color, strokeWidth=1.6, strokeCap="butt"),
                )
                title = alt.Title(family if first else "", limit=width, frame="group")
                row.append(layers.properties(width=width, height=HEIGHT, title=title))
            grid.append(alt.hconcat(*row, spacing=GAP, bounds="flush"))
    return alt.vconcat(*grid, spacing=GAP)


def _line(rows: pd.DataFrame, depth: int, *, label: str | None, below: str | None) -> alt.Chart:
    """Return lines with their axes.

    Args:
        label: Of the first panel of a row, which has the depth for all of it; None for the others.
        below: Title of the positions, in the last row; None for those above.
    """
    across = alt.Axis(title=below, values=[0, 0.5, 1], labels=below is not None, format="~g")
    first = label is not None
    down = alt.Axis(title=label, titleLimit=HEIGHT, tickCount=3, labels=first, ticks=first)
    chart: alt.Chart = alt.Chart(rows[["stretch", "row", "position"]]).encode(
        x=alt.X("position:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=across),
        y=alt.Y("row:Q", scale=alt.Scale(domain=[0, depth], reverse=True, nice=False), axis=down),
        detail="stretch:N",
        order="row:Q",
    )
    return chart
