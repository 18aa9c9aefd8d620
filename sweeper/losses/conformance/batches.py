"""Batches that losses meet in training, the awkward ones among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

IGNORED = 255
IMAGES, CLASSES, SIDE = 2, 3, 5
CHANNELS, FEATURES = 3, 4

Pair = tuple[Tensor, Tensor]
"""Logits (B, C, H, W) and target (B, H, W)."""


@dataclass(frozen=True)
class Batch:
    """What a training step has at hand when it asks a loss."""

    logits: Tensor
    """(B, C, H, W)."""
    target: Tensor
    """(B, H, W) int64; `IGNORED` where ignored."""
    images: Tensor
    """(B, CHANNELS, H, W) float32."""
    features: Tensor
    """(B, FEATURES, H, W), in the dtype of the logits, float32 at least."""
    order: tuple[int, ...] | None = None
    """Which class each channel of the logits stands for, where classes have been exchanged."""

    @property
    def classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @property
    def ignored(self) -> Tensor:
        """(B, 1, H, W) bool."""
        return (self.target == IGNORED).unsqueeze(1)

    def moved(self, move: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with the same done to everything in it, along images, rows or columns."""
        return dataclasses.replace(
            self,
            logits=move(self.logits),
            target=move(self.target),
            images=move(self.images),
            features=move(self.features),
        )

    def to(self, dtype: torch.dtype) -> Batch:
        """Return the batch as a model of this precision gives it."""
        wide = dtype if dtype == torch.float64 else torch.float32
        return dataclasses.replace(self, logits=self.logits.to(dtype), features=self.features.to(wide))


def batch_of(pair: Pair) -> Batch:
    """Return logits and target with pictures and features, which depend on the shape alone."""
    logits, target = pair
    generator = torch.Generator().manual_seed(5)
    size = (logits.shape[0], CHANNELS + FEATURES, *logits.shape[2:])
    drawn = torch.randn(size, generator=generator, dtype=torch.float64)
    images, features = drawn[:, :CHANNELS].float(), drawn[:, CHANNELS:].to(logits)
    return Batch(logits=logits, target=target, images=images, features=features)


def random_batch(
    classes: int = CLASSES, seed: int = 0, *, side: int = SIDE, images: int = IMAGES, ignored: float = 0.2
) -> Pair:
    """Return float64 logits and labels in which every image has every class and some pixels are ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, side, side, generator=generator, dtype=torch.float64)
    target = torch.randint(classes, (images, side, side), generator=generator)
    target[torch.rand(target.shape, generator=generator) < ignored] = IGNORED
    target.view(images, -1)[:, :classes] = torch.arange(classes)
    return logits, target


def regions_batch(seed: int = 0, *, side: int = 24) -> Pair:
    """Return float64 logits, and labels in which each image has a square of either foreground class, none ignored."""
    logits, target = random_batch(seed=seed, side=side, ignored=0.0)
    target = torch.zeros_like(target)
    third = side // 3
    target[0, 1 : third + 1, 2 : third + 2] = target[1, -third - 2 : -2, 1 : third + 1] = 1
    target[0, -third - 1 : -1, -third - 3 : -3] = target[1, 2 : third + 2, -third:] = 2
    return logits, target


def certain(pair: Pair, shift: int) -> Pair:
    """Return the batch with logits of ±1e4 that are all right (shift 0) or all wrong."""
    logits, target = pair
    classes = logits.shape[1]
    guess = (torch.where(target == IGNORED, 0, target) + shift) % classes
    onehot = torch.nn.functional.one_hot(guess, classes).movedim(-1, 1)
    return (2e4 * onehot - 1e4).to(logits), target


def _filled(label: int, side: int) -> Pair:
    logits, target = random_batch(side=side)
    return logits, torch.full_like(target, label)


def _without_class_2(side: int) -> Pair:
    logits, target = random_batch(side=side)
    return logits, torch.where(target == 2, 0, target)


def _constant_logits(side: int) -> Pair:
    logits, target = random_batch(side=side)
    return torch.zeros_like(logits), target


def _garbage_where_ignored(side: int) -> Pair:
    logits, target = random_batch(side=side)
    garbage = 1e4 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(9), dtype=logits.dtype).sign()
    return torch.where((target == IGNORED).unsqueeze(1), garbage, logits), target


def _one_image_ignored(side: int) -> Pair:
    logits, target = random_batch(side=side)
    target[1] = IGNORED
    return logits, target


def _one_pixel_of_a_class(side: int) -> Pair:
    logits, target = random_batch(side=side)
    target = torch.zeros_like(target)
    target[0, side // 2, side // 2] = 1
    return logits, target


def _cut(rows: int, columns: int) -> Pair:
    logits, target = random_batch()
    return logits[..., :rows, :columns], target[..., :rows, :columns]


AWKWARD: Mapping[str, Callable[[int], Pair]] = MappingProxyType(
    {
        "random": lambda side: random_batch(side=side),
        "two classes": lambda side: random_batch(classes=2, side=side),
        "all background": lambda side: _filled(0, side),
        "all foreground": lambda side: _filled(1, side),
        "class absent": _without_class_2,
        "one pixel of a class": _one_pixel_of_a_class,
        "nothing ignored": lambda side: random_batch(side=side, ignored=0.0),
        "part ignored": lambda side: random_batch(side=side, ignored=0.6),
        "one image ignored": _one_image_ignored,
        "all ignored": lambda side: _filled(IGNORED, side),
        "constant logits": _constant_logits,
        "saturated right": lambda side: certain(random_batch(side=side), 0),
        "saturated wrong": lambda side: certain(random_batch(side=side), 1),
        "garbage where ignored": _garbage_where_ignored,
    }
)
"""By name, the maker of each for images of a given side."""

SLIVERS: Mapping[str, Callable[[], Pair]] = MappingProxyType(
    {"an image of one pixel": lambda: _cut(1, 1), "an image of one row": lambda: _cut(1, SIDE)}
)
"""Images so small that a loss may refuse them, with a LossError, but must not stumble."""
