"""A loss family at one setting, as a torch module."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from sweeper.domains import Fixed, Value, outside
from sweeper.errors import LossError, suggest
from sweeper.losses.family import Family
from sweeper.losses.primitives import IGNORE_INDEX


class Loss(torch.nn.Module):
    """A loss family at one setting: `forward(logits, target)` returns a scalar.

    Args:
        family: The loss.
        ignore_index: Label of pixels that count for nothing.
        **settings: Hyperparameters, those left out at their default, and vectors of one number per class
            (`class_weights`, `class_frequencies`), which move with the module from device to device.

    Raises: LossError for a name the family does not have, or a value outside its legal domain.
    """

    def __init__(self, family: Family, *, ignore_index: int = IGNORE_INDEX, **settings: Any) -> None:
        super().__init__()
        self.family = family
        self.ignore_index = ignore_index
        self.hyperparameters: dict[str, Value] = {}
        self._vectors: list[str] = []
        parameters = inspect.signature(family.function).parameters
        vectors = {name for name, parameter in parameters.items() if parameter.default is None} | {*family.needs}
        for name, value in settings.items():
            if name in family.hyperparameters:
                self.hyperparameters[name] = _legal(family, name, value)
            elif name in vectors:
                self._vectors.append(name)
                self.register_buffer(name, _one_per_class(family, name, value))
            else:
                known = {*family.hyperparameters, *vectors}
                hint = suggest(name, known) if known else "it has none"
                raise LossError(f"{family.name} has no hyperparameter {name!r}; {hint}")

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, C, H, W) against class indices (B, H, W) int64: a scalar."""
        vectors = {name: self.get_buffer(name) for name in self._vectors}
        return self.family.function(logits, target, ignore_index=self.ignore_index, **self.hyperparameters, **vectors)

    def extra_repr(self) -> str:
        """Name the family, every dynamic hyperparameter, and what else was set."""
        shown: dict[str, object] = {
            name: value
            for name, value in (self.family.defaults | self.hyperparameters).items()
            if name in self.hyperparameters or not self.family.hyperparameters[name].static
        }
        shown |= {name: self.get_buffer(name).tolist() for name in self._vectors}
        parts = [f"{name}={value!r}" for name, value in shown.items()]
        return ", ".join([self.family.name, *parts, f"ignore_index={self.ignore_index}"])


def _legal(family: Family, name: str, value: Any) -> Value:
    default = family.defaults[name]
    if value is None and default is None:
        return None
    problem = outside(Fixed(value), family.hyperparameters[name].legal)
    if problem:
        raise LossError(f"{family.name}: {name}: {problem}")
    return value  # type: ignore[no-any-return]  # a number or a word, or it would be outside


def _one_per_class(family: Family, name: str, value: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise LossError(f"{family.name}: {name} is {value!r}; it must be one number per class") from None
    if tensor.ndim != 1 or not bool(torch.isfinite(tensor).all()) or bool((tensor < 0).any()):
        raise LossError(f"{family.name}: {name} is {value!r}; it must be one number ≥ 0 per class")
    return tensor
