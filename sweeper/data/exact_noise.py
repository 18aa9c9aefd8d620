"""Random textures that come out bit for bit alike on every machine.

Only integers from the generator and + − × ÷ √ are used: IEEE 754 fixes their results. Sines, exponentials and sums by
BLAS or FFT are not used; their last bit depends on the processor, and with it, now and then, a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return one number of [low, high), each equally likely."""
    return low + (high - low) * float(rng.random())


def smoothstep(x: Reals) -> Reals:
    """Return the cubic that rises from 0 at x <= 0 to 1 at x >= 1, level at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def wander(rng: np.random.Generator, t: Reals, period: float) -> Reals:
    """Return smooth noise in [-1, 1] at the increasing places `t`: random knots, one per `period`, joined smoothly."""
    x = (t - t[0]) / period + float(rng.random())
    knots = 2.0 * rng.random(int(x[-1]) + 2) - 1.0
    left = x.astype(np.int64)
    noise: Reals = knots[left] + (knots[left + 1] - knots[left]) * smoothstep(x - left)
    return noise


def clouds(rng: np.random.Generator, height: int, width: int, period_y: float, period_x: float) -> Reals:
    """Return smooth noise in [-1, 1], (height, width), with features of about the given size in pixels."""
    y = (np.arange(height) / period_y) + float(rng.random())
    x = (np.arange(width) / period_x) + float(rng.random())
    knots = 2.0 * rng.random((int(y[-1]) + 2, int(x[-1]) + 2)) - 1.0
    top, left = y.astype(np.int64), x.astype(np.int64)
    rows = knots[top] + (knots[top + 1] - knots[top]) * smoothstep(y - top)[:, None]
    return rows[:, left] + (rows[:, left + 1] - rows[:, left]) * smoothstep(x - left)[None, :]


def grain(rng: np.random.Generator, shape: tuple[int, ...]) -> Reals:
    """Return independent noise per element: mean 0, standard deviation 1, near normal (a sum of four uniforms)."""
    total = rng.random(shape)
    for _ in range(3):
        total += rng.random(shape)
    return (total - 2.0) * 1.7320508075688772  # the variance of the sum is 4 / 12


def blur(image: Reals, strength: float) -> Reals:
    """Return `image` (height, width, ...) softened along both sides; 1 is the kernel (1, 2, 1) / 4, 2 twice that."""
    while strength > 0:
        share = min(strength, 1.0) / 4.0
        for axis in (0, 1):
            padded = np.pad(image, [(1, 1) if side == axis else (0, 0) for side in range(image.ndim)], mode="edge")
            before, after = (np.take(padded, range(i, i + image.shape[axis]), axis=axis) for i in (0, 2))
            image = image + share * (before + after - 2.0 * image)
        strength -= 1.0
    return image
