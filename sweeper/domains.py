"""What a hyperparameter may be: the domains a study samples from, and how they are written in YAML.

A leaf module: loss families declare domains, studies narrow them, the search turns them into Optuna
distributions. It therefore belongs to none of the three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.errors import DomainError, suggest

Value = float | int | str | bool | None
"""What a hyperparameter can be set to. Plain data: it goes through YAML, JSON, Ray and MLflow unchanged."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """A real number, every value of [low, high] equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range("uniform", self.low, self.high)

    def __str__(self) -> str:
        return f"uniform [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True)
class LogUniform:
    """A positive real number whose logarithm is uniform on [log low, log high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range("log_uniform", self.low, self.high)
        if self.low <= 0:
            raise DomainError(f"log_uniform starts at {self.low:g}; a logarithmic range must start above 0")

    def __str__(self) -> str:
        return f"log-uniform [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number of [low, high], both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise DomainError(f"int has the bound {bound!r}; both bounds must be whole numbers")
        _check_range("int", self.low, self.high)

    def __str__(self) -> str:
        return f"int [{self.low}, {self.high}]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the listed values, all equally likely and without order."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise DomainError("choice is empty; list at least one value")
        if len(self.values) > MOST_CHOICES:
            raise DomainError(f"choice lists {len(self.values)} values; list at most {MOST_CHOICES}, or give a range")
        if len({(type(value), value) for value in self.values}) < len(self.values):
            raise DomainError(f"choice {list(self.values)} lists a value twice; each value once")

    def __str__(self) -> str:
        return f"one of {', '.join(str(value) for value in self.values)}"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A single value: nothing is searched."""

    value: Value

    def __str__(self) -> str:
        return f"fixed at {self.value}"


@dataclass(frozen=True, slots=True)
class Complement:
    """1 minus another hyperparameter: two that share one dial (Tversky's α = 1 − β)."""

    of: str

    def __str__(self) -> str:
        return f"1 − {self.of}"


MOST_CHOICES = 100
"""Each is tried before a study starts; more of them are a range."""

UNBOUNDED = 1e6
"""A bound this far out stands for none."""

Domain = Uniform | LogUniform | Int | Choice | Fixed | Complement
Range = Uniform | LogUniform | Int


def parse_domain(spec: object) -> Domain:
    """Read one domain as a study file writes it.

    `{uniform: [a, b]}`, `{log_uniform: [a, b]}`, `{int: [a, b]}`, `{choice: [x, y]}`, `{complement: name}`,
    or a bare value, which is fixed.

    Raises: DomainError, saying what is wrong and what would be right.
    """
    if not isinstance(spec, Mapping):
        if isinstance(spec, list | tuple):
            shown = list(spec)
            raise DomainError(f"{shown} is a bare list; write {{choice: {shown}}} or {{uniform: [low, high]}}")
        return Fixed(_plain(spec))
    kinds = ("uniform", "log_uniform", "int", "choice", "complement")
    if len(spec) != 1:
        raise DomainError(f"a domain has exactly one key, got {len(spec)}; choose from {', '.join(kinds)}")
    kind, body = next(iter(spec.items()))
    match kind:
        case "uniform":
            return Uniform(*_bounds(kind, body))
        case "log_uniform":
            return LogUniform(*_bounds(kind, body))
        case "int":
            low, high = _bounds(kind, body)
            if low != int(low) or high != int(high):
                raise DomainError(f"int has the bounds [{low:g}, {high:g}]; both must be whole numbers")
            return Int(int(low), int(high))
        case "choice":
            if not isinstance(body, list | tuple):
                raise DomainError(f"choice is {body!r}; it must be a list of values")
            return Choice(tuple(_plain(value) for value in body))
        case "complement":
            if not isinstance(body, str):
                raise DomainError(f"complement is {body!r}; it must be the name of another hyperparameter")
            return Complement(body)
    raise DomainError(f"there is no domain {kind!r}; {suggest(str(kind), kinds)}")


def domain_spec(domain: Domain) -> object:
    """Return the plain-data form of a domain that `parse_domain` reads back."""
    match domain:
        case Uniform(low, high):
            return {"uniform": [low, high]}
        case LogUniform(low, high):
            return {"log_uniform": [low, high]}
        case Int(low, high):
            return {"int": [low, high]}
        case Choice(values):
            return {"choice": list(values)}
        case Complement(of):
            return {"complement": of}
        case Fixed(value):
            return value


def outside(domain: Domain, legal: Domain) -> str | None:
    """Say how `domain` leaves `legal`, or return None when every value of it is legal.

    A complement is judged where its partner is known, by whoever resolves it, not here.
    """
    for value in ends(domain):
        if isinstance(legal, Choice):
            if not any(type(value) is type(allowed) and value == allowed for allowed in legal.values):
                return f"{value!r} is not {legal}"
        elif isinstance(legal, Uniform | LogUniform | Int):
            if isinstance(value, bool) or not isinstance(value, int | float):
                return f"{value!r} is not a number"
            if isinstance(legal, Int) and (isinstance(domain, Uniform | LogUniform) or value != int(value)):
                return f"{domain} is not limited to whole numbers"
            if not legal.low <= value <= legal.high:
                return f"{value:g} is outside {legal.low:g} to {legal.high:g}"
    return None


def legal_words(domain: Domain) -> str:
    """Say which values a domain has, as a person would: 0 to 1, 0 or more, one of a, b."""
    if not isinstance(domain, Uniform | LogUniform | Int):
        return str(domain)
    number = "a whole number" if isinstance(domain, Int) else "any number"
    if domain.high >= UNBOUNDED and domain.low <= -UNBOUNDED:
        return number
    words = f"{domain.low:g} or more" if domain.high >= UNBOUNDED else f"{domain.low:g} to {domain.high:g}"
    return f"{number}, {words}" if isinstance(domain, Int) else words


def as_real(domain: Domain, legal: Domain) -> Domain:
    """Return `domain` with its numbers as real ones where the hyperparameter is real: 2 and 2.0 are one setting."""
    if not isinstance(legal, Uniform | LogUniform):
        return domain
    match domain:
        case Fixed(value):
            return Fixed(_real(value))
        case Choice(values):
            return Choice(tuple(_real(value) for value in values))
    return domain


def _real(value: Value) -> Value:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def ends(domain: Domain) -> tuple[Value, ...]:
    """Return the extreme values of a domain: both ends of a range, every choice, the fixed value."""
    match domain:
        case Uniform(low, high) | LogUniform(low, high) | Int(low, high):
            return (low, high)
        case Choice(values):
            return values
        case Fixed(value):
            return (value,)
        case Complement():
            return ()


def resolve_complements(domains: Mapping[str, Domain], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return `values` with every complement in `domains` filled in, in the order of `domains`."""
    resolved: dict[str, Value] = {}
    for name, domain in domains.items():
        if isinstance(domain, Complement):
            partner = values[domain.of]
            if isinstance(partner, bool) or not isinstance(partner, int | float):
                raise DomainError(f"{name} is the complement of {domain.of}, whose value {partner!r} is not a number")
            # 1 - 0.7 is 0.30000000000000004: rounding keeps "the default" equal to the default.
            resolved[name] = round(1.0 - float(partner), 12)
        else:
            resolved[name] = values[name]
    return resolved


def admits(domains: Mapping[str, Domain], values: Mapping[str, Value]) -> bool:
    """Say whether `values` is a setting that `domains` could have given."""
    if set(values) != set(domains):
        return False
    for name, domain in domains.items():
        if isinstance(domain, Fixed):
            if values[name] != domain.value:
                return False
        elif outside(Fixed(values[name]), domain) is not None:
            return False
    return resolve_complements(domains, values) == dict(values)


def _plain(value: object) -> Value:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DomainError(f"{value} is not a finite number")
        return value
    raise DomainError(f"{value!r} is not a single value; use a number, a word, true or false")


def _bounds(kind: object, body: object) -> tuple[float, float]:
    if not isinstance(body, list | tuple) or len(body) != 2:
        raise DomainError(f"{kind} is {body!r}; it must be [low, high]")
    low, high = body
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise DomainError(f"{kind} has the bound {bound!r}; both bounds must be numbers")
    return low, high


def _check_range(kind: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DomainError(f"{kind} [{low:g}, {high:g}] is not finite; both bounds must be finite numbers")
    if low >= high:
        raise DomainError(f"{kind} [{low:g}, {high:g}] is empty; the first bound must be below the second")
