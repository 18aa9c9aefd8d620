"""Pictures cut into patches: square tiles from the top left, each pixel in exactly one of them."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.data.pictures import Picture
from sweeper.data.settings import IGNORE


@dataclass(frozen=True, eq=False)
class Cut:
    """The patches of one picture that hold a valid pixel. n patches, P pixels a side, K channels, C classes."""

    images: NDArray[np.uint8]
    """(n, P, P, K); beyond the picture's edge its last row and column go on."""
    masks: NDArray[np.uint8]
    """(n, P, P); beyond the picture's edge IGNORE."""
    counts: NDArray[np.int64]
    """(n, C)."""
    row: NDArray[np.int32]
    col: NDArray[np.int32]
    pixels: NDArray[np.int64]
    """(n,), pixels of the picture itself, without what lies beyond its edge."""
    total: NDArray[np.int64]
    """(n, K), their sum per channel."""
    squares: NDArray[np.int64]
    """(n, K), the sum of their squares."""
    height: int
    width: int
    curves: NDArray[np.float32] | None
    image_digest: str
    """Hash of the picture's pixels alone."""
    digest: str
    """Hash of the picture's pixels, mask and curves."""

    def without_pixels(self) -> Cut:
        """Return the same cut with its images and masks left out."""
        nothing = np.empty(0, dtype=np.uint8)
        return dataclasses.replace(self, images=nothing, masks=nothing)


def cut(picture: Picture, patch: int, classes: int) -> Cut:
    """Cut a picture into `patch` x `patch` tiles and count what is in each."""
    height, width, _ = picture.image.shape
    below, right = -height % patch, -width % patch
    images = _tiles(np.pad(picture.image, ((0, below), (0, right), (0, 0)), mode="edge"), patch)
    masks = _tiles(np.pad(picture.mask, ((0, below), (0, right)), constant_values=IGNORE)[..., None], patch)[..., 0]
    row, col = (
        side.ravel() for side in np.meshgrid(np.arange(0, height, patch), np.arange(0, width, patch), indexing="ij")
    )
    counts = np.stack([np.bincount(mask.ravel(), minlength=256)[:classes] for mask in masks])
    kept = np.flatnonzero(counts.sum(axis=1) > 0)
    channels = picture.image.shape[2]
    pixels = np.empty(len(kept), dtype=np.int64)
    total, squares = np.empty((2, len(kept), channels), dtype=np.int64)
    for place, n in enumerate(kept.tolist()):
        inside = images[n, : min(patch, height - row[n]), : min(patch, width - col[n])].reshape(-1, channels)
        flat = np.ascontiguousarray(inside.T, dtype=np.int64)  # sums along memory are several times faster
        pixels[place] = flat.shape[1]
        total[place] = flat.sum(axis=1)
        squares[place] = (flat * flat).sum(axis=1)
    image_digest, digest = _digests(picture)
    return Cut(
        images=images[kept],
        masks=masks[kept],
        counts=counts[kept].astype(np.int64),
        row=row[kept].astype(np.int32),
        col=col[kept].astype(np.int32),
        pixels=pixels,
        total=total,
        squares=squares,
        height=height,
        width=width,
        curves=picture.curves,
        image_digest=image_digest,
        digest=digest,
    )


def _tiles(image: NDArray[np.uint8], patch: int) -> NDArray[np.uint8]:
    height, width, channels = image.shape
    grid = image.reshape(height // patch, patch, width // patch, patch, channels)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, patch, patch, channels)


def _digests(picture: Picture) -> tuple[str, str]:
    """Return the hash of the image, and that of everything."""
    digest = hashlib.sha256(repr(picture.image.shape).encode())
    digest.update(picture.image.tobytes())
    image = digest.hexdigest()
    digest.update(picture.mask.tobytes())
    if picture.curves is not None:
        digest.update(picture.curves.astype("<f4").tobytes())
    return image, digest.hexdigest()
