"""Every file format a mask or an image may come in, and every one that is refused."""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sweeper.data import decoding
from sweeper.data.folder import FolderSource
from sweeper.data.pictures import Unusable

from .shelves import square

WANTED = square()
RGB = [
    {"index": 0, "name": "ground", "color": "#102030"},
    {"index": 1, "name": "crack", "color": "#E2A929"},
]
COLORS = np.array([[0x10, 0x20, 0x30], [0xE2, 0xA9, 0x29]], dtype=np.uint8)


def palette_picture() -> Image.Image:
    picture = Image.frombytes("P", (64, 48), WANTED.tobytes())
    picture.putpalette(COLORS.ravel().tolist())
    return picture


def packed_png(bits: int) -> bytes:
    """Return WANTED as a grey PNG of 2 or 4 bits per pixel, which Pillow reads but does not write."""
    per_byte = 8 // bits
    rows = WANTED.reshape(48, -1, per_byte).astype(np.uint8)
    shifts = np.arange(per_byte)[::-1] * bits
    data = (rows << shifts).sum(axis=2).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in data)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 64, 48, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


INDEX_MASKS = {
    "8-bit grey": ("png", lambda path: Image.fromarray(WANTED).save(path)),
    "1-bit": ("png", lambda path: Image.fromarray(WANTED * 255).convert("1").save(path)),
    "2-bit grey": ("png", lambda path: path.write_bytes(packed_png(2))),
    "4-bit grey": ("png", lambda path: path.write_bytes(packed_png(4))),
    "palette": ("png", lambda path: palette_picture().save(path)),
    "4-bit palette": ("png", lambda path: palette_picture().save(path, bits=4)),
    "16-bit PNG": ("png", lambda path: Image.fromarray(WANTED.astype(np.uint16)).save(path)),
    "16-bit TIFF": ("tif", lambda path: Image.fromarray(WANTED.astype(np.uint16)).save(path)),
    "32-bit TIFF": ("tiff", lambda path: Image.fromarray(WANTED.astype(np.int32)).save(path)),
    "opaque alpha": ("png", lambda path: Image.fromarray(np.dstack([WANTED, np.full_like(WANTED, 255)])).save(path)),
    "BMP": ("bmp", lambda path: Image.fromarray(WANTED).save(path)),
}

RGB_MASKS = {
    "RGB": ("png", lambda path: Image.fromarray(COLORS[WANTED]).save(path)),
    "palette": ("png", lambda path: palette_picture().save(path)),
    "opaque alpha": ("png", lambda path: Image.fromarray(COLORS[WANTED]).convert("RGBA").save(path)),
    "TIFF": ("tif", lambda path: Image.fromarray(COLORS[WANTED]).save(path)),
    "BMP": ("bmp", lambda path: Image.fromarray(COLORS[WANTED]).save(path)),
}


def swap_mask(shelf, kind):
    ending, write = kind
    shelf.mask("a.png").unlink()
    write(shelf.mask(f"a.{ending}"))


@pytest.mark.parametrize("kind", INDEX_MASKS.values(), ids=INDEX_MASKS)
def test_index_masks(shelf, kind):
    swap_mask(shelf, kind)
    assert np.array_equal(FolderSource.of(shelf.settings()).read("a").mask, WANTED)


@pytest.mark.parametrize("kind", RGB_MASKS.values(), ids=RGB_MASKS)
def test_rgb_masks(make_shelf, kind):
    shelf = make_shelf(classes=RGB)
    swap_mask(shelf, kind)
    assert np.array_equal(FolderSource.of(shelf.settings(mask_format="rgb")).read("a").mask, WANTED)


def test_grey_masks_are_colors_too(make_shelf):
    shelf = make_shelf(classes=[RGB[0] | {"color": "#000000"}, RGB[1] | {"color": "#010101"}])
    assert np.array_equal(FolderSource.of(shelf.settings(mask_format="rgb")).read("a").mask, WANTED)


def transparent(path):
    alpha = np.full_like(WANTED, 255)
    alpha[0, :7] = 0
    Image.fromarray(np.dstack([COLORS[WANTED], alpha])).save(path)


def two_pages(path):
    Image.fromarray(WANTED).save(path, save_all=True, append_images=[Image.fromarray(WANTED)])


REFUSED_MASKS = {
    "RGB as index": ("png", RGB_MASKS["RGB"][1], "index", "is a color picture .* mask_format is index"),
    "float": ("tif", lambda path: Image.fromarray(WANTED.astype(np.float32)).save(path), "index", "mode F"),
    "transparent": ("png", transparent, "rgb", "has 7 transparent pixels"),
    "16-bit as colors": ("png", INDEX_MASKS["16-bit PNG"][1], "rgb", "no plain colors"),
    "two pages": ("tif", two_pages, "index", "has 2 pages"),
    "empty file": ("png", lambda path: path.write_bytes(b""), "index", "empty or no picture"),
    "text": ("png", lambda path: path.write_text("hello"), "index", "empty or no picture"),
}


@pytest.mark.parametrize(("ending", "write", "form", "message"), REFUSED_MASKS.values(), ids=REFUSED_MASKS)
def test_refused_masks(make_shelf, ending, write, form, message):
    shelf = make_shelf(classes=RGB)
    swap_mask(shelf, (ending, write))
    with pytest.raises(Unusable) as refused:
        FolderSource.of(shelf.settings(mask_format=form)).read("a")
    (fault,) = refused.value.faults
    assert fault.file == f"masks/a.{ending}"
    assert re.search(message, str(fault))


PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)

IMAGES = {
    "PNG": ("png", lambda path: Image.fromarray(PIXELS).save(path), 0),
    "TIFF": ("tiff", lambda path: Image.fromarray(PIXELS).save(path), 0),
    "BMP": ("bmp", lambda path: Image.fromarray(PIXELS).save(path), 0),
    "upper case": ("PNG", lambda path: Image.fromarray(PIXELS).save(path), 0),
    "JPEG": ("jpg", lambda path: Image.fromarray(PIXELS // 4 + 96).save(path, quality=100, subsampling=0), 8),
    "opaque alpha": ("png", lambda path: Image.fromarray(PIXELS).convert("RGBA").save(path), 0),
}


@pytest.mark.parametrize(("ending", "write", "off"), IMAGES.values(), ids=IMAGES)
def test_images(shelf, ending, write, off):
    shelf.image("a.png").unlink()
    write(shelf.image(f"a.{ending}"))
    image = FolderSource.of(shelf.settings()).read("a").image
    wanted = PIXELS // 4 + 96 if off else PIXELS
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - wanted).max() <= off


def test_grey_and_palette_images_become_rgb_and_one_channel_becomes_grey(shelf):
    Image.fromarray(PIXELS[..., 0]).save(shelf.image("a.png"))
    assert np.array_equal(FolderSource.of(shelf.settings()).read("a").image, np.repeat(PIXELS[..., :1], 3, axis=2))
    assert np.array_equal(FolderSource.of(shelf.settings(channels=1)).read("a").image, PIXELS[..., :1])
    assert FolderSource.of(shelf.settings(channels=1)).read("b").image.shape == (48, 64, 1)
    palette_picture().save(shelf.image("a.png"))
    assert np.array_equal(FolderSource.of(shelf.settings()).read("a").image, COLORS[WANTED])


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(path, exif=exif)


def truncated(path):
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes()[:2000])


REFUSED_IMAGES = {
    "turned JPEG": ("jpg", turned, "EXIF orientation 6"),
    "truncated PNG": ("png", truncated, "cannot be read"),
    "truncated JPEG": ("jpg", truncated, "cannot be read"),
    "16-bit": ("png", lambda path: Image.fromarray(PIXELS[..., 0].astype(np.uint16)).save(path), "more than 8 bits"),
    "transparent": ("png", transparent, "7 transparent pixels"),
}


@pytest.mark.parametrize(("ending", "write", "message"), REFUSED_IMAGES.values(), ids=REFUSED_IMAGES)
def test_refused_images(shelf, ending, write, message):
    shelf.image("a.png").unlink()
    write(shelf.image(f"a.{ending}"))
    with pytest.raises(Unusable) as refused:
        FolderSource.of(shelf.settings()).read("a")
    (fault,) = refused.value.faults
    assert fault.file == f"images/a.{ending}"
    assert message in str(fault)


TWO_PAGES = {"save_all": True, "append_images": [Image.fromarray(PIXELS[:8, :8])]}


@pytest.mark.parametrize(
    ("ending", "options"),
    [("tif", {}), ("tif", {"compression": "tiff_lzw"}), ("tif", TWO_PAGES), ("png", {}), ("bmp", {}), ("jpg", {})],
    ids=["TIFF", "LZW TIFF", "TIFF of two pages", "PNG", "BMP", "JPEG"],
)
def test_a_damaged_file_is_named_whichever_byte_is_wrong(shelf, ending, options):
    """Pillow ends in nearly any exception, some only once the pages are counted; none may get out."""
    shelf.image("a.png").unlink()
    path = shelf.image(f"a.{ending}")
    Image.fromarray(PIXELS[:16, :16]).save(path, **options)
    Image.fromarray(WANTED[:16, :16]).save(shelf.mask("a.png"))
    source, whole = FolderSource.of(shelf.settings()), path.read_bytes()
    rng = np.random.default_rng(0)
    named = []
    # Bytes of the headers, which a TIFF has at its end.
    places = [*range(min(120, len(whole))), *range(max(120, len(whole) - 200), len(whole))]
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            source.read("a")
        except Unusable as error:
            named += [fault.file for fault in error.faults]
    assert len(named) > 5
    assert set(named) <= {f"images/a.{ending}", "masks/a.png"}


def test_a_tiff_whose_chain_of_pages_is_broken(shelf):
    """What follows the picture claims to be a page and is none: found out only by counting the pages."""
    shelf.image("a.png").unlink()
    path = shelf.image("a.tif")
    Image.fromarray(PIXELS).save(path)
    whole = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", whole, 4)
    (entries,) = struct.unpack_from("<H", whole, start)
    struct.pack_into("<I", whole, start + 2 + 12 * entries, len(whole))
    # A page of a single entry, StripOffsets (273): it has no width and no height.
    path.write_bytes(bytes(whole) + struct.pack("<HHHI", 1, 273, 4, 1))
    with pytest.raises(Unusable) as refused:
        FolderSource.of(shelf.settings()).read("a")
    (fault,) = refused.value.faults
    assert fault.file == "images/a.tif"


def test_decompression_bombs(shelf, monkeypatch):
    """A header that claims 60000 x 60000 pixels is refused before unpacking; so is what Pillow only warns of."""
    data = bytearray(packed_png(4))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    shelf.image("a.png").write_bytes(bytes(data))
    with pytest.raises(Unusable, match="million pixels"):
        FolderSource.of(shelf.settings()).read("a")
    monkeypatch.setattr(decoding, "MOST_PIXELS", 48 * 64 - 1)
    with pytest.raises(Unusable, match="million pixels"):
        FolderSource.of(shelf.settings()).read("b")


def test_both_files_of_a_pair_are_named(shelf):
    shelf.image("a.png").write_bytes(b"")
    shelf.mask("a.png").write_bytes(b"")
    with pytest.raises(Unusable) as refused:
        FolderSource.of(shelf.settings()).read("a")
    assert [fault.file for fault in refused.value.faults] == ["images/a.png", "masks/a.png"]
