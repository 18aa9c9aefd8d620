"""How a log looks once printed, aged and scanned: paper, grid, depth figures, ink, wear. Looks only; never the mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweeper.data.exact_noise import Reals, between, blur, clouds, grain, wander

PAPERS = ((240, 233, 214), (236, 231, 220), (242, 236, 224), (232, 222, 196), (243, 240, 233))
GRIDS = ((112, 150, 118), (176, 128, 92), (138, 140, 140), (120, 140, 168), (188, 116, 104))
INKS = ((28, 28, 32), (38, 34, 34), (24, 30, 52))
DASHED_INKS = ((30, 30, 34), (34, 40, 66), (62, 36, 34), (44, 44, 44))

# Five columns by seven rows each; a 1 is ink.
GLYPHS = {
    "0": (0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110),
    "1": (0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110),
    "2": (0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111),
    "3": (0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110),
    "4": (0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010),
    "5": (0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110),
    "6": (0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110),
    "7": (0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000),
    "8": (0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110),
    "9": (0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100),
}


def photograph(coverage: Reals, rng: np.random.Generator, wear: float) -> NDArray[np.uint8]:
    """Return the scan (height, width, 3) of a log whose curves cover (curves, height, width) of its pixels."""
    _, height, width = coverage.shape
    image = _paper(rng, height, width, wear)
    image = _ink(image, _grid(rng, height, width), GRIDS[rng.integers(len(GRIDS))])
    print_ink = INKS[rng.integers(len(INKS))]
    image = _ink(image, _depth_figures(rng, height, width), print_ink)
    for cover, color in zip(coverage, (print_ink, DASHED_INKS[rng.integers(len(DASHED_INKS))]), strict=True):
        image = _ink(image, cover * _ink_strength(rng, height, width, wear), color)
    image = _damage(rng, image, wear)
    return _scan(rng, image, wear)


def _paper(rng: np.random.Generator, height: int, width: int, wear: float) -> Reals:
    base = np.array(PAPERS[rng.integers(len(PAPERS))], dtype=np.float64)
    fibres = 2.2 * clouds(rng, height, width, 1.6, 5) + 2.2 * clouds(rng, height, width, 5, 1.6)
    blotches = 3.5 * clouds(rng, height, width, 40, 40) + 2.0 * clouds(rng, height, width, 11, 11)
    texture = wear * (fibres + blotches)
    # Age shows in blue first: old paper is yellow where it is dark.
    sheet: Reals = base + texture[..., None] * np.array([0.8, 0.95, 1.25])
    return sheet


def _grid(rng: np.random.Generator, height: int, width: int) -> Reals:
    """Return how much grid ink lies on each pixel: fine lines, every fifth heavier, the track's edges heaviest."""
    fine, heavy = between(rng, 0.26, 0.42), between(rng, 0.55, 0.75)
    step = width / 20
    down = _ruling(width, step, fine, heavy, offset=0.0)
    down = np.maximum(down, _ruling(width, width / 2, 0.8, 0.8, offset=0.0))
    row_step = between(rng, 7.5, 10.5)
    across = _ruling(height, row_step, fine, heavy, offset=between(rng, 0, 5 * row_step))
    uneven = 1.0 + 0.18 * clouds(rng, height, width, 30, 30) + 0.10 * clouds(rng, height, width, 3, 3)
    return np.clip(np.maximum(down[None, :], across[:, None]) * uneven, 0.0, 1.0)


def _ruling(length: int, step: float, fine: float, heavy: float, *, offset: float) -> Reals:
    """Return the ink of parallel lines along one side: every `step` pixels, each fifth line heavy and wider."""
    ink = np.zeros(length)
    centre = np.arange(length) + 0.5
    first = -round(offset / step)
    for number in range(first, first + int(length / step) + 8):
        at = offset + number * step
        strong = (number % 5) == 0
        cover = np.clip((0.65 if strong else 0.42) + 0.5 - np.abs(centre - at), 0.0, 1.0)
        ink = np.maximum(ink, cover * (heavy if strong else fine))
    return ink


def _depth_figures(rng: np.random.Generator, height: int, width: int) -> Reals:
    """Return the ink of depth ticks at both edges and of a depth figure every 50 rows or so."""
    ink = np.zeros((height, width))
    minor = between(rng, 4.5, 5.5)
    first = between(rng, 0, 10 * minor)
    depth = int(rng.integers(80, 900)) * 10
    beside = int(rng.integers(9, 14)) if rng.random() < 0.5 else width - int(rng.integers(34, 40))
    count = int(height / minor) + 1
    for number in range(-10, count):
        row = int(first + number * minor)
        if not 0 <= row < height:
            continue
        length = 7 if number % 10 == 0 else 3
        ink[row, :length] = 0.85
        ink[row, width - length :] = 0.85
        if number % 10 == 0:
            _write(ink, str(depth + number), row - 3, beside)
    return blur(ink, 0.5)


def _write(ink: Reals, text: str, top: int, left: int) -> None:
    for place, glyph in enumerate(text):
        for down, bits in enumerate(GLYPHS[glyph]):
            for across in range(5):
                row, column = top + down, left + 6 * place + across
                if bits >> (4 - across) & 1 and 0 <= row < ink.shape[0] and 0 <= column < ink.shape[1]:
                    ink[row, column] = 0.9


def _ink(image: Reals, cover: Reals, color: tuple[int, int, int]) -> Reals:
    return image + cover[..., None] * (np.array(color, dtype=np.float64) - image)


def _ink_strength(rng: np.random.Generator, height: int, width: int, wear: float) -> Reals:
    """Return how dark the ink of one curve is at each place: the pen runs dry and the paper takes ink unevenly."""
    along = 0.5 + 0.5 * wander(rng, np.arange(height, dtype=np.float64), 37)
    spots = 0.5 + 0.5 * clouds(rng, height, width, 2.5, 2.5)
    fading = 0.28 * along[:, None] + 0.22 * spots
    return np.clip(0.97 - wear * fading, 0.25, 1.0)


def _damage(rng: np.random.Generator, image: Reals, wear: float) -> Reals:
    """Return the sheet with folds, a stain and specks."""
    height, width, _ = image.shape
    rows = np.arange(height) + 0.5
    shade = np.zeros((height, width))
    for kept, place in rng.random((3, 2)):  # folds across the strip: a pale ridge beside a dark valley
        wave = place * height + 1.5 * wander(rng, np.arange(width, dtype=np.float64), 60)
        distance = rows[:, None] - wave[None, :]
        ridge = np.clip(1 - np.abs(distance) / 1.6, 0, 1) - 1.3 * np.clip(1 - np.abs(distance - 1.8) / 1.6, 0, 1)
        if kept < 0.45 * wear:
            shade += 13 * wear * ridge
    stain = np.clip(clouds(rng, height, width, 70, 60) - 0.35, 0, 1)
    shade -= 40 * wear * stain * stain
    specks = rng.random((height, width))
    dark = np.clip(blur((specks < 0.00035 * wear).astype(np.float64), 1.0) * 2.5, 0, 1)
    light = np.clip(blur((specks > 1 - 0.0005 * wear).astype(np.float64), 0.6) * 2.0, 0, 1)
    image = image + shade[..., None] * np.array([0.75, 0.95, 1.3])
    image = image * (1 - 0.7 * dark[..., None])
    return image + light[..., None] * (244.0 - image) * 0.8


def _scan(rng: np.random.Generator, image: Reals, wear: float) -> NDArray[np.uint8]:
    """Return what the scanner's sensor makes of the sheet: softness, uneven light, streaks and noise."""
    height, width, _ = image.shape
    image = blur(image, wear * between(rng, 0.35, 1.0))
    light = 1.0 + wear * (
        0.05 * clouds(rng, height, width, 180, 150)
        + between(rng, -0.06, 0.03) * (np.arange(width) / width)[None, :]
        + between(rng, -0.05, 0.05) * (np.arange(height) / height)[:, None]
    )
    streaks = wear * 1.6 * np.clip(grain(rng, (1, width)) - 1.2, -0.4, 1.5)  # a sensor column that reads too bright
    image = image * light[..., None] + streaks[..., None]
    noise = 2.6 * grain(rng, (height, width))[..., None] + 1.3 * grain(rng, (height, width, 3))
    return np.clip(image + wear * noise + 0.5, 0.0, 255.0).astype(np.uint8)
