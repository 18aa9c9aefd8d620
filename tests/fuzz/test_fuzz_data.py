"""Class files, images and masks: read, or DataError and Unusable that name the file."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from sweeper.data.classes import ClassTable, read_classes
from sweeper.data.decoding import read_image
from sweeper.data.masks import MaskReader
from sweeper.data.pictures import Unusable
from sweeper.data.settings import Folder
from sweeper.errors import DataError

from .amount import TRIED, inputs
from .mutations import applied, edits
from .telling import told

CLASSES: dict[str, Any] = {
    "mask_format": "index",
    "classes": [
        {"index": 0, "name": "background", "color": "#000000"},
        {"index": 1, "name": "crack", "color": "#ff0000"},
    ],
    "ignore": [{"index": 255, "name": "void"}],
}
TOKENS = [
    b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b"true", b"NaN", b"1e999", b"-1", b"9" * 5000, b"\\ud800", b"\0",
    b"[" * 2000, b"rgb", b"index", b"#ff0000", b"&a ", b"*a", b"!!set ", b"\t", b"\n", b"\xff", b"<<: ",
]  # fmt: skip

ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def settings_of(classes: object, **changes: object) -> Folder:
    return Folder(source="folder", images="images", masks="masks", classes=classes, **changes)  # type: ignore[arg-type]


def check_classes(classes: object, named: str) -> None:
    tables: list[ClassTable] = []
    message = told(DataError, lambda: tables.append(read_classes(settings_of(classes))))
    if message is None:
        assert all(isinstance(one.name, str) for one in tables[0].classes)
    else:
        assert named in message
        message.encode()


@inputs(150)
@given(st.sampled_from(["json", "yaml"]), st.one_of(edits(TOKENS), st.binary(max_size=60)))
def test_class_files(tmp_path_factory, ending, change):
    TRIED["class files, bytes"] += 1
    path = folder(tmp_path_factory) / f"classes.{ending}"
    path.write_bytes(change if isinstance(change, bytes) else applied(json.dumps(CLASSES).encode(), change))
    check_classes(str(path), path.name)


@inputs(150)
@given(st.sampled_from(["mask_format", "classes", "ignore", "name", "index", "color", "title"]), ANY, st.booleans())
def test_class_files_of_any_values(tmp_path_factory, key, value, inner):
    TRIED["class files, values"] += 1
    path = folder(tmp_path_factory) / "classes.json"
    document = json.loads(json.dumps(CLASSES))
    (document["classes"][1] if inner else document)[key] = value
    path.write_text(json.dumps(document))
    check_classes(str(path), path.name)


def encoded(ending: str, picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=ending, **options)
    return out.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
RGB, GREY = Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 0] % 2)
PICTURES = {
    "PNG": encoded("PNG", RGB),
    "grey PNG": encoded("PNG", GREY),
    "palette PNG": encoded("PNG", RGB.quantize(4), transparency=1),
    "1-bit PNG": encoded("PNG", GREY.convert("1")),
    "16-bit PNG": encoded("PNG", Image.fromarray(PIXELS[..., 0].astype(np.uint16))),
    "JPEG": encoded("JPEG", RGB),
    "CMYK JPEG": encoded("JPEG", RGB.convert("CMYK")),
    "TIFF": encoded("TIFF", RGB),
    "LZW TIFF": encoded("TIFF", GREY, compression="tiff_lzw"),
    "float TIFF": encoded("TIFF", Image.fromarray(PIXELS[..., 0].astype(np.float32))),
    "two-page TIFF": encoded("TIFF", RGB, save_all=True, append_images=[GREY]),
    "BMP": encoded("BMP", RGB),
}
MARKS = [
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"acTL", b"zTXt",
    b"eXIf", b"\xff\xd8", b"\xff\xda", b"\xff\xe1", b"II*\0", b"MM\0*", b"BM", b"GIF89a", b"%!PS",
]  # fmt: skip


def mask_reader(form: Literal["index", "rgb"]) -> MaskReader:
    return MaskReader(read_classes(settings_of(tuple(CLASSES["classes"]), mask_format=form)))


INDEX, COLOR = mask_reader("index"), mask_reader("rgb")


@inputs(250)
@given(st.sampled_from(sorted(PICTURES)), edits(MARKS))
@example("PNG", [("put", 0.0, 0.0, b"%!PS-Adobe-3.0 EPSF-3.0\n")])
def test_pictures(tmp_path_factory, kind, changes):
    TRIED["pictures"] += 1
    path = folder(tmp_path_factory) / "images" / "a.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(applied(PICTURES[kind], changes))
    for read in (
        lambda: read_image(path, "images/a.png", 3),
        lambda: read_image(path, "images/a.png", 1),
        lambda: INDEX.read(path, "images/a.png"),
        lambda: COLOR.read(path, "images/a.png"),
    ):
        message = told(Unusable, read)
        assert message is None or "images/a.png" in message


@inputs(100)
@given(st.binary(max_size=300))
def test_bytes_that_never_were_a_picture(tmp_path_factory, content):
    TRIED["pictures, bytes"] += 1
    path = folder(tmp_path_factory) / "b.png"
    path.write_bytes(content)
    with pytest.raises(Unusable, match="cannot be read"):
        read_image(path, "b.png", 3)


_FOLDERS: list[Path] = []


def folder(factory: pytest.TempPathFactory) -> Path:
    """Return one folder for all: making one for each input takes longer than reading it."""
    if not _FOLDERS:
        _FOLDERS.append(factory.mktemp(f"fuzz{os.getpid()}"))
    return _FOLDERS[0]
