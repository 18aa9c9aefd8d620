"""What a finished study says of itself beyond its trials: worked out by the report, shown by a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FamilyOutcome:
    """What is shown with a family beside the scores of its trials."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Further metrics, e.g. the ends of intervals; all finite."""
    color: str | None = None
    """`#rrggbb`, as in the report."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What is shown with a study."""

    answer: str = ""
    """The report's answer in a sentence or two."""
    families: Mapping[str, FamilyOutcome] = field(default_factory=dict)
