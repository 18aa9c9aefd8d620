"""The measured plane in words: what the labels are worth in this study, and which families they do not fit."""

from __future__ import annotations

from sweeper.report.output.writing import bounds, digits, listed
from sweeper.report.plane import contradictions
from sweeper.report.plane.axes import Axes
from sweeper.report.plane.contradictions import AWARE, PIXEL, SYMMETRIC, TUNABLE
from sweeper.report.plane.falls import CLOSEST, FLOOR
from sweeper.report.plane.spans import ENOUGH, FEW, MEASURED, Span

NEAR = f"{100 * (10**CLOSEST - 1):.0f}\u00a0% of foreground"

MANY = 8
"""Families beyond which they are counted rather than named."""


def overlap_reading(axes: Axes) -> str:
    """Say whether the overlap labels hold, or why that cannot be said."""
    if not axes.falls:
        if axes.near:
            return (
                "How scores fall with the imbalance cannot be measured: on test, the levels lie within "
                f"{NEAR} of one another, which is one place."
            )
        return "How scores fall with the imbalance takes confirmed scores at two levels or more, which are not there."
    found = axes.groups
    if found is None:
        names = {fall.family for fall in axes.comparable}
        absent = [label for label in (AWARE, PIXEL) if not any(axes.overlaps[name] == label for name in names)]
        if absent:
            return (
                f"Without a measured family called {' or '.join(absent)}, there is nothing to hold that label against."
            )
        if len(axes.comparable[0].shared.seeds) < 2:
            return "With a single seed, how another training would fall is unknown, and no overlap label is judged."
        return "With a single test image, how scores would fall on others is unknown, and no overlap label is judged."
    (aware, pixel), more = found.medians, found.difference
    text = (
        f"Per foreground ten times scarcer, the median per-pixel family loses {digits(pixel)} minority {axes.metric} "
        f"and the median overlap-aware one {digits(aware)}: {digits(abs(more.mean))} {_sign(more.mean)} "
        f"{bounds(more, sign=True)}".rstrip()
    )
    if found.as_promised:
        return f"{text}, as the labels promise."
    if more.high < 0:
        return f"{text}, the opposite of what the labels promise."
    return f"{text}. The difference is not clear of noise: here the labels do not tell the families apart."


def tradeoff_reading(axes: Axes) -> str:
    """Say what the dials of the tunable families buy; empty where no family has any."""
    measured = [span for span in axes.spans_here.values() if span.status == MEASURED]
    few = [span.family for span in axes.spans_here.values() if span.status == FEW]
    tunable = [span for span in measured if axes.tradeoffs[span.family] == TUNABLE]
    parts = []
    if tunable:
        bought = listed(f"{span.family} {digits(span.span)}" for span in sorted(tunable, key=lambda span: -span.span))
        parts.append(f"Recall that the dials of the tunable families buy at equal F1: {bought}.")
    lucky = [span.family for span in measured if span.span > 0 and span.span <= span.luck]
    if lucky:
        parts.append(f"No more than the luck of training alone may bring about: {listed(lucky)}.")
    if few:
        parts.append(f"Fewer than {ENOUGH} completed trials, and so no span: {listed(few)}.")
    if axes.training and measured:
        parts.append(
            f"The search varied {listed(axes.training)} too, which may have bought part of every span; no trade-off "
            "label is held against it."
        )
    return " ".join(parts)


def verdicts(axes: Axes) -> tuple[str, ...]:
    """Return a sentence per family that contradicts its label; one that says so where none does."""
    if axes.contradictions:
        return tuple(one.text for one in axes.contradictions)
    judged = _judged(axes)
    if not judged:
        return ("No label could be held against a measurement.",)
    return (f"No family's measured place contradicts its label, of those that could be judged: {'; '.join(judged)}.",)


def left_out(axes: Axes) -> tuple[str, ...]:
    """Return what is not on equal terms with the rest, or cannot be read at its face value."""
    said = []
    falls = [fall for fall in axes.falls.values() if fall.point == "argmax"]
    sunk = [fall.family for fall in falls if fall.floor]
    if sunk:
        said.append(
            f"Reached the floor (a score below {digits(FLOOR, 2)}) at some level, so that they had no more to lose and "
            f"look more robust than they are: {listed(sunk)}."
        )
    equal = {fall.family for fall in axes.comparable}
    unequal = [fall.family for fall in falls if fall.family not in equal]
    if unequal:
        said.append(f"Measured at other levels or with other seeds than most, and so not compared: {listed(unequal)}.")
    return tuple(said)


def plane_gaps(axes: Axes) -> str:
    """Say which families have no place on the measured plane, and why; empty where all have one."""
    flat = [family for family in axes.families if axes.fall(family) is None]
    short = [f for f in axes.families if f not in flat and axes.spans_here[f].status == FEW]
    parts = [
        f"{reason}: {listed(names)}"
        for reason, names in (("no fall measured", flat), ("too few completed trials for a span", short))
        if names
    ]
    return f"Not on the plane: {'; '.join(parts)}." if parts else ""


def _judged(axes: Axes) -> list[str]:
    parts = []
    if axes.groups is not None:
        parts.append(f"overlap of {_some([fall.family for fall in (*axes.groups.aware, *axes.groups.pixel)])}")
    held = [span.family for span in axes.spans_here.values() if _tested(axes, span)]
    if held:
        parts.append(f"trade-off of {_some(held)}")
    return parts


def _some(families: list[str]) -> str:
    return listed(families) if len(families) <= MANY else f"{len(families)} families"


def _tested(axes: Axes, span: Span) -> bool:
    """Whether the trials could have contradicted the trade-off label of a family."""
    if axes.training or span.status != MEASURED:
        return False
    label = axes.tradeoffs[span.family]
    return (label == SYMMETRIC and span.luck == span.luck) or (
        label == TUNABLE and span.completed >= contradictions.MANY
    )


def _sign(difference: float) -> str:
    return "more" if difference >= 0 else "less"
