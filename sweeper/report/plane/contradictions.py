"""Families whose measured place is not where their label puts them, named only where the noise leaves no other reading.

The literature calls a loss overlap-aware or per-pixel, and expects the first kind to hold up as the foreground gets
scarce; it calls a loss symmetric or tunable, and expects the dials of the second kind to trade false alarms for misses.

- **Overlap.** In a study where the per-pixel families fall more steeply than the overlap-aware ones, a family
  contradicts its label when it lies beyond the middle between the others of its label and those of the opposite one.
  Elsewhere, and for the only family of its label, it has to lie beyond the opposite label itself, if that has two
  families or more. A label stands where the median of its families does, which one mislabelled family cannot move far.
  Either way the distance must be clear of seeds and images at 95 % for all families at once: the bar is the largest
  standardized deviation among them, resample by resample (Westfall and Young 1993, Resampling-Based Multiple Testing).
  Boundary-aware and mixed losses are promised neither and are not judged.
- **Trade-off.** A symmetric family contradicts its label when its dials buy `SOME` recall at equal F1 whichever single
  trial is taken away, and more than the luck of training would; a tunable one when in `MANY` trials they buy less than
  `SOME` even within twice the tolerance. Class-weighted losses lie between the two and are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sweeper.report.inference.statistics import COVERAGE, Array, Interval
from sweeper.report.output.writing import digits, number
from sweeper.report.plane.falls import Fall
from sweeper.report.plane.spans import MEASURED, Span

AWARE, PIXEL = "overlap-aware", "per-pixel"
SYMMETRIC, TUNABLE = "symmetric", "tunable"

SOME = 0.05
"""Recall that makes a dial worth having: more than a tolerance of two F1 points lets through by itself."""
MANY = 10
"""Completed trials in which a dial had its chance."""


class Contradiction(NamedTuple):
    """What is measured against what is said."""

    family: str
    label: str
    text: str


@dataclass(frozen=True)
class Groups:
    """Falls on equal terms of the families under either overlap label, each at least one."""

    aware: tuple[Fall, ...]
    pixel: tuple[Fall, ...]

    @cached_property
    def medians(self) -> tuple[float, float]:
        """Median fall of the overlap-aware families, and of the per-pixel ones."""
        return _median(self.aware), _median(self.pixel)

    @cached_property
    def difference(self) -> Interval:
        """How much more the typical per-pixel family falls, paired."""
        drawn = _drawn(self.pixel) - _drawn(self.aware)
        drawn = drawn[~np.isnan(drawn)]
        aware, pixel = self.medians
        if not len(drawn):
            return Interval(pixel - aware, float("nan"), float("nan"))
        tail = (1 - COVERAGE) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(pixel - aware, float(low), float(high))

    @property
    def as_promised(self) -> bool:
        """Whether the per-pixel families fall more steeply, clear of noise."""
        return self.difference.low > 0


def groups(falls: Sequence[Fall], overlaps: Mapping[str, str]) -> Groups | None:
    """Sort falls on equal terms by their overlap label; None where a label has none, or with a single seed or image.

    A single seed says nothing of how another training would fall, a single image nothing of other images.
    """
    aware, pixel = (tuple(f for f in falls if overlaps[f.family] == label) for label in (AWARE, PIXEL))
    if not aware or not pixel or min(map(len, falls[0].shared)) < 2:
        return None
    return Groups(aware, pixel)


def of_overlap(found: Groups) -> list[Contradiction]:
    """Return the families that lie on the other label's side.

    Those whose score ran out of room are left out: a loss cannot fall from the floor, which is no robustness.
    """
    cases = [
        case
        for own, opposite, sign in ((found.aware, found.pixel, 1.0), (found.pixel, found.aware, -1.0))
        for fall in own
        if not (fall.floor and sign < 0)
        if (case := _case(fall, own, opposite, middle=found.as_promised, sign=sign)) is not None
    ]
    cases = [case for case in cases if case.spread > 0]
    if not cases:
        return []
    deviations = np.stack([np.abs(case.drawn - case.distance) / case.spread for case in cases])
    # A resample without a class scores nothing, and counts for none of the families.
    largest = deviations.max(axis=0)
    bar = np.quantile(largest[~np.isnan(largest)], COVERAGE) if not np.isnan(largest).all() else np.inf
    return [case.contradiction for case in cases if case.distance / case.spread > bar]


def of_tradeoff(spans: Iterable[Span], tradeoffs: Mapping[str, str]) -> list[Contradiction]:
    """Return the families whose dials do what their label denies, given the spans of one level."""
    found = []
    for span in spans:
        label = tradeoffs[span.family]
        if span.status != MEASURED:
            continue
        # An unknown luck is none that could be ruled out.
        if label == SYMMETRIC and span.without_one >= SOME and span.span > span.luck:
            text = (
                f"{span.family} is called symmetric, yet at equal F1 its dials buy {digits(span.span)} recall "
                f"({digits(span.without_one)} without any one of its trials; the luck of training would explain "
                f"{digits(span.luck)})."
            )
            found.append(Contradiction(span.family, label, text))
        elif label == TUNABLE and span.completed >= MANY and span.double < SOME:
            text = (
                f"{span.family} is called tunable, yet in {span.completed} trials its dials moved recall by only "
                f"{digits(span.span)} at equal F1 ({digits(span.double)} within twice the tolerance)."
            )
            found.append(Contradiction(span.family, label, text))
    return found


@dataclass(frozen=True)
class _Case:
    """One family and how far it lies on the other label's side."""

    contradiction: Contradiction
    distance: float
    """Beyond what it is measured against; positive on the side of the opposite label."""
    drawn: Array
    """(R,)"""

    @cached_property
    def spread(self) -> float:
        defined = self.drawn[~np.isnan(self.drawn)]
        return float(defined.std()) if len(defined) else 0.0


def _case(fall: Fall, own: Sequence[Fall], opposite: Sequence[Fall], *, middle: bool, sign: float) -> _Case | None:
    """Hold a family against what its label denies; None where there is too little to hold it against."""
    label, other = (AWARE, PIXEL) if sign > 0 else (PIXEL, AWARE)
    others = [one for one in own if one is not fall]
    bound, drawn = _median(opposite), _drawn(opposite)
    if middle and others:
        said = (
            f"nearer to the {other} families (median {digits(bound)}) than to the other {label} ones "
            f"(median {digits(_median(others))})"
        )
        bound, drawn = (bound + _median(others)) / 2, (drawn + _drawn(others)) / 2
    elif len(opposite) > 1:
        said = f"{'more' if sign > 0 else 'less'} than the {other} families (median {digits(bound)})"
    else:
        return None
    text = f"{fall.family} is called {label}, yet it falls by {number(fall.interval)}, {said}."
    distance = sign * (fall.interval.mean - bound)
    return _Case(Contradiction(fall.family, label, text), distance, sign * (fall.repetitions - drawn))


def _median(falls: Sequence[Fall]) -> float:
    return float(np.median([fall.interval.mean for fall in falls]))


def _drawn(falls: Sequence[Fall]) -> Array:
    """(R,) median in every resample."""
    drawn: Array = np.median([fall.repetitions for fall in falls], axis=0)
    return drawn
