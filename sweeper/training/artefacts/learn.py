"""One way to train a small network on what is drawn from masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Progress = Callable[[int, int, str], None]

LR = 2e-3
BATCH = 32
CHECK_BATCHES = 8
"""Batches that an error is taken over."""


class Curriculum(Protocol):
    """A task drawn from masks, and the network that learns it."""

    error: str
    """What an error of this task is, in a few words."""
    examples: str
    """What it is drawn from, in a few words."""

    def __len__(self) -> int:
        """Return how many examples there are to draw from."""

    def network(self) -> nn.Module:
        """Return the network as it begins, with weights of torch's global generator."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return a batch on the CPU: what the network is shown, and what it should say last."""

    def cost(self, network: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is minimized, the error, and that of a network that has learned nothing: scalars."""

    def arrays(self, network: nn.Module) -> dict[str, NDArray[Any]]:
        """Return the arrays of the artefact."""


def learn(
    network: nn.Module,
    train: Curriculum,
    held_out: Curriculum,
    *,
    name: str,
    seed: int,
    device: torch.device,
    steps: int,
    progress: Progress | None,
) -> dict[str, float]:
    """Train `network` on one part of the masks and return its errors on both.

    The learning rate falls to 0 along half a cosine.
    """
    network.to(device).train()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    for step in range(steps):
        cost, _, _ = train.cost(network, _drawn(train, generator, device))
        optimizer.zero_grad(set_to_none=True)
        cost.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps, name)
    network.eval()
    (train_error, _), (validation_error, chance_error) = (
        _errors(network, part, device, seed) for part in (train, held_out)
    )
    network.cpu()
    return {"train_error": train_error, "validation_error": validation_error, "chance_error": chance_error}


def _errors(network: nn.Module, part: Curriculum, device: torch.device, seed: int) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        found = [part.cost(network, _drawn(part, generator, device))[1:] for _ in range(CHECK_BATCHES)]
    error, chance = torch.tensor(found, dtype=torch.float64).mean(dim=0).tolist()
    return error, chance


def _drawn(part: Curriculum, generator: torch.Generator, device: torch.device) -> tuple[Tensor, ...]:
    return tuple(each.to(device) for each in part.draw(BATCH, generator))
