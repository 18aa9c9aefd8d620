"""What a loss may bring along besides its formula: a learned number, a frozen network, or a rival to train against.

The function gets it by the keyword `companion`. Whoever trains builds it once per trial (`Family.companion`), moves it
to the model's device, keeps its state with the model's, and does with its parameters what its `role` says:

- `joint`: they are optimized together with the model's, on the same loss, at `lr_factor` times the learning rate and
  without weight decay.
- `frozen`: nothing is done; they do not ask for gradients.
- `rival`: before each step of the model, an optimizer of its own (Adam, β₁ = 0.5, at `lr_factor` times the learning
  rate) takes `rounds` steps on `rival_loss`; the model's step then leaves them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.domains import Value

Role = Literal["joint", "frozen", "rival"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a companion is built for. Random weights come from torch's global generator, which the caller seeds."""

    classes: int
    channels: int
    """Of the images."""
    settings: Mapping[str, Value]
    """Every hyperparameter of the family."""
    artefacts: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    """The arrays of each artefact the setting needs, by name."""


class Companion(torch.nn.Module):
    """Base of all companions; by itself it has no parameters and does nothing."""

    role: Role = "frozen"
    lr_factor: float = 1.0
    """Of its parameters' learning rate, relative to the model's."""
    rounds: int = 1
    """Steps of a rival per step of the model."""

    def rival_loss(self, logits: Tensor, target: Tensor, *, images: Tensor, ignore_index: int) -> Tensor:
        """Return what a rival minimizes: a scalar.

        Args:
            logits: (B, C, H, W) float32 of the model, detached.
            target: (B, H, W) int64.
            images: (B, channels, H, W) float32, normalized.
        """
        raise NotImplementedError
