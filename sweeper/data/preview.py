"""A contact sheet of prepared data: pictures beside the same pictures under their masks, with the classes named."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sweeper.data.patches import SPLITS, Prepared, Split
from sweeper.data.settings import IGNORE

CELL = 300
"""Longest side of one picture on the sheet, in pixels."""
PER_SPLIT = 3
GAP = 14
MARGIN = 28
PAPER, TEXT, FAINT = "#ffffff", "#1d2129", "#6b7280"
STRONG = ((224, 36, 48), (0, 150, 214), (240, 158, 5), (34, 160, 90), (140, 80, 200))
GREY = (201, 201, 201)
HATCH = np.array([120, 120, 120], dtype=np.float64)


def preview(prepared: Prepared, path: Path) -> None:
    """Write a PNG with a few pictures of each split, each beside its mask, and every class with its share of pixels."""
    columns = [_cells_of(prepared, prepared.splits[name]) for name in SPLITS]
    cells = [cell for column in columns for cell in column]
    cell_height, cell_width = max(cell.picture.height for cell in cells), max(cell.picture.width for cell in cells)
    legend = _legend_lines(prepared, hatched=any(cell.hatched for cell in cells))
    rows = max(len(column) for column in columns)
    pair = 2 * cell_width + 4
    width = max(2 * MARGIN + len(columns) * pair + (len(columns) - 1) * 2 * GAP, 900)
    head = MARGIN + 40 + 30 * _legend_rows(legend, width - 2 * MARGIN) + 44
    sheet = Image.new("RGB", (width, head + rows * (cell_height + 26 + GAP) + MARGIN - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    _head(draw, prepared, legend, width)
    for place, column in enumerate(columns):
        left = MARGIN + place * (pair + 2 * GAP)
        split = prepared.splits[SPLITS[place]]
        noun = "picture" if len(split.stems) == 1 else "pictures"
        draw.text((left, head - 34), split.name, fill=TEXT, font=_font(17))
        draw.text(
            (left + 56, head - 32), f"{len(split.stems)} {noun}, {len(split):,} patches", fill=FAINT, font=_font(14)
        )
        for row, cell in enumerate(column):
            top = head + row * (cell_height + 26 + GAP)
            sheet.paste(cell.picture, (left, top))
            sheet.paste(cell.overlay, (left + cell.picture.width + 4, top))
            draw.text((left, top + cell.picture.height + 4), cell.stem, fill=FAINT, font=_font(13))
    sheet.save(path, format="PNG")


def assemble(prepared: Prepared, split: Split, picture: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one picture (H, W, K) and its mask (H, W), put together again from its patches.

    H and W are multiples of the patch; patches that are not there (no valid pixel, or over the `limit`) are white and
    IGNORE.
    """
    mine = np.flatnonzero(split.picture == picture)
    side = prepared.patch
    height, width = (int(edge[mine].max()) + side for edge in (split.row, split.col))
    image = np.full((height, width, prepared.channels), 255, dtype=np.uint8)
    mask = np.full((height, width), IGNORE, dtype=np.uint8)
    for n in mine.tolist():
        place = np.s_[split.row[n] : split.row[n] + side, split.col[n] : split.col[n] + side]
        image[place], mask[place] = split.images[n], split.masks[n]
    return image, mask


@dataclass(frozen=True, eq=False)
class _Cell:
    """One picture as the sheet shows it."""

    stem: str
    picture: Image.Image
    overlay: Image.Image
    """The same picture under its mask."""
    hatched: bool
    """Whether it has ignored pixels."""


def _cells_of(prepared: Prepared, split: Split) -> list[_Cell]:
    """Return a few pictures spread over the split."""
    present = np.unique(split.picture)
    chosen = present[np.unique(np.linspace(0, len(present) - 1, PER_SPLIT).round().astype(int))]
    return [_cell(prepared, split, number) for number in chosen.tolist()]


def _cell(prepared: Prepared, split: Split, number: int) -> _Cell:
    image, mask = assemble(prepared, split, number)
    # Padding lies below and to the right; where rows or columns hold nothing valid it is cut off again.
    rows, columns = np.flatnonzero((mask != IGNORE).any(axis=1)), np.flatnonzero((mask != IGNORE).any(axis=0))
    image, mask = image[: rows[-1] + 1, : columns[-1] + 1], mask[: rows[-1] + 1, : columns[-1] + 1]
    rgb = np.broadcast_to(image, (*image.shape[:2], 3)) if image.shape[2] == 1 else image
    return _Cell(
        stem=split.stems[number],
        picture=_fitted(Image.fromarray(np.ascontiguousarray(rgb))),
        overlay=_fitted(Image.fromarray(_overlay(prepared, rgb, mask))),
        hatched=bool((mask == IGNORE).any()),
    )


def _overlay(prepared: Prepared, rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture in pale grey with each class in its color; the background stays grey, ignored is hatched."""
    grey = rgb.astype(np.float64).mean(axis=2, keepdims=True)
    base = np.broadcast_to(110 + 0.55 * grey, rgb.shape).copy()
    for index, color in _palette(prepared).items():
        if index == prepared.background:
            continue
        where = mask == index
        # Thin structures get full color, or they would be lost; areas let the picture through.
        strength = 0.95 if where.mean() < 0.08 else 0.6
        base[where] = (1 - strength) * base[where] + strength * np.array(color)
    diagonal = (np.add.outer(np.arange(mask.shape[0]), np.arange(mask.shape[1])) // 4) % 2 == 0
    base[(mask == IGNORE) & diagonal] = HATCH
    shown: NDArray[np.uint8] = np.clip(base, 0, 255).astype(np.uint8)
    return shown


def _palette(prepared: Prepared) -> dict[int, tuple[int, int, int]]:
    """Return the color of each class on pale grey; white, black and grey would vanish there and get a strong one."""
    spare = itertools.cycle(STRONG)
    palette = {}
    for item in prepared.classes:
        red, green, blue = (int(item.color[at : at + 2], 16) for at in (1, 3, 5))
        if item.index == prepared.background:
            palette[item.index] = GREY
        elif max(red, green, blue) - min(red, green, blue) < 24:
            palette[item.index] = next(spare)
        else:
            palette[item.index] = (red, green, blue)
    return palette


def _fitted(picture: Image.Image) -> Image.Image:
    scale = CELL / max(picture.size)
    if scale >= 1:
        times = max(1, int(scale))
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _legend_lines(prepared: Prepared, *, hatched: bool) -> list[tuple[str, str]]:
    pixels = sum(split.counts.sum(axis=0) for split in prepared.splits.values())
    share = np.asarray(pixels) / np.sum(pixels)
    lines, palette = [], _palette(prepared)
    for item in prepared.classes:
        behind = item.index == prepared.background
        role = " (background)" if behind and item.name.casefold() != "background" else ""
        color = "#{:02x}{:02x}{:02x}".format(*palette[item.index])
        lines.append((f"{item.name}{role} {share[item.index]:.2%}", color))
    return [*lines, ("ignored", "hatch")] if hatched else lines


def _legend_places(lines: list[tuple[str, str]], width: int) -> list[tuple[int, int]]:
    """Return (x, row) of each legend entry, filled line by line."""
    places, x, row = [], 0, 0
    for text, _ in lines:
        needed = 24 + int(_font(15).getlength(text)) + 26
        if x and x + needed > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += needed
    return places


def _legend_rows(lines: list[tuple[str, str]], width: int) -> int:
    return _legend_places(lines, width)[-1][1] + 1


def _head(draw: ImageDraw.ImageDraw, prepared: Prepared, legend: list[tuple[str, str]], width: int) -> None:
    draw.text((MARGIN, MARGIN - 6), prepared.name, fill=TEXT, font=_font(24))
    aside = f"patches of {prepared.patch} x {prepared.patch} pixels, data {prepared.fingerprint}"
    after = MARGIN + _font(24).getlength(prepared.name) + 16
    draw.text((after, MARGIN + 4), aside, fill=FAINT, font=_font(14))
    for (text, color), (x, row) in zip(legend, _legend_places(legend, width - 2 * MARGIN), strict=True):
        left, top = MARGIN + x, MARGIN + 38 + 30 * row
        box = (left, top, left + 16, top + 16)
        draw.rectangle(box, fill="#dddddd" if color == "hatch" else color, outline="#9a9a9a")
        if color == "hatch":
            for offset in (4, 10, 16):
                draw.line((left + offset, top, left, top + offset), fill="#787878", width=2)
        draw.text((left + 24, top - 1), text, fill=TEXT, font=_font(15))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
