"""Damaged pictures: all named in one pass, or left out where the study says so, and then said wherever results are."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.data import decoding
from sweeper.data.describe import as_text
from sweeper.data.folder import FolderSource
from sweeper.data.inspect import inspect
from sweeper.data.pictures import Unusable
from sweeper.data.prepare import prepare
from sweeper.errors import DataError
from sweeper.orchestration.meta import _data as data_meta
from sweeper.results.meta import plain

from .shelves import square

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
SPLITS = {"train": ["a", "b", "e"], "val": ["c", "f"], "test": ["d"]}


@pytest.fixture
def shelf(make_shelf):
    return make_shelf(stems="abcdef", splits=SPLITS)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def refused(shelf, cache, **changes) -> str:
    with pytest.raises(DataError) as error:
        prepare(shelf.settings(**changes), cache)
    return str(error.value)


def test_everything_wrong_is_named_in_one_pass(shelf, tmp_path):
    cut_short(shelf.image("a.png"))
    shelf.image("b.png").write_text("no picture")
    shelf.mask("b.png").write_bytes(b"")
    Image.fromarray(square(0, 7)[:40]).save(shelf.mask("c.png"))  # another size and an undeclared value
    Image.fromarray(PIXELS).convert("CMYK").save(shelf.image("d.png").with_suffix(".jpg"))
    shelf.image("d.png").unlink()
    shelf.image("e.png").unlink()
    shelf.image("e.png").mkdir()
    shelf.mask("f.png").unlink()
    shelf.mask("f.png").symlink_to(shelf.mask("f.png"))
    message = refused(shelf, tmp_path / "cache")
    for told in (
        "images/a.png: cannot be read",
        "images/b.png: cannot be read: it is empty or no picture",
        "masks/b.png: cannot be read: it is empty or no picture",
        "masks/c.png: is 64 x 40 pixels, but its image c.png is 64 x 48",
        "masks/c.png: undeclared 7 (100 pixels)",
        "images/d.jpg: has no plain colors (mode CMYK)",
        "images/e.png: is a folder",
        "masks/f.png: leads nowhere",
        "masks/e.png: has no image",
        "images/f.png: has no mask",
    ):
        assert told in message
    assert not (tmp_path / "cache").exists()


def test_damaged_pictures_are_skipped_and_said(shelf, tmp_path, caplog):
    cut_short(shelf.image("a.png"))
    shelf.mask("c.png").write_bytes(b"")
    settings = shelf.settings(corrupt="skip")
    prepared = prepare(settings, tmp_path / "cache")
    assert prepared.splits["train"].stems == ("b", "e")
    assert prepared.splits["val"].stems == ("f",)
    assert [(one.split, one.stem) for one in prepared.skipped] == [("train", "a"), ("val", "c")]
    assert prepared.skipped[1].reason.startswith("masks/c.png cannot be read: it is empty")
    assert "damaged pictures that are left out (data.corrupt: skip): 2 (train/a: images/a.png" in caplog.text
    # Each patch still belongs to the picture it was cut from.
    intact = FolderSource.of(settings).read("f").image
    assert np.array_equal(prepared.splits["val"].images[0], intact[:32, :32])
    # Found again, not read again: the list is a part of what was prepared.
    assert prepare(settings, tmp_path / "cache").skipped == prepared.skipped
    text = as_text(inspect(settings, tmp_path / "cache"))
    assert "damaged pictures that are left out: 2\n  train/a: images/a.png cannot be read" in text
    meta = plain(data_meta(prepared))
    assert [(one["split"], one["picture"]) for one in meta["skipped"]] == [("train", "a"), ("val", "c")]


def test_the_fingerprint_tells_what_was_skipped(make_shelf, tmp_path):
    whole = make_shelf("whole", stems="abcdef", splits=SPLITS)
    before = prepare(whole.settings(), tmp_path / "cache").fingerprint
    assert prepare(whole.settings(corrupt="skip"), tmp_path / "cache").fingerprint == before
    cut_short(whole.image("a.png"))
    skipped = prepare(whole.settings(corrupt="skip"), tmp_path / "cache")
    fewer = make_shelf("fewer", stems="abcdef", splits=SPLITS | {"train": ["b", "e"]})
    assert len({before, skipped.fingerprint, prepare(fewer.settings(), tmp_path / "cache").fingerprint}) == 3
    assert "skipped" not in data_meta(prepare(fewer.settings(), tmp_path / "cache"))


def test_what_can_be_read_and_is_wrong_is_never_skipped(shelf, tmp_path):
    cut_short(shelf.image("a.png"))
    Image.fromarray(square(0, 7)).save(shelf.mask("b.png"))
    cut_short(shelf.image("c.png"))
    Image.fromarray(square()[:40]).save(shelf.mask("e.png"))
    message = refused(shelf, tmp_path / "cache", corrupt="skip")
    assert "masks/b.png: undeclared 7" in message
    assert "masks/e.png: is 64 x 40 pixels" in message
    assert "images/a.png" not in message


def test_a_damaged_image_does_not_hide_a_wrong_mask(shelf, tmp_path):
    cut_short(shelf.image("a.png"))
    Image.fromarray(square(0, 7)).save(shelf.mask("a.png"))
    message = refused(shelf, tmp_path / "cache", corrupt="skip")
    assert "images/a.png: cannot be read" in message
    assert "masks/a.png: undeclared 7" in message


def test_a_split_of_damaged_pictures_alone_is_refused(shelf, tmp_path):
    cut_short(shelf.image("d.png"))
    message = refused(shelf, tmp_path / "cache", corrupt="skip")
    assert message.startswith("test: every one of its pictures is damaged")
    assert "images/d.png cannot be read" in message


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_what_the_machine_cannot_read_is_no_damage(shelf, tmp_path, monkeypatch, error):
    """Skipping it would make other data of the same folder, machine by machine."""
    opened = Image.open

    def refuse(path, **options):
        if Path(path).name == "b.png":
            raise error
        return opened(path, **options)

    monkeypatch.setattr(decoding.Image, "open", refuse)
    message = refused(shelf, tmp_path / "cache", corrupt="skip")
    assert f"images/b.png: cannot be opened: {error.strerror}; mend its permissions" in message


def test_names_that_cannot_be_shown_are_refused_and_escaped(shelf, tmp_path):
    names = ["new\nline", "bell\x07", os.fsdecode(b"caf\xe9"), "paragraph\u2029"]
    for name in names:
        Image.fromarray(PIXELS).save(shelf.image(f"{name}.png"))
        Image.fromarray(square()).save(shelf.mask(f"{name}.png"))
    message = refused(shelf, tmp_path / "cache")
    for shown in (r"new\nline", r"bell\x07", r"caf\udce9", r"paragraph\u2029"):
        assert f"images/{shown}.png: has a name with line breaks" in message
    message.encode()


@pytest.mark.parametrize("name", ["😀", "日本 語", "a..b", "👨‍👩‍👧", "..", "é"])
def test_names_that_people_give_are_taken(make_shelf, name):
    shelf = make_shelf(splits=None)
    Image.fromarray(PIXELS).save(shelf.image(f"x{name}.png"))
    Image.fromarray(square()).save(shelf.mask(f"x{name}.png"))
    source = FolderSource.of(shelf.settings(splits={"train": ["a", f"x{name}"], "val": ["b"], "test": ["c"]}))
    assert source.faults == ()
    assert np.array_equal(source.read(f"x{name}").image, PIXELS)


def deep_png(path: Path) -> None:
    Image.fromarray(PIXELS).save(path)  # then its header says 16 bits: the rows are of 8, which a reader never reaches
    data = bytearray(path.read_bytes())
    data[24] = 16
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    rows = zlib.compress(b"".join(b"\0" + PIXELS[row].astype(">u2").tobytes() for row in range(48)))
    body = b"IDAT" + rows
    body = struct.pack(">I", len(rows)) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(bytes(data[:33]) + body + b"\0\0\0\0IEND\xaeB`\x82")


def eps(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, format="EPS")


def animated(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, save_all=True, append_images=[Image.fromarray(255 - PIXELS)])


def see_through_palette(path: Path) -> None:
    Image.fromarray(PIXELS).quantize(16).save(path, transparency=3)


REFUSED = {
    "16-bit RGB": ("png", deep_png, "more than 8 bits"),
    "EPS named PNG": ("png", eps, "no picture of a known format"),
    "WebP named PNG": ("png", lambda path: Image.fromarray(PIXELS).save(path, format="WEBP"), "no picture of a known"),
    "animated PNG": ("png", animated, "has 2 pages or frames"),
    "palette with a transparent color": ("png", see_through_palette, "transparent pixels"),
    "CMYK": ("tif", lambda path: Image.fromarray(PIXELS).convert("CMYK").save(path), "no plain colors"),
    "float": ("tif", lambda path: Image.fromarray(PIXELS[..., 0].astype(np.float32)).save(path), "more than 8 bits"),
    "LA": ("png", lambda path: Image.fromarray(PIXELS[..., :2]).save(path), "transparent pixels"),
    "pipe": ("png", lambda path: os.mkfifo(path), "is no regular file"),
}


@pytest.mark.parametrize(("ending", "write", "says"), REFUSED.values(), ids=REFUSED)
def test_kinds_of_images_that_are_refused(shelf, tmp_path, ending, write, says):
    shelf.image("a.png").unlink()
    write(shelf.image(f"a.{ending}"))
    assert any(f"images/a.{ending}: " in line and says in line for line in refused(shelf, tmp_path).splitlines())


def test_16_bit_colors_are_read_by_pillow_without_a_word(tmp_path):
    """What makes the check needed: were it to fail on such files one day, the check could go."""
    deep_png(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "RGB"
        assert not np.asarray(picture).any()


def test_pictures_of_one_bit_are_read(shelf):
    bits = square() * 255
    Image.fromarray(bits).convert("1").save(shelf.image("a.png"))
    assert np.array_equal(FolderSource.of(shelf.settings()).read("a").image[..., 0], bits)


def test_interlaced_masks_are_read(shelf):
    """Adam7, which Pillow reads but does not write."""
    Image.fromarray(square()).save(shelf.mask("a.png"))
    data = bytearray(shelf.mask("a.png").read_bytes()[:33])
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in square()[y::dy, x::dx])
    packed = zlib.compress(rows)
    body = b"IDAT" + packed
    body = struct.pack(">I", len(packed)) + body + struct.pack(">I", zlib.crc32(body))
    shelf.mask("a.png").write_bytes(bytes(data) + body + b"\0\0\0\0IEND\xaeB`\x82")
    assert np.array_equal(FolderSource.of(shelf.settings()).read("a").mask, square())


def test_a_jpeg_is_no_mask_whatever_its_name(shelf):
    Image.fromarray(square()).save(shelf.mask("a.png"), format="JPEG")
    with pytest.raises(Unusable, match=r"masks/a.png.*no picture of a known format \(PNG, TIFF, BMP\)"):
        FolderSource.of(shelf.settings()).read("a")
