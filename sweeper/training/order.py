"""Classes as losses expect them: the background first.

Losses leave class 0 out of the foreground and weigh it as the background, but a data set may list its background
anywhere. The loss therefore sees the classes in an order of its own; model, metrics and tables keep the data's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.data.settings import IGNORE
from sweeper.maps.kinds import KINDS


class BackgroundFirst:
    """Moves the background to class 0 and keeps the others in their order."""

    def __init__(self, classes: int, background: int, device: torch.device) -> None:
        order = [background, *(index for index in range(classes) if index != background)]
        self._moves = background != 0
        self._order = torch.tensor(order, device=device)
        place = torch.full((256,), IGNORE, dtype=torch.int64, device=device)
        place[self._order] = torch.arange(classes, device=device)
        self._place = place

    def classes(self, tensor: Tensor, dim: int) -> Tensor:
        """Return `tensor` with the classes along `dim` reordered: logits, class frequencies, weights."""
        return tensor.index_select(dim, self._order) if self._moves else tensor

    def map(self, name: str, tensor: Tensor) -> Tensor:
        """Return a target map, (B, ..., P, P), in the new order where its channels are the classes."""
        return self.classes(tensor, dim=1) if KINDS[name].per_class else tensor

    def labels(self, masks: Tensor) -> Tensor:
        """Return uint8 labels as int64 in the new order; ignored pixels stay ignored."""
        return self._place[masks.long()] if self._moves else masks.long()
