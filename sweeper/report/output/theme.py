"""How charts look: one color, shape and dash per family on the whole page, readable on light and dark ground.

Colors stay between both grounds in lightness (contrast 2.7 or more on either) and lean on Okabe and Ito's set, made for
color-blind readers; shape and dash carry the same information for those who see none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from sweeper.report.comparisons import BASELINE

COLORS = ("#2e7ebb", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#7b5ea7", "#3fa7d6")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES = ((1, 0), (7, 2), (2, 2), (8, 2, 2, 2), (4, 2), (10, 3), (1, 2))
GREY = "#808080"
MOST = len(COLORS)
"""Families beyond so many cannot be told apart by color: the rest is drawn in grey and named in the tooltip."""

OTHER = "other families"


@dataclass(frozen=True, slots=True)
class Style:
    """How one family is drawn."""

    color: str
    shape: str
    dash: tuple[int, ...]


def styles(families: Sequence[str], leaders: Sequence[str]) -> dict[str, Style]:
    """Return the style of every family that has one of its own, in the order of `families`.

    With too many families for that, `leaders`, best first, have precedence; the baseline is always grey and dashed.
    """
    others = [family for family in families if family != BASELINE]
    if len(others) > MOST:
        ranked = [*(f for f in leaders if f != BASELINE), *(f for f in others if f not in leaders)]
        own = set(ranked[:MOST])
        others = [family for family in others if family in own]
    palette = zip(COLORS, SHAPES, DASHES, strict=True)
    found = {family: Style(*look) for family, look in zip(others, palette, strict=False)}
    if BASELINE in families:
        found[BASELINE] = Style(GREY, "circle", (4, 3))
    return {family: found[family] for family in families if family in found}


def family_scales(look: dict[str, Style], *, others: bool) -> dict[str, Any]:
    """Return the color, shape and dash encodings of the column `shown`, one common legend."""
    names = [*look, *([OTHER] if others else [])]
    values = [*look.values(), *([Style("#a9a9a9", "circle", (1, 0))] if others else [])]
    # Below the panels: beside them it would be cut off on a narrow window.
    legend = alt.Legend(title="family", orient="bottom", columns=5, symbolStrokeWidth=2, symbolSize=90, labelLimit=240)

    def scale(values: list[Any]) -> alt.Scale:
        return alt.Scale(domain=names, range=values)

    # Dashes are kept out of the legend, where they would break up the outlines of its symbols. Legends of equal domains
    # are merged whatever their settings, so the domain is turned round.
    dashes = alt.Scale(domain=names[::-1], range=[list(style.dash) for style in values[::-1]])
    return {
        "color": alt.Color("shown:N", scale=scale([style.color for style in values]), legend=legend),
        "shape": alt.Shape("shown:N", scale=scale([style.shape for style in values]), legend=legend),
        "dash": alt.StrokeDash("shown:N", scale=dashes, legend=None),
    }


CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        # Labels stay under their ticks: moved inward, the first would run into the second.
        "labelFlush": False,
        "gridColor": "#d9dce1",
        "domainColor": "#8a9099",
        "tickColor": "#8a9099",
        "labelColor": "#30343b",
        "titleColor": "#30343b",
    },
    "header": {"labelFontSize": 13, "labelFontWeight": "bold", "labelColor": "#30343b", "title": None},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelColor": "#30343b", "titleColor": "#30343b"},
    "title": {"fontSize": 13, "color": "#30343b", "anchor": "start"},
    "concat": {"spacing": 24},
    "facet": {"spacing": 24},
}
"""The page recolors text and grid by CSS on a dark ground; these are for the light page and the files."""
