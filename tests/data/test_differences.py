"""Which pictures changed between two preparations of a data set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from sweeper.data.differences import differences
from sweeper.data.prepare import prepare


def test_equal_data_does_not_differ(shelf, tmp_path):
    data = prepare(shelf.settings(), tmp_path / "cache")
    assert differences(data, data) == []


def test_changed_pictures_and_masks_are_named(shelf, tmp_path):
    before = prepare(shelf.settings(), tmp_path / "cache")
    stems = {name: split.stems for name, split in before.splits.items()}
    image, mask = stems["train"][0], stems["test"][0]
    with Image.open(shelf.image(f"{image}.png")) as picture:
        pixels = np.array(picture)
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(shelf.image(f"{image}.png"))
    with Image.open(shelf.mask(f"{mask}.png")) as picture:
        pixels = np.array(picture)
    pixels[-1, -1] ^= 1
    Image.fromarray(pixels).save(shelf.mask(f"{mask}.png"))
    now = prepare(shelf.settings(), tmp_path / "cache")
    assert now.fingerprint != before.fingerprint
    assert differences(before, now) == [f"changed in train: {image}", f"changed in test: {mask}"]


def test_pictures_that_come_go_or_move_are_named(make_shelf, tmp_path):
    first = make_shelf("first", splits={"train": ["a", "b"], "val": ["c"], "test": ["d"]})
    second = make_shelf("second", stems="abcde", splits={"train": ["a", "e"], "val": ["b"], "test": ["d"]})
    before, now = (prepare(shelf.settings(), tmp_path / "cache") for shelf in (first, second))
    assert differences(before, now) == [
        "gone in train: b",
        "new in train: e",
        "gone in val: c",
        "new in val: b",
    ]


def test_many_pictures_are_counted(make_shelf, tmp_path):
    stems = "abcdefghijklmn"
    one = make_shelf("one", stems=stems, splits={"train": list(stems[:-2]), "val": ["m"], "test": ["n"]})
    before = prepare(one.settings(), tmp_path / "cache")
    for stem in stems[:-2]:
        Image.fromarray(np.zeros((48, 64, 3), dtype=np.uint8)).save(one.image(f"{stem}.png"))
    now = prepare(one.settings(), tmp_path / "cache")
    assert differences(before, now) == ["changed in train: a, b, c, d, e, f, g, h and 4 more"]


def test_other_cutting_is_said(shelf, tmp_path):
    before = prepare(shelf.settings(), tmp_path / "cache")
    now = prepare(replace(shelf.settings(), patch=64), tmp_path / "cache")
    assert "patch: 32 → 64" in differences(before, now)
