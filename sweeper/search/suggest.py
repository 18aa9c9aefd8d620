"""The next setting of one cell, as a pure function of the cell's recorded trials.

Nothing is kept between calls: the Optuna study is rebuilt from what is recorded each time, and its sampler is seeded by
the trial's number. A search that was stopped anywhere therefore goes on exactly as it would have.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.domains import Complement, Fixed, Value, resolve_complements
from sweeper.errors import SweeperError
from sweeper.search.space import distributions, grid
from sweeper.study.plan import Cell, space_size

STARTUP_TRIALS = 5
"""Random settings before TPE models anything. Optuna's 10 would make most of a 16-trial budget random."""

_DUPLICATE_TRIES = 50


@dataclass(frozen=True)
class Seen:
    """A recorded search trial of the cell, as the sampler needs it."""

    number: int
    values: Mapping[str, Value]
    status: str
    """completed, stopped, failed."""
    objective: float | None
    curve: Mapping[int, float] = field(default_factory=dict)
    """Validation score by epoch."""


def suggest(
    cell: Cell,
    *,
    number: int,
    history: Sequence[Seen],
    taken: Sequence[Mapping[str, Value]],
    sampler: Literal["tpe", "random"],
    seed: int,
) -> dict[str, Value]:
    """Return the setting of the cell's trial `number`.

    Args:
        cell: What may be searched.
        number: 0 is the family's default.
        history: The recorded trials this suggestion may learn from.
        taken: The settings of all lower numbers, recorded or still running; none of them is proposed again.
        sampler: `tpe` or `random`.
        seed: The study's search seed.
    """
    if number == 0:
        return dict(cell.default)
    used = {_identity(values) for values in taken}
    size = space_size(cell.domains)
    if size is not None and size <= cell.budget:
        return _next_of_grid(cell, used, seed)
    for attempt in range(_DUPLICATE_TRIES):
        sampler_seed = _derive(seed, cell.family, cell.level, number, attempt)
        drawn = _ask(cell, history, sampler if attempt == 0 else "random", sampler_seed)
        values = _complete(cell, drawn)
        if _identity(values) not in used:
            return values
    return _next_of_grid(cell, used, seed)


def _ask(cell: Cell, history: Sequence[Seen], sampler: str, seed: int) -> dict[str, Value]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = distributions(cell.domains)
    made: BaseSampler = (
        TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS) if sampler == "tpe" else RandomSampler(seed=seed)
    )
    study = optuna.create_study(direction="maximize", sampler=made)
    study.add_trials([_frozen(cell, seen) for seen in sorted(history, key=lambda seen: seen.number)])
    return dict(study.ask(fixed_distributions=space).params)


def _frozen(cell: Cell, seen: Seen) -> FrozenTrial:
    space = distributions(cell.domains)
    state = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}[seen.status]
    return create_trial(
        state=state,
        value=(seen.objective or 0.0) if state is TrialState.COMPLETE else None,
        params={key: seen.values[key] for key in space},
        distributions=space,
        intermediate_values={} if state is TrialState.FAIL else dict(seen.curve),
    )


def _next_of_grid(cell: Cell, used: set[tuple[tuple[str, str], ...]], seed: int) -> dict[str, Value]:
    settings = [_complete(cell, point) for point in grid(cell.domains)]
    random.Random(_derive(seed, cell.family, cell.level)).shuffle(settings)
    for values in settings:
        if _identity(values) not in used:
            return values
    raise SweeperError(f"{cell.family} at {cell.level:g} has no setting left to try; its budget exceeds its space")


def _complete(cell: Cell, drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Add to what was drawn the fixed values and the complements."""
    values: dict[str, Value] = {}
    for key, domain in cell.domains.items():
        if isinstance(domain, Fixed):
            values[key] = domain.value
        elif not isinstance(domain, Complement):
            values[key] = drawn[key]
    return resolve_complements(cell.domains, values)


def _identity(values: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, repr(value)) for key, value in values.items()))


def _derive(*parts: object) -> int:
    """Return a 32-bit seed that depends on every part and on nothing else."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")
