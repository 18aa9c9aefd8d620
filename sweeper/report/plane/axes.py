"""Both axes of the design space for every family: where the literature puts it, and where this study measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sweeper.report.comparisons import METRIC_NAMES, Headline
from sweeper.report.evidence import Evidence, Point
from sweeper.report.inference.statistics import Interval
from sweeper.report.plane import contradictions
from sweeper.report.plane.contradictions import Contradiction, Groups
from sweeper.report.plane.falls import Fall, falls, near
from sweeper.report.plane.spans import Span, spans
from sweeper.report.search.searched import searched
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

SPAN_COLUMNS = ("span", "half", "double", "without_one", "luck", "trials", "completed", "status")


@dataclass(frozen=True)
class Axes:
    """The measured plane of a study."""

    metric: str
    """Whose fall is measured, a mean over the minority classes, as people write it."""
    overlaps: Mapping[str, str]
    """What the literature calls every family, in the study's order."""
    tradeoffs: Mapping[str, str]
    falls: Mapping[tuple[str, Point], Fall]
    spans: tuple[Span, ...]
    """Of every level that was searched."""
    level: float
    """Whose spans count: the reference, or the searched level nearest to it."""
    training: tuple[str, ...]
    """Training hyperparameters that the search varied too: they can buy recall for any family."""
    near: bool = False
    """Whether levels lie too near to one another, as measured, for a fall between them."""

    @property
    def families(self) -> list[str]:
        return list(self.overlaps)

    def fall(self, family: str, point: Point = "argmax") -> Fall | None:
        return self.falls.get((family, point))

    @cached_property
    def spans_here(self) -> Mapping[str, Span]:
        """The spans at `level`, by family."""
        return {span.family: span for span in self.spans if span.level == self.level}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per family, label beside measurement.

        Columns: overlap, tradeoff, family; fall, fall_low, fall_high at argmax, floor (whether the score ran out of
        room); span, half, double, without_one, luck, trials, completed, status of the span at `level`; contradicts,
        the labels that its measured place contradicts, empty where none.
        """
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        rows: list[dict[str, object]] = []
        for family in self.families:
            fall = self.fall(family)
            value = fall.interval if fall else nothing
            span = self.spans_here[family]
            rows.append(
                {"overlap": self.overlaps[family], "tradeoff": self.tradeoffs[family], "family": family}
                | {"fall": value.mean, "fall_low": value.low, "fall_high": value.high}
                | {"floor": fall is not None and fall.floor}
                | {name: getattr(span, name) for name in SPAN_COLUMNS}
                | {"contradicts": ", ".join(one.label for one in self.contradictions if one.family == family)}
            )
        return pd.DataFrame(rows)

    @cached_property
    def comparable(self) -> list[Fall]:
        """The falls at argmax on equal terms: over the levels, seeds and images that most of them share."""
        found = [fall for (_, point), fall in self.falls.items() if point == "argmax"]
        found = [fall for fall in found if not np.isnan(fall.interval.mean)]
        terms = [(fall.levels, fall.shared) for fall in found]
        most = max(terms, key=lambda one: (terms.count(one), len(one[0]), len(one[1].seeds)), default=None)
        return [fall for fall, own in zip(found, terms, strict=True) if own == most]

    @cached_property
    def groups(self) -> Groups | None:
        """The per-pixel families against the overlap-aware ones; None where they cannot be compared."""
        return contradictions.groups(self.comparable, self.overlaps)

    @cached_property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """Families whose measured place contradicts their label, in the study's order."""
        found = [] if self.groups is None else contradictions.of_overlap(self.groups)
        # What a searched learning rate buys cannot be told from what a dial buys.
        if not self.training:
            found += contradictions.of_tradeoff(self.spans_here.values(), self.tradeoffs)
        return tuple(sorted(found, key=lambda one: self.families.index(one.family)))


def axes(results: Results, evidence: Evidence, score: Headline, *, rope: float) -> Axes:
    """Measure both axes: the fall of the headline's metric over the minority, and the recall span of the search."""
    families = results.meta["families"]
    found = spans(results, rope=rope)
    return Axes(
        metric=METRIC_NAMES[score.metric],
        overlaps={family: str(about["overlap"]) for family, about in families.items()},
        tradeoffs={family: str(about["tradeoff"]) for family, about in families.items()},
        falls=falls(results, evidence, Headline(score.metric, MINORITY)),
        spans=found,
        level=min((span.level for span in found), key=lambda level: abs(level - float(results.meta["reference"]))),
        training=tuple(sorted({
            name.removeprefix("training.") for family in families for name in searched(results, family)
            if name.startswith("training.")
        })),
        near=near(results, evidence),
    )  # fmt: skip
