"""What a study will do before it does it: its cells, their budgets, and the trials they are made of."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sweeper.domains import Choice, Domain, Fixed, Int, LogUniform, Uniform, Value, resolve_complements
from sweeper.losses.catalogue import family
from sweeper.losses.needs import versions
from sweeper.study.schema import Study
from sweeper.training.trial import Stage, Trial

PROTOCOL = 1
"""Raised whenever training or evaluation changes what a trial's numbers mean; recorded trials of another protocol are
then other trials."""

TRAINING_PREFIX = "training."


@dataclass(frozen=True)
class Cell:
    """One (family, level) of the search."""

    family: str
    level: float
    domains: Mapping[str, Domain]
    """Of the loss, and `training.lr` and the like where the study searches them."""
    default: Mapping[str, Value]
    """The untuned setting: the first trial of the cell."""
    budget: int
    """Trials: the study's number, or fewer where the cell has fewer settings to try."""


@dataclass(frozen=True)
class Plan:
    """All that a study will run. Which settings are confirmed is known only once their cell is searched."""

    study: Study
    fingerprint: str
    """Of the prepared data."""
    cells: tuple[Cell, ...]

    @property
    def search_trials(self) -> int:
        return sum(cell.budget for cell in self.cells)

    @property
    def confirm_trials(self) -> int:
        """At most; fewer when the default turns out to be a cell's best."""
        settings = [2 if self.study.confirm.include_default and cell.budget > 1 else 1 for cell in self.cells]
        levels_per_cell = len(self.study.levels) // len(self.study.search_levels)
        return sum(settings) * levels_per_cell * self.study.confirm.seeds

    @property
    def epochs(self) -> int:
        """At most; ASHA ends search trials earlier."""
        return (self.search_trials + self.confirm_trials) * self.study.training.epochs

    def searched_at(self, level: float) -> float:
        """Return the level whose search decides what is confirmed at `level`."""
        return level if level in self.study.search_levels else self.study.reference

    def trial(self, family_name: str, values: Mapping[str, Value], level: float, seed: int, stage: Stage) -> Trial:
        """Return the trial that trains `values` of a family, with its key."""
        study = self.study
        own = {key: value for key, value in values.items() if not key.startswith(TRAINING_PREFIX)}
        tuned: dict[str, Any] = {
            key.removeprefix(TRAINING_PREFIX): value for key, value in values.items() if key not in own
        }
        trial = Trial(
            key="",
            family=family_name,
            hyperparameters=own,
            level=level,
            seed=seed,
            stage=stage,
            model=study.model,
            training=dataclasses.replace(study.training, **tuned),
        )
        return dataclasses.replace(trial, key=self._key(trial))

    def _key(self, trial: Trial) -> str:
        """Hash what decides the trial's outcome: equal keys are the same trial, run once and recorded once."""
        outcome: dict[str, Any] = {
            **trial.to_dict(),
            "protocol": PROTOCOL,
            "data": self.fingerprint,
            "metric": self.study.search.metric,
            "stopping": self.study.search.stopping if trial.stage == "search" else None,
            "weights": _weights_digest(trial.model.weights),
            "code": _own_code(trial.family),
        }
        if needs := versions(family(trial.family).needs_at(trial.hyperparameters)):
            outcome["needs"] = needs
        # Two names for one augmentation order or hyperparameter order would be two trials: sort the keys.
        text = json.dumps(outcome, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def make_plan(study: Study, fingerprint: str) -> Plan:
    """Lay out the cells of a study, in the order families and levels are written."""
    cells: list[Cell] = []
    for name in study.families:
        defaults = family(name).defaults
        usual = {TRAINING_PREFIX + key: getattr(study.training, key) for key in study.training_search}
        domains: dict[str, Domain] = {
            **study.families[name],
            **{TRAINING_PREFIX + key: domain for key, domain in study.training_search.items()},
        }
        default = default_setting(domains, {**defaults, **usual})
        size = space_size(domains)
        budget = study.search.trials if size is None else min(study.search.trials, size)
        cells.extend(Cell(name, level, domains, default, budget) for level in study.search_levels)
    return Plan(study, fingerprint, tuple(cells))


def default_setting(domains: Mapping[str, Domain], defaults: Mapping[str, Value]) -> dict[str, Value]:
    """Return the untuned setting: defaults, moved to the nearest value their domain allows."""
    values: dict[str, Value] = {}
    for key, domain in domains.items():
        usual = defaults[key]
        match domain:
            case Fixed(value):
                values[key] = value
            case Choice(choices):
                values[key] = next((choice for choice in choices if choice == usual), choices[0])
            case Uniform(low, high) | LogUniform(low, high):
                number = float(usual) if isinstance(usual, int | float) else (low + high) / 2
                values[key] = min(max(number, low), high)
            case Int(low, high):
                whole = round(usual) if isinstance(usual, int | float) else (low + high) // 2
                values[key] = min(max(whole, low), high)
    return resolve_complements(domains, values)


def space_size(domains: Mapping[str, Domain]) -> int | None:
    """Return how many different settings there are, or None when they are a continuum."""
    size = 1
    for domain in domains.values():
        match domain:
            case Uniform() | LogUniform():
                return None
            case Int(low, high):
                size *= high - low + 1
            case Choice(values):
                size *= len(values)
    return size


@cache
def _own_code(name: str) -> str | None:
    """Return a digest of the file that holds a user's own loss: edited code makes other trials."""
    if ":" not in name:
        return None
    try:
        return hashlib.sha256(Path(inspect.getfile(family(name).function)).read_bytes()).hexdigest()[:20]
    except (OSError, TypeError):
        return None  # compiled or made at run time: its name is all there is to go by


@cache
def _weights_digest(weights: str | None) -> str | None:
    """Return a digest of a local weights file: the same name with other contents is another model."""
    if weights is None or not Path(weights).is_file():
        return None
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]
