"""Batches that losses meet in training, the awkward ones among them, and the settings to try them at."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sweeper.domains import Choice, Complement, ends, resolve_complements
from sweeper.losses.family import Family

IGNORED = 255
IMAGES, CLASSES, SIDE = 2, 3, 5

Batch = tuple[Tensor, Tensor]


def random_batch(
    classes: int = CLASSES, seed: int = 0, *, side: int = SIDE, images: int = IMAGES, ignored: float = 0.2
) -> Batch:
    """Return float64 logits and labels in which every image has every class and some pixels are ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, side, side, generator=generator, dtype=torch.float64)
    target = torch.randint(classes, (images, side, side), generator=generator)
    target[torch.rand(target.shape, generator=generator) < ignored] = IGNORED
    target.view(images, -1)[:, :classes] = torch.arange(classes)
    return logits, target


def _filled(label: int) -> Batch:
    logits, target = random_batch()
    return logits, torch.full_like(target, label)


def _without_class_2() -> Batch:
    logits, target = random_batch()
    return logits, torch.where(target == 2, 0, target)


def _constant_logits() -> Batch:
    logits, target = random_batch()
    return torch.zeros_like(logits), target


def _saturated(shift: int) -> Batch:
    """Logits of ±1e4 that are all right (shift 0) or all wrong."""
    logits, target = random_batch()
    guess = (torch.where(target == IGNORED, 0, target) + shift) % CLASSES
    onehot = torch.nn.functional.one_hot(guess, CLASSES).movedim(-1, 1)
    return (2e4 * onehot - 1e4).to(logits), target


def _garbage_where_ignored() -> Batch:
    logits, target = random_batch()
    garbage = 1e4 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(9), dtype=logits.dtype).sign()
    return torch.where((target == IGNORED).unsqueeze(1), garbage, logits), target


AWKWARD: dict[str, Callable[[], Batch]] = {
    "random": random_batch,
    "all background": lambda: _filled(0),
    "all foreground": lambda: _filled(1),
    "class absent": _without_class_2,
    "nothing ignored": lambda: random_batch(ignored=0.0),
    "part ignored": lambda: random_batch(ignored=0.6),
    "all ignored": lambda: _filled(IGNORED),
    "constant logits": _constant_logits,
    "saturated right": lambda: _saturated(0),
    "saturated wrong": lambda: _saturated(1),
    "garbage where ignored": _garbage_where_ignored,
}


def settings(family: Family) -> Iterator[dict[str, Any]]:
    """Yield the default, every corner of what a study searches, a point near the low one, and every static word."""
    yield {}
    dials = family.hyperparameters
    searched = {name: dial.search for name, dial in dials.items() if dial.search is not None}
    free = {name: ends(domain) for name, domain in searched.items() if not isinstance(domain, Complement)}
    for corner in itertools.product(*free.values()):
        values = dict(zip(free, corner, strict=True))
        yield resolve_complements(searched, values)
    # Ends can be harmless where what lies between is not: naive focal is NaN for 0 < γ < 1 alone.
    inside = {name: low + 0.1 * (high - low) for name, (low, high) in free.items()}
    yield resolve_complements(searched, inside)
    for name, dial in dials.items():
        for value in ends(dial.legal) if dial.static else ():
            # Absent classes are scored by the smoothing, so that it must not be 0 then.
            yield {name: value} | ({"smooth": 1.0} if value == "smooth" else {})


def extremes(family: Family) -> Iterator[dict[str, Any]]:
    """Yield both ends of what is legal, one dynamic hyperparameter at a time."""
    for name, dial in family.hyperparameters.items():
        for value in () if dial.static else ends(dial.legal):
            yield {name: value}


def describe(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "default"


def dynamic_settings(family: Family, count: int = 3) -> dict[str, Tensor]:
    """Return `count` values of every dynamic hyperparameter, spread over what is searched or else over [0, 1]."""
    values: dict[str, Tensor] = {}
    for index, (name, dial) in enumerate(family.hyperparameters.items()):
        if dial.static or isinstance(dial.legal, Choice):
            continue
        low, high = (0.2, 0.8) if dial.search is None or isinstance(dial.search, Complement) else ends(dial.search)
        # Rolled, so that two dials do not move together.
        values[name] = torch.linspace(float(low), float(high), count, dtype=torch.float64).roll(index)
    return values
