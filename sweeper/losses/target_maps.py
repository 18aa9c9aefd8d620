"""Target maps where nobody has prepared them: computed from the batch, on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

from sweeper.errors import LossError
from sweeper.losses.primitives import Pixels
from sweeper.maps.kinds import KINDS, compute_map


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
        if given.shape[0] != like.shape[0] or given.shape[-2:] != like.shape[-2:]:
            raise LossError(f"{name} has shape {tuple(given.shape)}; it must fit logits of shape {tuple(like.shape)}")
        if KINDS[name].per_class and given.shape[1] != like.shape[1]:
            raise LossError(f"{name} has {given.shape[1]} classes; the logits have {like.shape[1]}")
        return given.to(like)
    labels = _plain(torch.where(pixels.valid > 0, pixels.labels, -1).squeeze(1), name)
    classes = like.shape[1]
    if not len(labels):
        empty = compute_map(name, np.zeros(labels.shape[1:], dtype=np.int64), classes)
        return like.new_zeros((0, *empty.shape))
    return torch.from_numpy(np.stack([compute_map(name, each, classes) for each in labels])).to(like)


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
