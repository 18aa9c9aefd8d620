"""The `data` section of a study: which pictures, cut how. Plain dataclasses: reading a study imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

IGNORE = 255
"""Mask value of pixels that belong to no class: never scored, never trained on."""


@dataclass(frozen=True, kw_only=True)
class RasterLog:
    """Synthetic scans of well logs: background and two thin curves, drawn from a seed."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    source: Literal["raster_log"] = "raster_log"
    patch: int = 64
    """Side of the square patches the scans are cut into, in pixels; a multiple of 32."""
    background: int | str | None = None
    """Class whose share of pixels is the imbalance level; by default the class named background."""
    minority: tuple[int | str, ...] | None = None
    """Classes the task is about; by default every class but the background."""
    scans: int = 60
    """How many scans in all; 60 % train, 20 % val, 20 % test."""
    height: int = 256
    """Depth rows of one scan, in pixels."""
    width: int = 192
    """Track width of one scan, in pixels."""
    wear: float = 1.0
    """Strength of paper texture, blur, gaps and scan noise; 0 is a clean print, 2 a bad photocopy."""
    seed: int = 0
    limit: int | None = None
    """At most this many patches per split, chosen by seed; null keeps all."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The user's own pictures: one folder of images, one of masks with equal stems."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    source: Literal["folder"]
    images: str
    """Folder of images (PNG, JPEG, TIFF, BMP)."""
    masks: str
    """Folder of masks (index PNG, palette PNG or colour-coded RGB), one for each image, same stem and size."""
    classes: str | tuple[dict[str, Any], ...]
    """Path of a JSON or YAML class file, or the classes inline: `[{index, name, color}, ...]`."""
    mask_format: Literal["index", "rgb"] | None = None
    """`index`: the pixel value is the class; `rgb`: the colour is. By default what the class file says."""
    ignore: tuple[int | str, ...] = ()
    """Further mask values or colours (`#rrggbb`) that belong to no class."""
    remap: dict[int | str, int | str] = field(default_factory=dict)
    """Undeclared mask values or colours, mapped to a class index, a class name, or `ignore`."""
    splits: str | dict[str, Any] | None = None
    """Path of a JSON or YAML file of stems per split, the lists inline, or `{val: 0.15, test: 0.2, seed: 0}`
    for a split by a seeded hash of the stem, which is also the default."""
    corrupt: Literal["refuse", "skip"] = "refuse"
    """What becomes of pictures whose image or mask is damaged, so that nothing can read it: `refuse` the data, naming
    all of them, or `skip` them, which the results say. Files that can be read and are wrong (a mask of another size, a
    value no class declares) are always refused: whatever made them so is likely to have touched the others too."""
    channels: Literal[1, 3] = 3
    """1 reads images as grey, 3 as RGB."""
    patch: int = 64
    """Side of the square patches, in pixels; a multiple of 32."""
    background: int | str | None = None
    """Class whose share of pixels is the imbalance level; by default the class named background, else the
    class with the most training pixels."""
    minority: tuple[int | str, ...] | None = None
    """Classes the task is about; by default every class but the background."""
    seed: int = 0
    limit: int | None = None
    """At most this many patches per split, chosen by seed; null keeps all."""


DataSettings = RasterLog | Folder
