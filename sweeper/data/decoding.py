"""Picture files into arrays. Whatever could be read in more than one way is refused rather than guessed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sweeper.data.pictures import Fault, Unusable, in_one_line

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")

IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
"""By content: Pillow goes by it and not by the name, and would run Ghostscript for an EPS file that is called .png."""
MASK_FORMATS = ("PNG", "TIFF", "BMP")
"""Without JPEG, which blurs classes."""

MOST_PIXELS = 178_956_970
"""Pillow's own limit for a picture that is no decompression bomb: 13,377 pixels square, 512 MiB as RGB."""

_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_GREY_TYPE = 0


@contextmanager
def opened(path: Path, label: str, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Yield a picture of one of these formats with its pixels read.

    Raises: Unusable when the file is damaged, too large, has several pages, or an orientation that viewers apply and
    programs do not.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and odd metadata; what matters of it is refused here.
            warnings.simplefilter("ignore")
            picture = Image.open(path, formats=formats)
    except Image.DecompressionBombError:
        raise _too_large(label) from None
    except FileNotFoundError:
        raise Unusable(Fault(label, "is no longer there", "leave the files alone while they are read")) from None
    except UnidentifiedImageError:
        wrong = f"cannot be read: it is empty or no picture of a known format ({', '.join(formats)})"
        raise Unusable(Fault(label, wrong, "replace the file by an intact one", damaged=True)) from None
    except Exception as error:  # damaged files make Pillow raise almost anything
        raise _damaged(label, error) from None
    with picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise _too_large(label)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frames = getattr(picture, "n_frames", 1)  # of a TIFF, this reads the headers of all its pages
                orientation = picture.getexif().get(_ORIENTATION, 1)
                picture.load()
        except Exception as error:
            raise _damaged(label, error) from None
        if frames > 1:
            raise Unusable(Fault(label, f"has {frames} pages or frames", "save each as a file of its own"))
        if orientation not in (0, 1):
            raise Unusable(
                Fault(
                    label,
                    f"is marked as turned (EXIF orientation {orientation}), so programs disagree which way up it is",
                    "save image and mask upright and without the mark, e.g. with PIL.ImageOps.exif_transpose",
                )
            )
        try:
            yield picture
        except Unusable:
            raise
        except Exception as error:  # turning pixels into an array, by a palette say, is a part of decoding too
            raise _damaged(label, error) from None


def read_image(path: Path, label: str, channels: int) -> NDArray[np.uint8]:
    """Return an image as (H, W, channels). Raises: Unusable."""
    with opened(path, label, IMAGE_FORMATS) as picture:
        if picture.mode in ("CMYK", "LAB"):
            fix = "save it as RGB; which profile its colors are in is yours to know"
            raise Unusable(Fault(label, f"has no plain colors (mode {picture.mode})", fix))
        if picture.mode.startswith("I") or picture.mode == "F":
            raise Unusable(
                Fault(
                    label,
                    f"has more than 8 bits per pixel (mode {picture.mode})",
                    "save it with 8 bits; how to scale the values is yours to decide",
                )
            )
        _refuse_deep(picture, path, label)
        refuse_transparency(picture, label)
        array = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
        return array.reshape(*array.shape[:2], channels)


def read_indices(path: Path, label: str) -> NDArray[Any]:
    """Return the numbers of a single-channel mask as stored, (H, W): grey levels, palette indices. Raises: Unusable."""
    with opened(path, label, MASK_FORMATS) as picture:
        if picture.mode in ("1", "L"):
            return np.asarray(picture).astype(np.uint8) // _grey_scale(path)
        if picture.mode == "P" or picture.mode.startswith("I"):
            return np.asarray(picture)
        if picture.mode == "LA":
            _refuse_deep(picture, path, label)
            refuse_transparency(picture, label)
            return np.asarray(picture)[..., 0]
        raise Unusable(
            Fault(
                label,
                f"is a color picture (mode {picture.mode}), but mask_format is index, where the value of a single "
                f"channel is the class",
                "set `mask_format: rgb` and give each class its color, or save the mask as 8-bit grey",
            )
        )


def read_colors(path: Path, label: str) -> NDArray[np.uint32]:
    """Return the colors of a mask as (H, W) of 0xrrggbb, palette and grey turned to RGB. Raises: Unusable."""
    with opened(path, label, MASK_FORMATS) as picture:
        if picture.mode.startswith("I") or picture.mode in ("F", "CMYK", "YCbCr", "LAB", "HSV"):
            raise Unusable(
                Fault(label, f"has no plain colors (mode {picture.mode})", "save the mask as 8-bit RGB or palette PNG")
            )
        _refuse_deep(picture, path, label)
        refuse_transparency(picture, label)
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(np.uint32), 2, 0)
        packed: NDArray[np.uint32] = (red << 16) | (green << 8) | blue
        return packed


def refuse_transparency(picture: Image.Image, label: str) -> None:
    """Raise Unusable when a pixel is not fully opaque: what it shows depends on what lies behind it."""
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        clear = int((alpha < 255).sum())
        if clear:
            raise Unusable(Fault(label, f"has {clear:,} transparent pixels", "save it without transparency"))


def _grey_scale(path: Path) -> int:
    """Return by what Pillow multiplied grey levels: of PNGs of 2 and 4 bits it makes 8, and of 1 so 85 or 17."""
    with path.open("rb") as file:
        head = file.read(26)
    if not head.startswith(b"\x89PNG") or head[25] != _GREY_TYPE:
        return 1
    return {2: 85, 4: 17}.get(head[24], 1)


def _too_large(label: str) -> Unusable:
    return Unusable(
        Fault(label, f"has more than {MOST_PIXELS / 1e6:.0f} million pixels", "cut it and its mask into smaller ones")
    )


def _damaged(label: str, error: Exception) -> Unusable:
    if isinstance(error, OSError) and error.errno is not None:  # said by the system, not by Pillow
        return Unusable(Fault(label, f"cannot be opened: {error.strerror}", "mend its permissions, or the disk"))
    if isinstance(error, MemoryError):
        return Unusable(Fault(label, "does not fit into memory", "cut it and its mask into smaller ones"))
    wrong = f"cannot be read: {in_one_line(error)}"
    return Unusable(Fault(label, wrong, "replace the file by an intact one", damaged=True))


def _refuse_deep(picture: Image.Image, path: Path, label: str) -> None:
    """Raise Unusable for colors of more than 8 bits, of which Pillow drops the lower ones without a word."""
    bits: Any = 8
    if picture.format == "PNG":
        with path.open("rb") as file:
            bits = file.read(26)[24]
    elif picture.format == "TIFF":
        stored = getattr(picture, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
        bits = max(stored) if isinstance(stored, tuple) else stored
    if bits > 8:
        fix = "save it with 8 bits; how to scale the values is yours to decide"
        raise Unusable(Fault(label, f"has {bits} bits per pixel and channel, more than 8 bits", fix))
