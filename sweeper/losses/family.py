"""What a loss family is: a pure function, its hyperparameters, its place on the two axes, its source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sweeper.domains import Domain, Fixed, Value

if TYPE_CHECKING:
    from torch import Tensor

    from sweeper.losses.companion import Companion, Setup

Level = Literal["pixel", "region", "boundary", "combination", "structural"]
Overlap = Literal["per-pixel", "overlap-aware", "boundary-aware", "mixed"]
Tradeoff = Literal["symmetric", "class-weighted", "tunable"]

Check = Literal[
    "non-negative",
    "perfect",
    "padding",
    "pixel order",
    "image order",
    "logit shift",
    "class order",
    "mirror",
    "gradient",
    "descent",
    "float32",
    "vmap settings",
    "vmap models",
]
"""Demands of the conformance suite that a family may be exempt from, with the reason. All others hold for every one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameter:
    """One argument of a loss that a study may set or search."""

    symbol: str
    """As papers write it, e.g. γ."""
    legal: Domain
    """Every value the formula allows; a study that asks for more is refused."""
    search: Domain | None = None
    """What a study samples unless it says otherwise; None leaves the argument at its default."""
    effect: str
    """What raising it does to precision and recall, in a few words."""
    static: bool = False
    """A static argument changes the graph (a word, a size); a dynamic one may be a 0-d tensor under vmap."""
    acts_with: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """Other hyperparameters, each with its values beside which this one changes the loss; without them all it does
    nothing."""
    ramps: str | None = None
    """The argument whose course over training this one decides, see `losses.ramp`; it is none of the function's own."""
    default: Value = None
    """Only of a hyperparameter that is no argument of the function; else the function's keyword default counts."""


def acting_words(acts_with: Mapping[str, tuple[Value, ...]], between: str = " ") -> str:
    """Say what a hyperparameter acts with: `region tversky or focal_tversky`, `levels 2 to 8`."""
    return " and ".join(f"{name}{between}{_any_of(values)}" for name, values in acts_with.items())


def _any_of(values: tuple[Value, ...]) -> str:
    first = values[0]
    if len(values) > 2 and isinstance(first, int) and values == tuple(range(first, first + len(values))):
        return f"{first} to {values[-1]}"
    return " or ".join(map(str, values))


@dataclass(frozen=True, kw_only=True)
class Family:
    """One loss with its hyperparameters, its place on the two axes, and its source.

    `function(logits, target, *, ignore_index=IGNORE_INDEX, **hyperparameters)` takes logits (B, C, H, W) and target
    (B, H, W) int64 and returns a scalar. Its keyword defaults are the family's untuned setting.
    """

    function: Callable[..., Tensor]
    title: str
    level: Level
    overlap: Overlap
    tradeoff: Tradeoff
    formula: str
    """One line of plain text."""
    source: str
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """What the trainer must pass by keyword beyond hyperparameters, or have ready for the companion: the names of
    `losses.needs`. With `narrow`, everything that any setting may need."""
    narrow: Callable[[Mapping[str, Value]], tuple[str, ...]] | None = None
    """Which of `needs` a setting has, where that depends on it; given every hyperparameter."""
    companion: Callable[[Setup], Companion | None] | None = None
    """Makes the module that the loss brings along, passed to the function as `companion`; None where a setting has
    none."""
    exempt: Mapping[Check, str] = field(default_factory=dict)
    """Demands of the conformance suite that do not hold for this loss by its nature, each with the reason."""
    errata: tuple[str, ...] = ()
    """Where surveys or well-known code misprint this loss, and what is right."""
    limits: str = ""
    """Known failure modes, in a sentence or two."""

    @property
    def name(self) -> str:
        """The name used in study files, tables and MLflow."""
        return self.function.__name__

    @property
    def defaults(self) -> dict[str, Value]:
        """The untuned setting: every hyperparameter at its default."""
        signature = inspect.signature(self.function).parameters
        return {
            name: signature[name].default if name in signature else dial.default
            for name, dial in self.hyperparameters.items()
        }

    @property
    def domains(self) -> dict[str, Domain]:
        """What a study samples unless it narrows it; arguments not searched are fixed at their default."""
        return {
            name: Fixed(self.defaults[name]) if dial.search is None else dial.search
            for name, dial in self.hyperparameters.items()
        }

    def needs_at(self, settings: Mapping[str, Value]) -> tuple[str, ...]:
        """Return what a setting needs, hyperparameters left out at their default."""
        return self.needs if self.narrow is None else self.narrow(self.defaults | dict(settings))
