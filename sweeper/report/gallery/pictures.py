"""Arrays as pictures: class colors, error maps, PNG. Numpy and Pillow only."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

IGNORE = 255
"""Mask value of pixels that belong to no class, as everywhere in results."""

IGNORED_COLOR = (128, 128, 128)

FOUND, MISSED, ALARM, WRONG, QUIET, OUTSIDE = range(6)
"""What an error map says of a pixel, besides the other classes: see `judge`."""

ERROR_COLORS = {
    FOUND: "#f4f4f4",
    MISSED: "#ffb000",
    ALARM: "#3d9bff",
    WRONG: "#f05a9d",
    QUIET: "#17191d",
    OUTSIDE: "#505a66",
}
"""Light marks on a dark ground, where single pixels are seen best. Any two differ by 15 or more (CIEDE2000) for readers
with and without a deficiency of red, green or blue, as simulated after Machado et al. 2009."""

ERROR_WORDS = {
    FOUND: "found",
    MISSED: "missed: minority, predicted as none",
    ALARM: "false alarm: none, predicted as minority",
    WRONG: "minority, predicted as another minority class",
    QUIET: "neither",
    OUTSIDE: "ignored",
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Pixels of one patch, counted as they are, not under level weights."""

    found: int
    missed: int
    alarms: int
    wrong: int

    @property
    def minority(self) -> int:
        """Minority pixels of the truth."""
        return self.found + self.missed + self.wrong

    @property
    def words(self) -> str:
        """Say what went wrong, e.g. `34 pixels missed, 120 false alarms`."""
        parts = [f"{pixels(self.missed)} missed", f"{self.alarms:,} false {'alarm' if self.alarms == 1 else 'alarms'}"]
        if self.wrong:
            parts.append(f"{self.wrong:,} of the wrong minority class")
        return ", ".join(parts)


def judge(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], minority: Collection[int]) -> NDArray[np.uint8]:
    """Return what became of every pixel: FOUND, MISSED, ALARM, WRONG, QUIET or OUTSIDE, in the masks' shape.

    Only minority classes count: a pixel of another class is QUIET unless a minority class is predicted there.
    """
    rare = np.zeros(256, dtype=np.bool_)
    rare[list(minority)] = True
    real, claimed = rare[truth], rare[predicted]
    verdict = np.full(truth.shape, QUIET, dtype=np.uint8)
    verdict[real & (truth == predicted)] = FOUND
    verdict[real & ~claimed] = MISSED
    verdict[~real & claimed] = ALARM
    verdict[real & claimed & (truth != predicted)] = WRONG
    verdict[truth == IGNORE] = OUTSIDE
    return verdict


def tally(verdict: NDArray[np.uint8]) -> Tally:
    """Count what `judge` returned."""
    counts = np.bincount(verdict.ravel(), minlength=OUTSIDE + 1)
    return Tally(int(counts[FOUND]), int(counts[MISSED]), int(counts[ALARM]), int(counts[WRONG]))


def error_map(verdict: NDArray[np.uint8]) -> Image.Image:
    """Return what `judge` returned in ERROR_COLORS."""
    return _indexed(verdict, ERROR_COLORS)


def paint(mask: NDArray[np.uint8], colors: Mapping[int, str]) -> Image.Image:
    """Return a mask (H, W) of class indices in the colors of its classes, ignored pixels gray."""
    return _indexed(mask, {IGNORE: "#{:02x}{:02x}{:02x}".format(*IGNORED_COLOR), **colors})


def photograph(image: NDArray[np.uint8]) -> Image.Image:
    """Return an image (H, W, K) of one channel or three."""
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def to_png(picture: Image.Image, *, smallest: bool = False) -> bytes:
    """Return a picture as PNG; the smallest one takes several times as long to make."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=smallest)
    return buffer.getvalue()


def data_uri(picture: Image.Image) -> str:
    """Return a picture to be set into a page."""
    return f"data:image/png;base64,{base64.b64encode(to_png(picture, smallest=True)).decode('ascii')}"


def _indexed(values: NDArray[np.uint8], colors: Mapping[int, str]) -> Image.Image:
    """Return a palette picture; values without a color are black."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for value, color in colors.items():
        palette[value] = ImageColor.getrgb(color)[:3]
    picture = Image.fromarray(values)
    picture.putpalette(palette.ravel().tolist())
    return picture


def pixels(number: int) -> str:
    """Write a number of pixels, e.g. `1,024 pixels`."""
    return f"{number:,} {'pixel' if number == 1 else 'pixels'}"
