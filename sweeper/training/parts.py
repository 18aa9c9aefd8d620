"""A batch too large for the memory, run through the model part by part without changing what is trained.

A loss over a batch is in general no mean over its pictures: Dice of two halves is not Dice of the whole. Adding up the
gradients of parts, each with a loss of its own, would therefore train something else. Here the loss sees the whole
batch: the parts' logits are put together, and on the way back each part runs forward once more for what its gradient
needs. Only one part's activations are in memory at a time; what it costs is a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def tied_by(model: nn.Module) -> str | None:
    """Return the name of a layer that lets pictures of a batch see each other while training; None if there is none.

    Such a layer computes something else of a part than of the whole.
    """
    return next((name for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)), None)


def in_parts(forward: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor, parts: int) -> tuple[Tensor, ...]:
    """Return what `forward` gives of the whole batch, computed of `parts` parts of it one after the other.

    What it draws from torch's generators it draws part by part, the same on the way back.

    Args:
        forward: From images to tensors whose first axis is theirs. It must keep none of them.
        images: (B, ...), B ≥ `parts`.
    """
    found = [checkpoint(forward, part, use_reentrant=False) for part in images.tensor_split(parts)]
    return tuple(torch.cat(each) for each in zip(*found, strict=True))
