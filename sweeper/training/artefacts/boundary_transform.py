"""Learns which affine map moved a boundary: target boundaries of the training masks, moved at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from sweeper.losses.morphology import inner_boundary
from sweeper.losses.networks import BoundaryTransform, arrays, tiles
from sweeper.training.artefacts.chunks import chunks

TILE = 112
"""Largest side of a piece in pixels, the default of the loss."""

SHIFT, TURN, STRETCH = 0.2, 0.35, 0.2
"""How far a boundary is moved at most: as a share of half the side, in radians, and in the logarithm of its size."""

FAINTEST = 0.3
"""Of a moved boundary: predictions are unsure, so that their boundaries are faint."""


class BoundaryCurriculum:
    """Pairs of a boundary and what became of it."""

    error = "mean distance between the estimated and the true affine map"
    examples = "pieces of foreground boundaries"

    def __init__(self, masks: NDArray[np.uint8], classes: int) -> None:
        # Labels of eight bytes, and for each class some ten maps of four on the way to its boundary.
        found = [_boundaries(part, classes) for part in chunks(masks, 8 + 40 * classes)]
        self._boundaries = torch.cat(found) if found else torch.zeros(0, 1, 1, 1)

    def __len__(self) -> int:
        return len(self._boundaries)

    def network(self) -> nn.Module:
        return BoundaryTransform()

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return moved boundaries, the boundaries themselves, and the maps (N, 2, 3) between them."""
        wanted = self._boundaries[torch.randint(len(self), (count,), generator=generator)]
        shift, stretch = (2 * torch.rand(2, count, 2, generator=generator) - 1) * torch.tensor(
            [SHIFT, STRETCH]
        ).reshape(2, 1, 1)
        turn = (2 * torch.rand(count, generator=generator) - 1) * TURN
        rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], dim=-1).reshape(-1, 2, 2)
        maps = torch.cat([rotation * stretch.exp().unsqueeze(1), shift.unsqueeze(2)], dim=2)
        grid = affine_grid(maps, list(wanted.shape), align_corners=False)
        strength = FAINTEST + (1 - FAINTEST) * torch.rand(count, 1, 1, 1, generator=generator)
        return strength * grid_sample(wanted, grid, align_corners=False), wanted, maps

    def cost(self, network: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        seen, wanted, maps = batch
        apart = (network(seen, wanted) - maps).square().sum(dim=(1, 2))
        moved = (torch.eye(2, 3).to(maps) - maps).square().sum(dim=(1, 2))
        return apart.mean(), apart.sqrt().mean(), moved.sqrt().mean()

    def arrays(self, network: nn.Module) -> dict[str, NDArray[Any]]:
        return arrays(network)


def _boundaries(masks: NDArray[np.uint8], classes: int) -> Tensor:
    """Return the pieces of foreground boundaries that hold any, (N, 1, SIDE, SIDE)."""
    labels = torch.from_numpy(masks.astype(np.int64)).unsqueeze(1)
    regions = (labels == torch.arange(classes).reshape(1, -1, 1, 1)).float()
    edges = inner_boundary(regions, (labels < classes).float())[:, 1:].amax(dim=1, keepdim=True)
    pieces = tiles(edges, TILE)
    return pieces[pieces.amax(dim=(1, 2, 3)) > 0]
