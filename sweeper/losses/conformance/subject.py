"""A family on trial: called as a trainer calls it, with everything it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sweeper.errors import LossError
from sweeper.losses.companion import Companion
from sweeper.losses.conformance.batches import (
    AWKWARD,
    CHANNELS,
    FEATURES,
    IGNORED,
    SIDE,
    SLIVERS,
    Batch,
    batch_of,
    random_batch,
)
from sweeper.losses.conformance.cases import Case, cases, legal_ends, optional_needs
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS, MAPS
from sweeper.losses.networks import untrained_companion
from sweeper.losses.ramp import arguments
from sweeper.maps.kinds import compute_maps

ROOMY = 12
"""Pixels a side of the images for a loss whose windows do not fit into the small ones."""


class Unmet(Exception):
    """A demand is not met; the text says at which setting, and how."""


@dataclass(frozen=True)
class Outcome:
    """What one call came to, and its gradient."""

    batch: str
    """Of the awkward ones, by name."""
    precision: str
    case: Case
    value: float
    """NaN where there is none."""
    still: bool
    """Whether the gradient is 0 everywhere."""
    problem: str = ""
    """What is wrong with value or gradient."""

    def __str__(self) -> str:
        return f"{self.case}, on the batch {self.batch!r}, {self.precision}"


class Subject:
    """A family on trial.

    What is costly, target maps and companions and the calls on all awkward batches, is kept for the next demand.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.cases = cases(family)
        self.legal_ends = legal_ends(family)
        self._maps: dict[tuple[Any, ...], Tensor] = {}
        self._companions: dict[tuple[Any, ...], Companion | None] = {}

    def batch(self, classes: int = 3, seed: int = 0, *, images: int = 2, side: int = SIDE) -> Batch:
        """Return a random batch in float64, of images large enough for this family."""
        return batch_of(random_batch(classes, seed, images=images, side=max(side, self.side)))

    @cached_property
    def side(self) -> int:
        """Pixels a side of the images it is tried on."""
        refusals = {side: self._refusals(side) for side in (SIDE, ROOMY)}
        return min(refusals, key=lambda side: refusals[side])

    def value(self, batch: Batch, case: Case) -> Tensor:
        """Call the function with everything it needs: a scalar. Raises Unmet as `call` does."""
        return self.call(batch.logits, batch.target, case, self.keywords(batch, case))

    def call(self, logits: Tensor, target: Tensor, case: Case, keywords: Mapping[str, Any]) -> Tensor:
        """Call the function: a scalar.

        Raises: Unmet for whatever the function raises, or when it returns something else.
        """
        try:
            found = self.family.function(logits, target, **keywords)
        except Exception as error:
            # The user's own code runs here, so anything can come out of it.
            raise Unmet(f"{case}: raises {shown(error)}") from error
        if not isinstance(found, Tensor) or found.shape != ():
            what = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise Unmet(f"{case}: returns {what} in place of a 0-d tensor")
        return found

    def value_and_gradient(self, batch: Batch, case: Case) -> tuple[Tensor, Tensor]:
        """Return the value, and the gradient of logits, and of features if it looks at them, along the channels."""
        batch, leaves = self.leaves(batch, case)
        value = self.value(batch, case)
        return value.detach(), torch.cat(gradients(value, leaves, case), dim=1)

    def leaves(self, batch: Batch, case: Case) -> tuple[Batch, list[Tensor]]:
        """Return the batch anew, with what the loss may send a gradient to."""
        logits, features = (each.detach().clone() for each in (batch.logits, batch.features))
        fresh = Batch(logits, batch.target, batch.images, features, batch.order)
        return fresh, [each.requires_grad_() for each in self.seen(fresh, case)]

    def seen(self, batch: Batch, case: Case) -> list[Tensor]:
        """Return what a model gives: its logits, and its features if the loss looks at them."""
        looks = "features" in self.family.needs_at(case.values)
        return [batch.logits, batch.features] if looks else [batch.logits]

    def keywords(self, batch: Batch, case: Case) -> dict[str, Any]:
        """Return everything but logits and target."""
        family = self.family
        needs = [name for name in family.needs_at(case.values) if name not in ARTEFACTS]
        if case.bare:
            needs = [name for name in needs if name not in optional_needs(family)]
        keywords: dict[str, Any] = {name: self._need(name, batch) for name in needs}
        keywords |= arguments(family, case.values, case.progress)
        if family.companion is not None:
            keywords["companion"] = self.companion(batch.classes, case)
        return keywords | {"ignore_index": IGNORED}

    def companion(self, classes: int, case: Case) -> Companion | None:
        """Return what the loss brings along at a setting, ready for the model's step."""
        assert self.family.companion is not None, "only asked of families with one"
        settings = self.family.defaults | dict(case.values)
        key = (classes, *settings.items())
        if key not in self._companions:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                built = untrained_companion(self.family, settings, classes=classes, channels=CHANNELS)
            if built is not None:
                built.eval().requires_grad_(built.role == "joint")
            self._companions[key] = built
        return self._companions[key]

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The calls on all awkward batches, at all settings and in all precisions."""
        every = (*self.cases, *self.legal_ends)
        found = []
        for name, make in AWKWARD.items():
            batch = batch_of(make(self.side))
            found += [self._outcome(name, batch, precision, case) for precision in PRECISIONS for case in every]
        for name, cut in SLIVERS.items():
            batch = batch_of(cut())
            accepted = [case for case in every if not self._refuses(batch, case)]
            found += [self._outcome(name, batch, "in float32", case) for case in accepted]
        return found

    def _outcome(self, name: str, batch: Batch, precision: str, case: Case) -> Outcome:
        dtype = PRECISIONS[precision]
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                value, gradient = self.value_and_gradient(batch.to(dtype), case)
        except Unmet as unmet:
            return Outcome(name, precision, case, torch.nan, False, str(unmet).removeprefix(f"{case}: "))
        except Exception as error:
            return Outcome(name, precision, case, torch.nan, False, f"raises {shown(error)}")
        wanted = torch.float64 if dtype == torch.float64 else torch.float32
        problem = ""
        if value.dtype != wanted:
            problem = f"is {value.dtype} in place of {wanted}"
        elif not bool(torch.isfinite(value)):
            problem = f"is {value.item():g}"
        elif not bool(torch.isfinite(gradient).all()):
            problem = "has a gradient that is not finite"
        return Outcome(name, precision, case, value.item(), not bool(gradient.any()), problem)

    def _refusals(self, side: int) -> int:
        """Count the settings at which images of this size are refused."""
        batch = batch_of(random_batch(side=side))
        return sum(self._refuses(batch, case) for case in self.cases)

    def _refuses(self, batch: Batch, case: Case) -> bool:
        try:
            self.value(batch, case)
        except Unmet as unmet:
            return isinstance(unmet.__cause__, LossError)
        return False

    def _need(self, name: str, batch: Batch) -> Any:
        if name in MAPS:
            return self._map(name, batch.target, batch.classes)
        order = batch.order or tuple(range(batch.classes))
        if name == "class_frequencies":
            shares = torch.tensor([2.0**-label for label in order])
            return shares / shares.sum()
        if name == "classifier":
            return _classifier(order)
        return {"images": batch.images, "features": batch.features, "step": 0}[name]

    def _map(self, name: str, target: Tensor, classes: int) -> Tensor:
        """Return a target map as the trainer has it, in the dtype it is kept in."""
        key = (name, classes, target.shape, target.numpy().tobytes())
        if key not in self._maps:
            labels = torch.where(target == IGNORED, -1, target).numpy()
            self._maps[key] = torch.from_numpy(compute_maps(name, labels, classes))
        return self._maps[key]


PRECISIONS: Mapping[str, torch.dtype] = {
    "in float32": torch.float32,
    "in float64": torch.float64,
    "under autocast to bfloat16": torch.bfloat16,
}


def gradients(value: Tensor, leaves: list[Tensor], case: Case) -> list[Tensor]:
    """Return the gradient of each leaf, 0 for one that has no part in the value.

    Raises: Unmet for a value that has lost its graph.
    """
    if not value.requires_grad:
        raise Unmet(f"{case}: the value has no gradient; use torch's operations, and neither .item() nor .detach()")
    return list(torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True))


def shown(error: Exception) -> str:
    """Return an exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _classifier(order: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(len(order), FEATURES, generator=generator, dtype=torch.float64)[list(order)]

    def classify(features: Tensor) -> Tensor:
        """Turn (…, FEATURES) into (…, C)."""
        return (features.unsqueeze(-2) * weight.to(features)).sum(-1)

    return classify
