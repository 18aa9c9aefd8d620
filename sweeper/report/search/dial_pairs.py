"""Which two dials of a family are drawn against each other: those a reader names, and those the report chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.domains import Complement, parse_domain
from sweeper.errors import UserError, suggest
from sweeper.report.search.dials import FamilySearch, dials_of
from sweeper.report.search.searched import described

if TYPE_CHECKING:
    from sweeper.results.results import Results

TRAINING = "training."


def named(results: Results, asked: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs a reader asked for under the names of the study; `lr` stands for `training.lr`.

    Raises: UserError for a name that no family searches as a number, a name beside itself, or two names that no
        family has both of.
    """
    by_family = {family: {dial.name for dial in dials_of(results, family)} for family in results.meta["families"]}
    known = sorted(set().union(*by_family.values()))
    found: list[tuple[str, str]] = []
    for pair in asked:
        first, second = (_known(results, name, known) for name in pair)
        if first == second:
            raise UserError(f"--dials {pair[0]},{pair[1]} names one hyperparameter twice; name two different ones")
        if not any({first, second} <= names for names in by_family.values()):
            raise UserError(
                f"--dials {pair[0]},{pair[1]}: no family of this study searches both; {_together(by_family)}"
            )
        if (first, second) not in found:
            found.append((first, second))
    return found


def chosen(search: FamilySearch, importance: dict[str, float]) -> tuple[int, int] | None:
    """Return the indices of the two dials that matter most, those of the loss before those of training on a tie.

    Args:
        importance: Of hyperparameters by name; those not in it count as 0.
    """
    if len(search.moved) < 2:
        return None

    def weight(index: int) -> tuple[float, bool, int]:
        name = search.dials[index].name
        return -importance.get(name, 0.0), name.startswith(TRAINING), index

    first, second = sorted(sorted(search.moved, key=weight)[:2])
    return first, second


def _known(results: Results, name: str, known: Sequence[str]) -> str:
    full = name if name in known else f"{TRAINING}{name}"
    if full in known:
        return full
    for family in results.meta["families"]:
        about = described(results, family)
        if name in about:
            domain = parse_domain(about[name]["domain"])
            if isinstance(domain, Complement) and domain.of in known:
                raise UserError(f"--dials: {name} is 1 − {domain.of} in {family}: one dial; name {domain.of} instead")
            raise UserError(f"--dials: {name} is not searched as a number by any family of this study")
    hint = suggest(name, known) if known else "this study searches no numeric hyperparameter"
    raise UserError(f"--dials: there is no searched numeric hyperparameter {name!r}; {hint}")


def _together(by_family: dict[str, set[str]]) -> str:
    rich = [(family, names) for family, names in by_family.items() if len(names) > 1]
    if not rich:
        return "each family of it searches one at most"
    family, names = rich[0]
    return f"{family}, for example, searches {', '.join(sorted(names))}"
