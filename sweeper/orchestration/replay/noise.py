"""How far training again with another seed moves a score: what a replay on a GPU is measured against. Pure."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import variance

from sweeper.orchestration.replay.compare import measurements
from sweeper.results.record import TrialRecord

REPRODUCIBILITY = 1.96 * math.sqrt(2.0)
"""Times the standard deviation over seeds: 95 % of pairs of trainings differ by less (ISO 5725's reproducibility limit,
where scores are about normal)."""

LEAST_DEGREES = 2
"""Degrees of freedom below which a spread is not worth the name: three seeds of one setting, or two of two."""


@dataclass(frozen=True)
class Noise:
    """The seed-noise floor of a trial."""

    limits: Mapping[str, float]
    """By metric of one value: what two trainings with different seeds differ by, at most, in 95 % of cases."""
    words: str
    """What it was measured with, or why it could not be."""


def seed_noise(record: TrialRecord, recorded: Iterable[TrialRecord]) -> Noise:
    """Measure the floor with the confirm trials of the trial's own setting, or of its cell where those are too few.

    Only trials of the same device, precision and number of epochs count. Of several settings the spread is pooled
    within each, so that what the settings themselves do to the scores stays out.
    """
    peers = [one for one in recorded if _comparable(one, record)]
    own = [one for one in peers if dict(one.hyperparameters) == dict(record.hyperparameters)]
    for what, group in (("this setting", own), (f"{record.family} at {record.level:g}", peers)):
        settings = _by_setting(group)
        if sum(len(trials) - 1 for trials in settings) >= LEAST_DEGREES:
            trials = sum(len(one) for one in settings)
            return Noise(_limits(settings), f"seed noise of {what}, from {trials} confirm trials")
    return Noise({}, f"too few seeds to measure seed noise: {len(own)} of this setting, {len(peers)} of its cell")


def _comparable(one: TrialRecord, record: TrialRecord) -> bool:
    return (
        one.stage == "confirm"
        and one.status == "completed"
        and (one.family, one.level, one.planned_epochs) == (record.family, record.level, record.planned_epochs)
        and (one.device, one.precision) == (record.device, record.precision)
    )


def _by_setting(trials: Iterable[TrialRecord]) -> list[list[TrialRecord]]:
    found: dict[str, list[TrialRecord]] = defaultdict(list)
    for one in trials:
        found[json.dumps(dict(one.hyperparameters), sort_keys=True)].append(one)
    return list(found.values())


def _limits(settings: Iterable[list[TrialRecord]]) -> dict[str, float]:
    squares: dict[str, float] = defaultdict(float)
    degrees: dict[str, int] = defaultdict(int)
    for trials in settings:
        columns: dict[str, list[float]] = defaultdict(list)
        for one in trials:
            for metric, values in measurements(one).items():
                value = values.get("")
                if isinstance(value, float):
                    columns[metric].append(value)
        for metric, column in columns.items():
            if len(column) > 1:
                squares[metric] += variance(column) * (len(column) - 1)
                degrees[metric] += len(column) - 1
    return {
        metric: REPRODUCIBILITY * math.sqrt(squares[metric] / degrees[metric])
        for metric in squares
        if degrees[metric] >= LEAST_DEGREES
    }
