"""The settings at which a family is tried."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeper.domains import Choice, Complement, Int, LogUniform, Uniform, Value, ends, resolve_complements
from sweeper.losses.custom import REAL
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.needs import CONSTANTS, MAPS


@dataclass(frozen=True)
class Case:
    """One way to call a family."""

    values: Mapping[str, Value]
    """Hyperparameters that are not at their default."""
    progress: float = 1.0
    """Share of training that is done, for families with ramps."""
    bare: bool = False
    """Whether what the loss can do without, a constant of the data set or a target map, is left for it to find out."""

    def __str__(self) -> str:
        text = ", ".join(f"{name}={value}" for name, value in self.values.items()) or "default"
        when = "" if self.progress == 1 else ", when training begins"
        return f"{text}{when}{', given nothing beyond the batch' if self.bare else ''}"


DEFAULT = Case({})


def cases(family: Family) -> list[Case]:
    """Return the default, what a study searches at its ends and near them, every static word, the start of ramps.

    Every searched hyperparameter at its ends by itself, then all of them low, a little above, and high: all corners
    would be too many. Ends can be harmless where what lies between is not: naive focal is NaN for 0 < γ < 1 alone.
    """
    dials = family.hyperparameters
    free = {
        name: ends(dial.search)
        for name, dial in dials.items()
        if isinstance(dial.search, Uniform | LogUniform | Int) and dial.ramps is None
    }
    found: list[dict[str, Value]] = [{}]
    found += [{name: value} for name, pair in free.items() for value in pair]
    found += [{name: at(*pair) for name, pair in free.items()} for at in (_low, _inside, _high)]
    found = [_complete(family, values) for values in found]
    found += static_words(family)
    several = [Case(values) for values in _distinct(family, found)]
    if any(dial.ramps is not None for dial in dials.values()):
        several.append(Case({}, progress=0.0))
    if optional_needs(family):
        several.append(Case({}, bare=True))
    return several


def optional_needs(family: Family) -> tuple[str, ...]:
    """Return what a family works out for itself, from the batch, where it is not given."""
    arguments = inspect.signature(family.function).parameters
    return tuple(
        name
        for name in family.needs
        if name in (*CONSTANTS, *MAPS) and arguments[name].default is not inspect.Parameter.empty
    )


def static_words(family: Family) -> list[dict[str, Value]]:
    """Return a setting for every word of every static hyperparameter, and both ends of a whole number."""
    return [
        # Absent classes are scored by the smoothing, so that it must not be 0 then.
        {name: value} | ({"smooth": 1.0} if value == "smooth" and "smooth" in family.hyperparameters else {})
        for name, dial in family.hyperparameters.items()
        if is_static(dial)
        for value in ends(dial.legal)
    ]


def legal_ends(family: Family) -> list[Case]:
    """Return both ends of what is legal, one dynamic hyperparameter at a time; none where nobody has said what is."""
    return [
        Case({name: value}, progress=0.0 if dial.ramps is not None else 1.0)
        for name, dial in family.hyperparameters.items()
        if not is_static(dial) and dial.legal != REAL
        for value in ends(dial.legal)
    ]


def spread(family: Family, count: int = 3) -> dict[str, Tensor]:
    """Return `count` values of every dynamic argument, spread over what is searched, or else around the default."""
    values: dict[str, Tensor] = {}
    for index, (name, dial) in enumerate(family.hyperparameters.items()):
        if dial.ramps is None and not is_static(dial):
            low, high = _span(dial, family.defaults[name])
            # Rolled, so that two dials do not move together.
            values[name] = torch.linspace(low, high, count, dtype=torch.float64).roll(index)
    return values


def is_static(dial: Hyperparameter) -> bool:
    """Say whether an argument cannot be a tensor."""
    return dial.static or isinstance(dial.legal, Choice)


def _span(dial: Hyperparameter, default: Value) -> tuple[float, float]:
    if isinstance(dial.search, Uniform | LogUniform):
        return dial.search.low, dial.search.high
    middle = float(default) if isinstance(default, int | float) else 0.5
    legal = dial.legal
    low, high = (legal.low, legal.high) if isinstance(legal, Uniform | LogUniform) else (0.0, 1.0)
    return max(low, middle - 0.3), min(high, middle + 0.3)


def _low(low: Any, high: Any) -> Any:
    return low


def _high(low: Any, high: Any) -> Any:
    return high


def _inside(low: Any, high: Any) -> Any:
    inside = low + 0.1 * (high - low)
    return round(inside) if isinstance(low, int) and isinstance(high, int) else inside


def _complete(family: Family, values: dict[str, Any]) -> dict[str, Value]:
    """Return the values with the complements of those that are set."""
    tied = {
        name: domain
        for name, domain in family.domains.items()
        if isinstance(domain, Complement) and domain.of in values
    }
    return values | {name: resolve_complements({name: domain}, values)[name] for name, domain in tied.items()}


def _distinct(family: Family, settings: Iterable[dict[str, Value]]) -> Iterator[dict[str, Value]]:
    seen = []
    for values in settings:
        complete = family.defaults | values
        if complete not in seen:
            seen.append(complete)
            yield {name: value for name, value in values.items() if value != family.defaults[name]}
