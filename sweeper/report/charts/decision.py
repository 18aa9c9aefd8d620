"""The decision map as a picture: levels over the logarithm of the cost ratio, colored by the winning family."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from sweeper.report.choice.decision import NOTHING, UNKNOWN
from sweeper.report.choice.decision_words import per_million, times
from sweeper.report.choice.territories import runs
from sweeper.report.output.theme import OTHER, Style
from sweeper.report.output.writing import MISSING, percent, whole

WIDTH = 14 * 53
"""A whole number of pixels for each ratio."""
ROW = 44
LETTER = 7.2
"""Pixels one letter of a label needs at most."""

SURE = ("95 % or more", "75 to 95 %", "less than 75 %", "not known")
"""Classes of the share of resamples in which the winning family is the cheapest."""

_OPACITY = (1.0, 0.6, 0.28, 0.6)
OTHER_COLOR = "#a9a9a9"
_RULE = "#5c636e"
"""Rules the cells of families without a color of their own, whose grey is else that of a faint baseline."""


def decision_map(frame: pd.DataFrame, look: dict[str, Style], marks: Sequence[float]) -> alt.HConcatChart:
    """Draw the map; where predicting nothing wins it is left empty.

    Args:
        frame: As `decision.decision_map` returns it.
        marks: Ratios that the axis names.
    """
    data = _cells(frame, look)
    levels = [percent(level) for level in sorted(frame["level"].unique(), reverse=True)]
    ends = [float(data["low"].min()), float(data["high"].max())]
    x = alt.X(
        "low:Q",
        title="what a missed minority pixel costs, in false alarms",
        scale=alt.Scale(type="log", domain=ends, nice=False),
        axis=alt.Axis(values=list(marks), labelExpr=_label_expression(marks), grid=False),
    )
    y = alt.Y("background:O", sort=levels, title="background", scale=alt.Scale(domain=levels, paddingInner=0.08))
    names, colors = _legend(data, look)
    present = [name for name in SURE if name in set(data["sure"])]
    cells = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=x,
            x2="high:Q",
            y=y,
            stroke=alt.condition(alt.datum.shown == OTHER, alt.value(_RULE), alt.value(None)),
            color=alt.Color(
                "shown:N",
                scale=alt.Scale(domain=names, range=colors),
                legend=alt.Legend(
                    title="cheapest family", orient="bottom", columns=4, symbolType="square", symbolSize=160,
                    symbolStrokeColor="#8a9099", symbolStrokeWidth=1, symbolOpacity=1, labelLimit=240,
                ),
            ),
            opacity=alt.Opacity(
                "sure:O",
                sort=list(SURE),
                # Left to itself, Vega-Lite takes a scale of points, which spaces all classes evenly between the first
                # opacity and the last.
                scale=alt.Scale(type="ordinal", domain=list(SURE), range=list(_OPACITY)),
                legend=alt.Legend(
                    title="cheapest in … of resamples", values=present, orient="bottom", columns=4, symbolType="square",
                    symbolSize=160, symbolFillColor="#2e7ebb", symbolStrokeWidth=0,
                    titleLimit=400, labelLimit=240,
                ),
            ),
            tooltip=[
                alt.Tooltip("background:N"),
                alt.Tooltip("price:N", title="a miss costs"),
                alt.Tooltip("winner:N", title="cheapest"),
                alt.Tooltip("misses:N", title="misses per million"),
                alt.Tooltip("alarms:N", title="false alarms per million"),
                alt.Tooltip("confidence:N", title="family cheapest in"),
                alt.Tooltip("next:N", title="next family"),
                alt.Tooltip("verdict:N", title="against it"),
            ],
        )
    )  # fmt: skip
    words = (
        alt.Chart(_labels(frame, ends))
        .mark_text(fontSize=12, baseline="middle", color="#1d2026")
        .encode(x=alt.X("at:Q", scale=alt.Scale(type="log", domain=ends, nice=False)), y=y, text="name:N")
    )
    panel = alt.layer(cells, words).properties(width=WIDTH, height=alt.Step(ROW), view=alt.ViewConfig(stroke="#8a9099"))
    return alt.hconcat(panel)


def sure(share: float) -> str:
    """Return the class of a share."""
    if share != share:
        return SURE[3]
    return SURE[0] if share >= 0.95 else SURE[1] if share >= 0.75 else SURE[2]


def _cells(frame: pd.DataFrame, look: dict[str, Style]) -> pd.DataFrame:
    ratios = np.sort(frame["ratio"].unique())
    # Ratios are evenly spaced but for the rounding of their numbers: cells of equal width leave no seams.
    half = (ratios[-1] / ratios[0]) ** (0.5 / max(len(ratios) - 1, 1)) if len(ratios) > 1 else 1.1
    edges = np.geomspace(ratios[0] / half, ratios[-1] * half, len(ratios) + 1)
    at = np.searchsorted(ratios, frame["ratio"])
    settings = [f", {setting}" if setting else "" for setting in frame["setting"]]
    return pd.DataFrame(
        {
            "background": [percent(level) for level in frame["level"]],
            "low": edges[at],
            "high": edges[at + 1],
            "price": [times(ratio) for ratio in frame["ratio"]],
            "shown": [name if name in look or name == NOTHING else OTHER for name in frame["family"]],
            "winner": [f"{family}{setting}" for family, setting in zip(frame["family"], settings, strict=True)],
            "misses": [per_million(value) for value in frame["misses"]],
            "alarms": [per_million(value) for value in frame["alarms"]],
            # Shares that know nothing of another seed, or of another image, are those of no winner that is sure.
            "sure": [
                SURE[3] if verdict == UNKNOWN else sure(share)
                for verdict, share in zip(frame["verdict"], frame["family_share"], strict=True)
            ],
            "confidence": [
                MISSING if share != share else f"{whole(share)} of resamples" for share in frame["family_share"]
            ],
            "next": frame["runner_up"].to_numpy(),
            "verdict": frame["verdict"].to_numpy(),
        }
    )


def _legend(data: pd.DataFrame, look: dict[str, Style]) -> tuple[list[str], list[str]]:
    present = set(data["shown"])
    shown = {name: style.color for name, style in look.items()} | {OTHER: OTHER_COLOR, NOTHING: "transparent"}
    names = [name for name in shown if name in present]
    return names, [shown[name] for name in names]


def _labels(frame: pd.DataFrame, ends: Sequence[float]) -> pd.DataFrame:
    """Return where a winner's name fits into its run of cells: whole, else cut, else not at all."""
    rows = []
    scale = WIDTH / np.log(ends[1] / ends[0])
    step = np.log(ends[1] / ends[0]) / frame["ratio"].nunique()
    merged = frame.assign(setting="")
    for run in runs(merged).to_dict("records"):
        first, last = float(run["ratio_from"]), float(run["ratio_to"])
        room = (np.log(last / first) + step) * scale / LETTER - 1
        name = "nothing" if run["family"] == NOTHING else str(run["family"])
        if room < len(name):
            name = f"{name[: int(room) - 1]}…" if room >= 6 else ""
        if name:
            rows.append((percent(float(run["level"])), float(np.sqrt(first * last)), name))
    return pd.DataFrame(rows, columns=["background", "at", "name"]).astype({"at": float})


def _label_expression(marks: Sequence[float]) -> str:
    """Return a Vega expression that writes the marks as `times` does."""
    choices = "".join(f"abs(datum.value / {mark!r} - 1) < 1e-6 ? '{times(mark)}' : " for mark in marks)
    return f"{choices}datum.label"
