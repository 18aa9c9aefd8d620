"""A split's patches, brought to where the model is, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.data.patches import Split

_RESIDENT_SHARE = 0.25
"""A split stays on the GPU when it takes at most this share of the free memory: several trials may share one GPU."""

_STD_FLOOR = 1e-3
"""Of a channel without any contrast, in gray levels of 255: dividing by it leaves the zeros that they are."""

_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Batch:
    """B patches on the model's device."""

    images: Tensor
    """(B, P, P, K) uint8."""
    masks: Tensor
    """(B, P, P) uint8, class index or IGNORE."""
    maps: dict[str, Tensor]
    """The target maps asked for by name, (B, K, P, P) or (B, C, R, P, P), in the dtype they are stored in: whoever uses
    them casts them, so that they travel and stay on the device at their smallest."""


class Feed:
    """Hands out batches of one split; on a GPU that has room, the split is copied there once, as uint8."""

    def __init__(self, split: Split, device: torch.device, *, maps: tuple[str, ...] = ()) -> None:
        self.split = split
        self.device = device
        self._arrays = {"images": split.images, "masks": split.masks} | {name: split.maps[name] for name in maps}
        self._resident: dict[str, Tensor] = {}
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if sum(array.nbytes for array in self._arrays.values()) <= _RESIDENT_SHARE * free:
                self._resident = {name: _copy_over(array, device) for name, array in self._arrays.items()}

    def __len__(self) -> int:
        return len(self.split)

    def take(self, indices: NDArray[np.int64]) -> Batch:
        """Return the patches at `indices`, (B,), in that order."""
        if self._resident:
            chosen = torch.from_numpy(indices).to(self.device, non_blocking=True)
            tensors = {name: tensor.index_select(0, chosen) for name, tensor in self._resident.items()}
        else:
            # Fancy indexing copies: the arrays may be memory-mapped and read-only, which torch would warn about.
            tensors = {name: self._send(torch.from_numpy(array[indices])) for name, array in self._arrays.items()}
        images, masks = tensors.pop("images"), tensors.pop("masks")
        return Batch(images, masks, tensors)

    def _send(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


class Normalize:
    """Turns (B, P, P, K) uint8 images into (B, K, P, P) float32 of mean 0 and deviation 1, channels last in memory."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device).reshape(1, -1, 1, 1)
        floored = [max(each, _STD_FLOOR) for each in std]
        self._scale = 1 / torch.tensor(floored, dtype=torch.float32, device=device).reshape(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
        return (pixels - self._mean) * self._scale


def _copy_over(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return the array on the device, sent in chunks: a memory-mapped split is never whole in this process."""
    first = torch.from_numpy(np.array(array[:1]))
    tensor = torch.empty(array.shape, dtype=first.dtype, device=device)
    for start in range(0, len(array), _CHUNK):
        tensor[start : start + _CHUNK] = torch.from_numpy(np.array(array[start : start + _CHUNK])).to(device)
    return tensor
