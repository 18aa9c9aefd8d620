"""Batches with regions several pixels deep, and the plain arrays that brute-force references work on."""

from __future__ import annotations

import numpy as np
import torch

from ..batches import IGNORED, random_batch

CASES = [(2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (5, 1)]
"""(classes, seed)."""


def blocky(classes, seed, *, ignored=0.1, images=2):
    """Regions of 3×3 blocks, every class in every image, some pixels ignored."""
    logits, _ = random_batch(classes, seed, side=9, images=images)
    generator = torch.Generator().manual_seed(100 + seed)
    coarse = torch.randint(classes, (images, 3, 3), generator=generator)
    for image in coarse.view(images, -1):
        image[torch.randperm(9, generator=generator)[:classes]] = torch.arange(classes)
    target = coarse.repeat_interleave(3, 1).repeat_interleave(3, 2)
    target[torch.rand(target.shape, generator=generator) < ignored] = IGNORED
    return logits, target


def leaning(batch, towards=3.0):
    """The same batch with logits that lean to the truth, so that most pixels of most classes are found."""
    logits, target = batch
    truth = torch.nn.functional.one_hot(torch.where(target == IGNORED, 0, target), logits.shape[1]).movedim(-1, 1)
    return logits + towards * truth, target


def arrays(batch):
    """Return p (B, C, H, W), one-hot t (B, C, H, W) bool and valid (B, H, W) bool, in NumPy."""
    logits, target = batch
    p = logits.softmax(1).numpy()
    valid = target.numpy() != IGNORED
    t = (target.numpy()[:, None] == np.arange(p.shape[1])[:, None, None]) & valid[:, None]
    return p, t, valid


def nearest(goal):
    """Distance of every pixel to the nearest of `goal`, all pairs; infinite where there is none."""
    rows, cols = np.nonzero(goal)
    at = np.indices(goal.shape)
    squared = (at[0][..., None] - rows) ** 2 + (at[1][..., None] - cols) ** 2
    return np.sqrt(squared.min(-1, initial=10**12).astype(float)) if len(rows) else np.full(goal.shape, np.inf)


def neighbours(row, col, shape, eight=False):
    """Positions of the neighbours inside the image."""
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = (down or right) if eight else abs(down) + abs(right) == 1
            if near and 0 <= row + down < shape[0] and 0 <= col + right < shape[1]:
                yield row + down, col + right


def mean_over(values, labels):
    """Mean of the values of these classes; 0 of none."""
    return float(np.mean([values[label] for label in labels])) if len(labels) else 0.0


def labels_of(classes, count):
    return list(range(count) if classes == "all" else range(1, count))


def same(left, right, **tolerance):
    torch.testing.assert_close(
        torch.as_tensor(left, dtype=torch.float64),
        torch.as_tensor(right, dtype=torch.float64),
        **(tolerance or {"rtol": 1e-6, "atol": 1e-8}),
    )


def picture(foreground, target):
    """A batch of one image of two classes from probabilities of the foreground and a mask."""
    p = torch.as_tensor(foreground, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    return torch.stack([1 - p, p]).log().unsqueeze(0), torch.as_tensor(target).long().unsqueeze(0)
