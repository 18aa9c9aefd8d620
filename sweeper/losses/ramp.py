"""Hyperparameters that change in the course of training: a weight that starts low and rises while boundaries form.

A loss has no clock. A family that gains from a warm-up of its argument `a` has two more hyperparameters, `a_start` and
`a_ramp`, made by `ramp`; whoever trains asks `arguments` for the values of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.domains import Domain, Uniform, Value
from sweeper.losses.family import Family, Hyperparameter


def ramp(
    argument: str, *, symbol: str, legal: Domain, start: float, share: float, search: Domain | None = None
) -> dict[str, Hyperparameter]:
    """Return the hyperparameters `<argument>_start` and `<argument>_ramp`.

    Args:
        argument: A dynamic hyperparameter of the family; its own value is reached at the end of the ramp.
        legal: Of the start.
        start: Default of the start.
        share: Default of the ramp: the share of training it takes, 0 for none.
        search: What a study samples of the ramp's length; None leaves it at the default.
    """
    return {
        f"{argument}_start": Hyperparameter(
            symbol=f"{symbol}₀",
            legal=legal,
            effect=f"value of {symbol} when training begins; it moves in a straight line to {argument}",
            ramps=argument,
            default=start,
        ),
        f"{argument}_ramp": Hyperparameter(
            symbol=f"{symbol} ramp",
            legal=Uniform(0.0, 1.0),
            search=search,
            effect=f"share of training over which {symbol} moves from {argument}_start to {argument}; 0 is no ramp",
            ramps=argument,
            default=share,
        ),
    }


def arguments(family: Family, settings: Mapping[str, Value], progress: float) -> dict[str, Value]:
    """Return what to call the family's function with: settings without those of ramps, ramped ones as of now.

    Args:
        settings: Hyperparameters; those left out are at their default.
        progress: Share of training that is done, 0 to 1.
    """
    ramped = {dial.ramps for dial in family.hyperparameters.values() if dial.ramps is not None}
    values = {name: value for name, value in settings.items() if not _of_ramp(family, name)}
    if not ramped:
        return values
    complete = family.defaults | dict(settings)
    for argument in sorted(ramped):
        end, start = complete[argument], complete[f"{argument}_start"]
        share = complete[f"{argument}_ramp"]
        if not all(isinstance(each, int | float) for each in (end, start, share)):
            continue  # a tensor under vmap, or an argument that is switched off: it has no course
        if progress >= share:  # type: ignore[operator]  # numbers, by the line above
            values[argument] = end  # exactly, which the straight line misses by rounding
        else:
            values[argument] = start + (end - start) * (progress / share)  # type: ignore[operator]
    return values


def settled(family: Family, settings: Mapping[str, Value]) -> float:
    """Return the share of training after which no argument of a setting changes any more, 0 to 1."""
    complete = family.defaults | dict(settings)
    shares = [0.0]
    for argument in {dial.ramps for dial in family.hyperparameters.values() if dial.ramps is not None}:
        end, start, share = (complete[name] for name in (argument, f"{argument}_start", f"{argument}_ramp"))
        if isinstance(end, int | float) and start != end and isinstance(share, int | float):
            shares.append(float(share))
    return max(shares)


def _of_ramp(family: Family, name: str) -> bool:
    return name in family.hyperparameters and family.hyperparameters[name].ramps is not None
