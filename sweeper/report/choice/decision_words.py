"""The decision map in words: which family wins where, and what one's own costs mean."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from sweeper.report.choice.decision import NOTHING, SEPARABLE, TIE, UNKNOWN, UNSURE
from sweeper.report.choice.territories import Region, regions
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.writing import digits, listed, percent, text, whole
from sweeper.report.search.searched import described
from sweeper.results.margins import OFFSETS

if TYPE_CHECKING:
    from sweeper.results.results import Results

MOST_REGIONS = 6
"""Regions a paragraph names; the table has all."""

_FINEST = 4
"""Decimal places of pixels per million at most."""


@dataclass(frozen=True)
class Advice:
    """What the map says at one level and ratio, field by field as it is shown."""

    place: str
    """Level and costs."""
    color: str
    """Of the family on this page."""
    family: str
    setting: str
    threshold: str
    misses: str
    alarms: str
    cost: str
    sure: str
    runner_up: str
    spoken: str
    """What is read out when the slider has come to rest: family, misses and false alarms."""


@dataclass(frozen=True)
class Finder:
    """All that a reader's own level and cost ratio can ask for, and where to begin."""

    levels: tuple[str, ...]
    ratios: tuple[str, ...]
    """In words, mildest first, as the slider reads them out."""
    ticks: tuple[tuple[float, str], ...]
    """Where along the slider, in [0, 1], which ratio stands."""
    advice: tuple[tuple[Advice, ...], ...]
    """Per level and ratio."""
    level: int
    ratio: int
    """Where it begins."""

    @property
    def first(self) -> Advice:
        return self.advice[self.level][self.ratio]

    @property
    def script(self) -> Markup:
        """Everything as JSON that is safe inside a `script` element."""
        content = {"ratios": self.ratios, "advice": [[asdict(one) for one in row] for row in self.advice]}
        written = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
        return Markup(written.replace("<", "\\u003c").replace("&", "\\u0026"))


def times(ratio: float) -> str:
    """Write a ratio as a number or as one over a number: 2.5, 1/20."""
    return f"{ratio:.3g}" if ratio >= 1 else f"1/{1 / ratio:.3g}"


def price(ratio: float) -> str:
    """Say what a miss costs."""
    if ratio == 1:
        return "a missed minority pixel costs as much as a false alarm"
    if ratio > 1:
        return f"a missed minority pixel costs {times(ratio)} false alarms"
    return f"a false alarm costs {times(1 / ratio)} missed minority pixels"


def per_million(value: float) -> str:
    """Write pixels per million, whole from ten on, below to three digits and at most `_FINEST` places."""
    return _amount(value, _places(value))


def measured(value: Interval) -> tuple[str, str]:
    """Write pixels per million and the ends of their interval, all to the same place; no ends where there are none.

    The place is that of the value, or of a tenth of the interval where that is wider: 3.21 [3.02, 4.10], 0 [−300, 400].
    """
    if value.low != value.low:
        return per_million(value.mean), ""
    places = _places(max(abs(value.mean), (value.high - value.low) / 10))
    return _amount(value.mean, places), f"[{_amount(value.low, places)}, {_amount(value.high, places)}]"


def offset(value: float) -> str:
    """Write an offset, an end of those tried as a bound: a better one may lie beyond it."""
    bound = "" if abs(value) != OFFSETS[-1] else "≥ " if value > 0 else "≤ "
    return f"{bound}{digits(value, 2, sign=True)}"


def limit(share: float) -> str:
    """Say for how many seeds the best offset is an end of those tried; nothing where it is for none."""
    if not share > 0:
        return ""
    return f"{'for every seed' if share == 1 else f'for {whole(share)} of the seeds'} beyond every offset tried"


def settings(results: Results, family: str, hyperparameters: str) -> str:
    """Write hyperparameters (JSON) by their symbols: `α = 0.3, β = 0.7`; nothing where there are none."""
    known: Mapping[str, Any] = described(results, family) if family in results.meta["families"] else {}
    values = json.loads(hyperparameters)
    return ", ".join(
        f"{(known.get(name) or {}).get('symbol') or name} = {text(value)}" for name, value in values.items()
    )


def finder(results: Results, frame: pd.DataFrame, marks: Sequence[float], colors: Mapping[str, str]) -> Finder | None:
    """Return the advice at every level and ratio of the map; None where there is no map.

    Args:
        colors: By family; those without are shown without.
        marks: Ratios to name along the slider.
    """
    if frame.empty:
        return None
    levels = sorted(float(level) for level in frame["level"].unique())
    ratios = sorted(float(ratio) for ratio in frame["ratio"].unique())
    rows = {(row.level, row.ratio): row for row in frame.itertuples()}
    return Finder(
        levels=tuple(percent(level) for level in levels),
        ratios=tuple(price(ratio) for ratio in ratios),
        ticks=tuple((ratios.index(mark) / max(len(ratios) - 1, 1), times(mark)) for mark in marks if mark in ratios),
        advice=tuple(tuple(advice(results, rows[level, ratio], colors) for ratio in ratios) for level in levels),
        level=min(range(len(levels)), key=lambda index: abs(levels[index] - float(results.meta["reference"]))),
        ratio=min(range(len(ratios)), key=lambda index: abs(ratios[index] - 1.0)),
    )


def advice(results: Results, row: Any, colors: Mapping[str, str]) -> Advice:
    """Put one row of the map in words."""
    place = f"At {percent(row.level)} background, where {price(row.ratio)}:"
    cost = f"{_together(Interval(row.cost, row.cost_low, row.cost_high))} false alarms' worth"
    if row.family == NOTHING:
        chosen, threshold = "no family saves more than its false alarms cost", "none: no minority pixel is predicted"
        misses = f"{per_million(row.misses)} per million pixels, which is all of them"
    else:
        values = settings(results, row.family, row.hyperparameters)
        chosen = f"{row.setting}: {values}" if values else f"{row.setting}, nothing to set"
        threshold = _threshold(row)
        total = row.nothing / row.ratio
        misses = f"{per_million(row.misses)} per million pixels, of {per_million(total)} that are there"
        cost += f"; predicting nothing costs {per_million(row.nothing)}"
    return Advice(
        place=place,
        color=colors.get(row.family, "transparent"),
        family=row.family,
        setting=chosen,
        threshold=threshold,
        misses=misses,
        alarms=f"{per_million(row.alarms)} per million pixels",
        cost=cost,
        sure=_sure(row),
        runner_up=_runner_up(row),
        spoken=f"{row.family}: {per_million(row.misses)} misses, {per_million(row.alarms)} false alarms per million",
    )


def where(frame: pd.DataFrame) -> str:
    """Say which family wins where on the map, largest region first, and how much of it is sure."""
    found = regions(frame)
    if not found:
        return ""
    shown, rest = found[:MOST_REGIONS], found[MOST_REGIONS:]
    levels = tuple(sorted(float(level) for level in frame["level"].unique()))
    ratios = float(frame["ratio"].min()), float(frame["ratio"].max())
    parts = [_region(region, levels, ratios) for region in shown]
    said = f"A miss costing {times(ratios[0])} to {times(ratios[1])} false alarms, least is paid by {'; '.join(parts)}."
    if rest:
        said += f" {len(rest)} smaller regions, {whole(sum(one.size for one in rest))} of the map, are in the table."
    return " ".join([said, *_verdicts(frame)])


def _verdicts(frame: pd.DataFrame) -> list[str]:
    """Say in how much of the map there is a winner, and in how much of that it is sure."""
    shares = {verdict: float((frame["verdict"] == verdict).mean()) for verdict in (SEPARABLE, UNSURE, TIE, UNKNOWN)}
    said = []
    if shares[TIE]:
        said.append(
            f"{_in(shares[TIE])} no family does better than predicting nothing, and the cheapest costs the same, as "
            "one does that its threshold silences."
        )
    if shares[UNKNOWN]:
        here = frame[frame["verdict"] == UNKNOWN]
        lack = listed(
            f"a single {name}"
            for name, column in (("seed", "seeds"), ("test image", "images"))
            if here[column].min() < 2
        )
        said.append(
            f"{_in(shares[UNKNOWN])} it is not known whether the winner is cheaper by more than luck: there is {lack}."
        )
    if shares[UNSURE]:
        nowhere = "Nowhere else" if said else "Nowhere on the map"
        cannot = f"{_in(shares[UNSURE])} the winner cannot" if shares[SEPARABLE] else f"{nowhere} can the winner"
        said.append(
            f"{cannot} be told from the cheapest of the other families: the 95 % interval of the difference of their "
            "costs includes 0, and the name there may be luck."
        )
    elif shares[SEPARABLE]:
        everywhere = "Everywhere else" if said else "Everywhere"
        said.append(f"{everywhere} the winner is separable from the cheapest of the other families.")
    return said


def _in(share: float) -> str:
    return "Everywhere on the map" if share == 1 else f"In {whole(share)} of the map"


class Compared(NamedTuple):
    """How the pairs of tuned families come out at one level."""

    level: float
    pairs: int
    separable: int
    """Pairs of which one is better than the other."""
    equivalent: int
    """Pairs whose difference is shown to be too small to matter; of the rest there is not enough evidence."""


def apart(compared: Sequence[Compared], label: str, rope: float) -> str:
    """Say at which levels the families are interchangeable, and from which on they are not.

    Args:
        compared: Levels, mildest first; those without a pair are passed over.
        label: The score they are compared by.
        rope: The difference in it that matters.
    """
    levels = [one for one in compared if one.pairs]
    if not levels:
        return ""
    first = next((one for one in levels if one.separable), None)
    if first is None:
        return (
            f"By {label}, no two tuned families are separable at any level of this study: {_like(levels, rope)}. Where "
            "evidence is missing the study is too small to tell, which does not make them equal."
        )
    mild = [one for one in levels if one.level < first.level]
    again = [one for one in levels if one.level > first.level and not one.separable]
    pairs = f"{first.separable} of {first.pairs} {'pair' if first.pairs == 1 else 'pairs'}"
    if mild:
        said = (
            f"By {label}, no two tuned families are separable at {_levels([one.level for one in mild])}: "
            f"{_like(mild, rope)}. They first separate at {percent(first.level)} ({pairs})."
        )
    else:
        said = (
            f"By {label}, tuned families separate already at the mildest level, {percent(first.level)} ({pairs}): this "
            "study has no level so mild that the choice of family does not matter."
        )
    if again:
        said += f" At {_levels([one.level for one in again])} no two are: {_like(again, rope)}."
    return said


def _like(levels: Sequence[Compared], rope: float) -> str:
    """Say how many pairs are equivalent where none is separable."""
    pairs, alike = sum(one.pairs for one in levels), sum(one.equivalent for one in levels)
    within = f"interchangeable, their difference within ±{rope:g}"
    lack = "there is not enough evidence"
    if alike == 0:
        return f"for none of {pairs} comparisons is it shown that they are {within}; {lack}"
    if alike == pairs:
        return f"in all {pairs} comparisons they are {within}"
    return f"in {alike} of {pairs} comparisons they are {within}; for the others {lack}"


def _region(region: Region, levels: Sequence[float], ratios: tuple[float, float]) -> str:
    name = "predicting nothing" if region.family == NOTHING else region.family
    everywhere = len(levels) > 1 and tuple(region.levels) == tuple(levels)
    at = "at every level" if everywhere else f"at {_levels(region.levels)}"
    sure = ""
    if region.judged:
        among = "that" if region.judged == 1 else "the rest" if region.tied else f"the {whole(region.judged)} that tell"
        sure = f", separable from the next family in {whole(region.separable)} of {among}"
    if region.tied:
        equal = "everywhere" if region.tied == 1 else f"in {whole(region.tied)} of that"
        sure = f", {equal} as dear as the cheapest family{sure}"
    spans = [_costs(span, ratios) for span in region.spans]
    costs = f" {spans[0]}"
    if spans[0] != spans[-1]:
        costs = f", {spans[0]} at {percent(region.levels[0])} and {spans[-1]} at {percent(region.levels[-1])}"
    elif len(set(spans)) > 1:
        costs += ", with other limits between"
    return f"{name} {at}{costs} ({whole(region.size)} of the map{sure})"


def _costs(span: tuple[float, float], ratios: tuple[float, float]) -> str:
    low, high = span
    if span == ratios:
        return "at any of these costs"
    if low == high:
        return f"where a miss costs {times(low)}"
    if low == ratios[0]:
        return f"where a miss costs {times(high)} or less"
    if high == ratios[1]:
        return f"where a miss costs {times(low)} or more"
    return f"where a miss costs {times(low)} to {times(high)}"


def _levels(levels: Sequence[float]) -> str:
    names = [percent(level) for level in levels]
    return f"{names[0]} to {names[-1]} background" if len(names) > 2 else f"{listed(names)} background"


def _threshold(row: Any) -> str:
    if row.offset != row.offset:
        return "argmax"
    said = f"{offset(row.offset)} on the background's logit"
    if row.offset_least != row.offset_most:
        said += f", the median of seeds from {offset(row.offset_least)} to {offset(row.offset_most)}"
    if row.at_limit > 0:
        said += f"; {limit(row.at_limit)}"
    return f"{said}; a new training needs its own"


def _sure(row: Any) -> str:
    if row.share != row.share:
        return "not known: one seed and one image leave nothing to resample"
    where = "seeds and test images"
    if row.seeds == 1:
        where = "test images (a single seed: the luck of training is not in it)"
    elif row.images == 1:
        where = "seeds (a single test image: the luck of the images is not in it)"
    if row.family == NOTHING:
        return f"no family is cheaper in {whole(row.share)} of the resamples of {where}"
    said = f"the cheapest in {whole(row.family_share)} of the resamples of {where}"
    if row.family_share - row.share > 0.005:
        said += f", in this setting in {whole(row.share)}"
    return said


def _runner_up(row: Any) -> str:
    name = "predicting nothing" if row.runner_up == NOTHING else f"{row.runner_up}, {row.runner_up_setting}"
    if row.verdict == TIE:
        return f"{name}: costs the same; no family does better than predicting nothing"
    dearer = f"{name}: {_together(Interval(row.difference, row.difference_low, row.difference_high))} dearer"
    if row.verdict == UNKNOWN:
        return f"{dearer}; whether that is more than luck is not known"
    return f"{dearer}; {row.verdict}"


def _together(value: Interval) -> str:
    return " ".join(filter(None, measured(value)))


def _places(value: float) -> int:
    size = abs(value)
    return 0 if size >= 10 or size == 0 else min(2 - math.floor(math.log10(size)), _FINEST)


def _amount(value: float, places: int) -> str:
    if places == _FINEST and 0 < abs(value) < 10**-_FINEST / 2:
        return f"under {10**-_FINEST:.{_FINEST}f}" if value > 0 else f"above −{10**-_FINEST:.{_FINEST}f}"
    # Adding 0 turns a negative zero into a zero.
    return f"{round(value, places) + 0.0:,.{places}f}".replace("-", "−") if value else "0"
