"""A loss family at one setting, as a torch module."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.domains import Fixed, Value, outside
from sweeper.errors import LossError, suggest
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS, CONSTANTS
from sweeper.losses.primitives import IGNORE_INDEX
from sweeper.losses.ramp import arguments


class Loss(torch.nn.Module):
    """A loss family at one setting: `forward(logits, target)` returns a scalar.

    A family that brings something along, a learned number or a network, gets it from `bring`:

    >>> from sweeper.losses.catalogue import loss
    >>> criterion = loss("robust_t", nu=2.0).bring(classes=3)
    >>> [name for name, _ in criterion.named_parameters()]
    ['companion.log_nu']

    What is to be done with those parameters, its `role` says: see `sweeper.losses.companion`.

    Args:
        family: The loss.
        ignore_index: Label of pixels that count for nothing.
        companion: What the loss brings along, if it has been built already.
        **settings: Hyperparameters, those left out at their default, and numbers per class (`class_weights`,
            `class_frequencies`, a `matrix`), which move with the module from device to device.

    Raises: LossError for a name the family does not have, or a value outside its legal domain.
    """

    def __init__(
        self,
        family: Family,
        *,
        ignore_index: int = IGNORE_INDEX,
        companion: Companion | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.family = family
        self.ignore_index = ignore_index
        self.hyperparameters: dict[str, Value] = {}
        self._tables: list[str] = []
        self._lists: dict[str, Any] = {}
        direct = _direct(family)
        for name, value in settings.items():
            if name in family.hyperparameters:
                self.hyperparameters[name] = _legal(family, name, value)
            elif name in direct:
                self._keep(name, value)
            elif name in family.needs:
                raise LossError(f"{family.name}: {name} changes from step to step; pass it with logits and target")
            else:
                known = {*family.hyperparameters, *direct}
                hint = suggest(name, known) if known else "it has none"
                raise LossError(f"{family.name} has no hyperparameter {name!r}; {hint}")
        if companion is not None and family.companion is None:
            raise LossError(f"{family.name} brings no companion along; leave it out")
        self.companion = companion

    @property
    def needs(self) -> tuple[str, ...]:
        """What can be passed beside logits and target at this setting, of `losses.needs`.

        Target maps and constants may be left out: the loss then works them out from the batch.
        """
        return tuple(name for name in self.family.needs_at(self.hyperparameters) if name not in ARTEFACTS)

    def bring(
        self, *, classes: int, channels: int = 3, artefacts: Mapping[str, Mapping[str, NDArray[Any]]] | None = None
    ) -> Self:
        """Build what the loss brings along at this setting, keep it as `companion`, and return the loss.

        It becomes a part of this module, and so do its parameters. Where the setting has none, nothing happens. Random
        weights come from torch's global generator.

        Args:
            classes: C.
            channels: Of the images.
            artefacts: The arrays of each network the setting needs, by name: `build(...).arrays` of
                `sweeper.training.artefacts`.
        """
        if self.family.companion is None:
            return self
        settings = self.family.defaults | self.hyperparameters
        setup = Setup(classes=classes, channels=channels, settings=settings, artefacts=artefacts or {})
        self.companion = self.family.companion(setup)
        if self.companion is not None and self.companion.role == "frozen":
            self.companion.eval().requires_grad_(False)
        return self

    def forward(self, logits: Tensor, target: Tensor, *, progress: float = 1.0, **given: Any) -> Tensor:
        """Return the loss of logits (B, C, H, W) against class indices (B, H, W) int64: a scalar.

        Args:
            progress: Share of training that is done, for hyperparameters that change in its course.
            **given: What else the step has, of `needs`: target maps, `images`, `features`, `classifier`, `step`.

        Raises: LossError for shapes, dtypes or names other than these.
        """
        taken = [name for name in self.family.needs if name not in ARTEFACTS]
        for name in given:
            if name not in taken:
                hint = suggest(name, taken) if taken else "it takes logits and target alone"
                raise LossError(f"{self.family.name} takes no {name!r}; {hint}")
        keywords = {name: self.get_buffer(name) for name in self._tables} | self._lists
        keywords |= arguments(self.family, self.hyperparameters, progress)
        if self.companion is not None:
            keywords["companion"] = self.companion
        return self.family.function(logits, target, ignore_index=self.ignore_index, **(keywords | given))

    def extra_repr(self) -> str:
        """Name the family, every dynamic hyperparameter, and what else was set."""
        shown: dict[str, object] = {
            name: value
            for name, value in (self.family.defaults | self.hyperparameters).items()
            if name in self.hyperparameters or not self.family.hyperparameters[name].static
        }
        shown |= {name: self.get_buffer(name).tolist() for name in self._tables} | self._lists
        parts = [f"{name}={value!r}" for name, value in shown.items()]
        return ", ".join([self.family.name, *parts, f"ignore_index={self.ignore_index}"])

    def _keep(self, name: str, value: Any) -> None:
        if isinstance(value, list | tuple) and value and all(isinstance(each, Sequence) for each in value):
            # Lists of lists, as the groups of a hierarchy: of any lengths, and judged by the function.
            self._lists[name] = value
        else:
            self._tables.append(name)
            self.register_buffer(name, _numbers(self.family, name, value))


def _direct(family: Family) -> set[str]:
    """Return the names of numbers per class: keywords without a default of their own, and not of a single step."""
    parameters = inspect.signature(family.function).parameters
    own = {name for name, parameter in parameters.items() if parameter.default is None}
    constants = {name for name in family.needs if name in CONSTANTS}
    return (own - {*family.needs, *family.hyperparameters, "companion"}) | constants


def _legal(family: Family, name: str, value: Any) -> Value:
    default = family.defaults[name]
    if value is None and default is None:
        return None
    problem = outside(Fixed(value), family.hyperparameters[name].legal)
    if problem:
        raise LossError(f"{family.name}: {name}: {problem}")
    return value  # type: ignore[no-any-return]  # a number or a word, or it would be outside


def _numbers(family: Family, name: str, value: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise LossError(f"{family.name}: {name} is {value!r}; it must be one number per class") from None
    if tensor.ndim not in (1, 2) or not bool(torch.isfinite(tensor).all()) or bool((tensor < 0).any()):
        raise LossError(f"{family.name}: {name} is {value!r}; it must be one number ≥ 0 per class")
    return tensor
