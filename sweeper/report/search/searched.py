"""Which hyperparameters of a family its search could vary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweeper.domains import Choice, Int, LogUniform, Uniform, parse_domain

if TYPE_CHECKING:
    from sweeper.results.results import Results


def described(results: Results, family: str) -> dict[str, dict[str, Any]]:
    """Return the description of every hyperparameter of a family.

    The training hyperparameters that the study gives a domain are among them, as `training.lr`, described as those of
    a loss are.
    """
    training = results.meta["study"].get("training") or {}
    found: dict[str, dict[str, Any]] = {
        f"training.{name}": {"symbol": name, "effect": "", "domain": spec, "default": None}
        for name, spec in training.items()
        if isinstance(spec, dict)
    }
    found.update(results.meta["families"][family]["hyperparameters"])
    return found


def searched(results: Results, family: str) -> list[str]:
    """Return the names of the hyperparameters with more than one value to try; none where nothing can be tuned."""
    return [name for name, one in described(results, family).items() if _varies(one["domain"])]


def tunable(results: Results) -> tuple[list[str], list[str]]:
    """Return the families with something to tune, and those without."""
    families = list(results.meta["families"])
    with_dials = [family for family in families if searched(results, family)]
    return with_dials, [family for family in families if family not in with_dials]


def _varies(spec: object) -> bool:
    domain = parse_domain(spec)
    return isinstance(domain, Uniform | LogUniform | Int) or (isinstance(domain, Choice) and len(domain.values) > 1)
