"""Domains as Optuna knows them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.domains import Choice, Domain, Int, LogUniform, Uniform, Value


def distributions(domains: Mapping[str, Domain]) -> dict[str, BaseDistribution]:
    """Return the Optuna distribution of every domain that leaves something to search."""
    found: dict[str, BaseDistribution] = {}
    for key, domain in domains.items():
        match domain:
            case Uniform(low, high):
                found[key] = FloatDistribution(low, high)
            case LogUniform(low, high):
                found[key] = FloatDistribution(low, high, log=True)
            case Int(low, high):
                found[key] = IntDistribution(low, high)
            case Choice(values):
                found[key] = CategoricalDistribution(values)
    return found


def grid(domains: Mapping[str, Domain]) -> Iterator[dict[str, Value]]:
    """Yield every setting of a finite space, complements left out."""
    axes: dict[str, tuple[Value, ...]] = {}
    for key, domain in domains.items():
        match domain:
            case Int(low, high):
                axes[key] = tuple(range(low, high + 1))
            case Choice(values):
                axes[key] = values
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))
