"""Learns what masks are made of: each foreground class of the training masks, through a bottleneck and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sweeper.losses.families.combination.dice_ce import dice_ce
from sweeper.losses.families.region.dice import dice
from sweeper.losses.networks import MaskAutoencoder, arrays
from sweeper.losses.primitives import IGNORE_INDEX

CROP = 64
"""Largest side in pixels of what is shown at a time."""


class MaskCurriculum:
    """Crops of single classes that hold any of the class, turned and mirrored."""

    error = "1 − Dice of the reproduced mask"
    examples = "foreground classes of masks"

    def __init__(self, masks: NDArray[np.uint8], classes: int) -> None:
        self._masks = torch.from_numpy(masks)
        self._classes = classes
        present = [
            (number, klass) for number, mask in enumerate(masks) for klass in np.unique(mask) if 0 < klass < classes
        ]
        self._examples = torch.tensor(present, dtype=torch.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._examples)

    def network(self) -> nn.Module:
        return MaskAutoencoder()

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return labels (N, side, side): 1 on the class, 0 elsewhere, IGNORE_INDEX where the mask is ignored."""
        return (torch.stack([self._crop(generator) for _ in range(count)]),)

    def cost(self, network: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        (labels,) = batch
        logits = network((labels == 1).float().unsqueeze(1), (labels != IGNORE_INDEX).float().unsqueeze(1))
        both = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return dice_ce(both, labels), _error(both, labels), _error(torch.zeros_like(both), labels)

    def arrays(self, network: nn.Module) -> dict[str, NDArray[Any]]:
        """Return the encoder, its levels scaled to a mean square of 1 on these masks, so that they weigh alike."""
        assert isinstance(network, MaskAutoencoder)
        encoder = network.encoder
        (labels,) = self.draw(256, torch.Generator().manual_seed(0))
        masks, valid = (labels == 1).float().unsqueeze(1), (labels != IGNORE_INDEX).float().unsqueeze(1)
        with torch.no_grad():
            sizes = [features.square().mean().sqrt().clamp_min(1e-6) for features, _ in encoder(masks, valid)]
            # Without biases a level grows with its kernel, and the next one is told so.
            for kernel, own, before in zip(encoder.kernels, sizes, [torch.ones(()), *sizes[:-1]], strict=True):
                kernel.mul_(before / own)
        return arrays(encoder)

    def _crop(self, generator: torch.Generator) -> Tensor:
        def pick(below: int) -> int:
            return int(torch.randint(below, (), generator=generator))

        number, klass = self._examples[pick(len(self))].tolist()
        mask = self._masks[number]
        labels = torch.where(mask < self._classes, (mask == klass).long(), IGNORE_INDEX)
        places = (labels == 1).nonzero()
        corner = [
            min(max(0, int(place) - pick(CROP)), max(0, side - CROP))
            for place, side in zip(places[pick(len(places))], labels.shape, strict=True)
        ]
        labels = labels[corner[0] : corner[0] + CROP, corner[1] : corner[1] + CROP]
        labels = torch.rot90(labels, pick(4))
        return labels.flip(0) if pick(2) else labels


def _error(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over crops of 1 − Dice of the decided mask."""
    decided = 1e4 * torch.stack([logits[:, 0] >= logits[:, 1], logits[:, 0] < logits[:, 1]], dim=1).to(logits)
    return dice(decided, labels, classes="foreground", scope="image")
