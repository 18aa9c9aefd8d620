"""What the report found, as a tracker shows it: the answer, and of every family its intervals and its color."""

from __future__ import annotations

import math

from sweeper.report.document import Document
from sweeper.report.measured import select
from sweeper.results.schema import MINORITY
from sweeper.tracking.family_scores import POINTS, prefixes
from sweeper.tracking.outcome import FamilyOutcome, StudyOutcome

METRIC = "iou"
"""Whose intervals are shown; the report has those of all."""


def study_outcome(document: Document) -> StudyOutcome:
    """Return what is shown of a study beyond its trials; an interval that is not defined is left out."""
    rows = select(document.measured, setting="tuned", class_=MINORITY, metric=METRIC)
    ends: dict[str, dict[str, float]] = {family: {} for family in document.families}
    for row in rows[rows["point"].isin(POINTS)].to_dict("records"):
        if math.isfinite(row["low"]) and math.isfinite(row["high"]):
            for prefix in prefixes(row["level"], row["point"], document.results.meta["reference"]):
                ends[row["family"]] |= {f"{prefix}minority_{METRIC}_{end}": float(row[end]) for end in ("low", "high")}
    colors = {family: style.color for family, style in document.look.items()}
    return StudyOutcome(
        answer=document.answer.summary,
        families={family: FamilyOutcome(found, colors.get(family)) for family, found in ends.items()},
    )
