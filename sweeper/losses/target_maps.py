"""Target maps where nobody has prepared them: computed from the batch, on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

from sweeper.errors import LossError
from sweeper.losses.primitives import Pixels
from sweeper.maps.kinds import KINDS, compute_maps


def target_map(name: str, given: Tensor | None, pixels: Pixels) -> Tensor:
    """Return a target map in the dtype of the batch: the one given, or computed from the target without a gradient.

    Args:
        name: A key of `maps.kinds.KINDS`.
        given: (B, K, H, W) or (B, C, R, H, W), or None.

    Raises: LossError when the map given does not fit the batch, or when there is none and the target is batched by
        vmap, where it cannot be computed.
    """
    like = pixels.log_prob
    if given is not None:
        expected = _shape(name, like)
        if given.shape != expected:
            raise LossError(
                f"{name} has shape {tuple(given.shape)}; with logits of shape {tuple(like.shape)} it must be {expected}"
            )
        return given.to(like)
    labels = _plain(torch.where(pixels.valid > 0, pixels.labels, -1).squeeze(1), name)
    return torch.from_numpy(compute_maps(name, labels, like.shape[1])).to(like)


def _shape(name: str, like: Tensor) -> tuple[int, ...]:
    """Return the shape that a map has for logits shaped as `like`, (B, C, H, W)."""
    images, classes, height, width = like.shape
    kind = KINDS[name]
    channels = (classes,) if kind.per_class else (4,) if kind.oriented else (1,)
    return (images, *channels, *kind.inner, height, width)


def _plain(labels: Tensor, name: str) -> NDArray[np.int64]:
    """Return the labels as an array, also under `torch.func`, whose transforms wrap every tensor they see."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(labels):
        if functorch.is_batchedtensor(labels):
            raise LossError(f"under vmap over targets {name} cannot be computed; pass it as {name}=...")
        labels = functorch.get_unwrapped(labels)
    with temporarily_clear_interpreter_stack():
        array: NDArray[np.int64] = labels.cpu().numpy()
    return array
