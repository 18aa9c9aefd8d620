"""The description of a data set, and its picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from sweeper.data.describe import as_text
from sweeper.data.inspect import inspect
from sweeper.data.levels import level_weights
from sweeper.data.prepare import prepare
from sweeper.data.preview import assemble, preview
from sweeper.data.settings import RasterLog

from .shelves import square


def test_numbers_of_a_small_folder(shelf, tmp_path):
    found = inspect(shelf.settings(splits={"train": ["a"], "val": ["c"], "test": ["d"]}), tmp_path)
    train = found.splits["train"]
    assert (train.pictures, train.patches, train.without_minority) == (1, 4, 3)
    assert train.fractions == pytest.approx({"background": 1 - 100 / 3072, "crack": 100 / 3072})
    assert train.natural == pytest.approx(1 - 100 / 3072)
    assert train.ignored == pytest.approx(0.25)  # 48 of 64 rows
    assert train.mixture == pytest.approx((1 - 100 / 1024, 1.0))
    assert train.tilt == train.mixture
    assert found.reach == pytest.approx((1 - 100 / 1024, 1.0))
    assert found.unused == ("b",)
    assert found.background == "background"
    assert found.minority == ("crack",)


def test_levels_are_those_the_weights_give(tmp_path):
    settings = RasterLog(scans=10)
    found, prepared = inspect(settings, tmp_path), prepare(settings, tmp_path)
    for name, report in found.splits.items():
        for item in report.levels:
            if item.effective is None:
                assert not report.tilt[0] < item.level < report.tilt[1]
            else:
                got = level_weights(prepared.splits[name].counts, background=0, minority=(1, 2), level=item.level)
                assert (item.method, item.effective) == (got.method, got.effective)


def test_a_split_without_minority_pixels_is_described_not_refused(shelf, tmp_path):
    Image.fromarray(square(0, 0)).save(shelf.mask("c.png"))
    found = inspect(shelf.settings(), tmp_path)
    assert found.splits["val"].tilt is None
    assert all(item.method is None for item in found.splits["val"].levels)
    assert found.reach is None


def mostly_class_one(shelf):
    """Give every picture a mask of three quarters class 1, all class 0 in the first patch."""
    mask = np.ones((64, 64), dtype=np.uint8)
    mask[:32, :32] = 0
    for number, stem in enumerate("abcd"):
        Image.fromarray(np.full((64, 64, 3), number, dtype=np.uint8)).save(shelf.image(f"{stem}.png"))
        Image.fromarray(mask).save(shelf.mask(f"{stem}.png"))


def test_reasons_are_those_of_all_pictures_not_of_a_limit(make_shelf, tmp_path):
    shelf = make_shelf(classes=[{"index": 0, "name": "water"}, {"index": 1, "name": "land"}])
    mostly_class_one(shelf)
    for seed in range(20):  # one patch is all there is: in some draws it is water
        settings = shelf.settings(limit=1, seed=seed, minority=("water",))
        found = inspect(settings, tmp_path)
        assert found.background == "land"
        assert "most training pixels (75.0%)" in found.background_because
        if found.splits["train"].natural == 0:
            return
    pytest.fail("no draw held water alone")


def test_reasons_are_those_of_the_settings_asked_for(shelf, tmp_path):
    """Named or by default, the background is the same and so is the data: both find one folder."""
    named, default = shelf.settings(background="background", minority=("crack",)), shelf.settings()
    first, second = inspect(named, tmp_path), inspect(default, tmp_path)
    assert first.fingerprint == second.fingerprint
    for _ in range(2):  # prepared, then found
        first, second = inspect(named, tmp_path), inspect(default, tmp_path)
        assert (first.background_because, first.minority_because) == ("named in the settings",) * 2
        assert second.background_because == "it is the class named background"
        assert second.minority_because == "every class but the background"
    meta = json.loads((tmp_path / first.fingerprint / "meta.json").read_text())
    assert meta["background_because"] == meta["minority_because"] == "named in the settings"  # of whoever came first


def test_a_picture_in_two_splits_is_shown(shelf, tmp_path):
    line = "pictures that an earlier split holds too: 1 (train/a = val/c)"
    assert "earlier split" not in as_text(inspect(shelf.settings(), tmp_path))
    shelf.image("c.png").write_bytes(shelf.image("a.png").read_bytes())
    found = inspect(shelf.settings(), tmp_path)
    assert found.repeated == (("train/a", "val/c"),)
    assert line in as_text(found).splitlines()


def test_plain_data_survives_json(tmp_path):
    found = inspect(RasterLog(scans=5), tmp_path).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["splits"]["val"]["patches"] == 12


@pytest.mark.parametrize("limit", [None, 3])
def test_pictures_are_put_together_again(shelf, tmp_path, limit):
    prepared = prepare(shelf.settings(limit=limit), tmp_path)
    split = prepared.splits["test"]
    image, mask = assemble(prepared, split, 0)
    assert image.shape == (64, 64, 3)
    there = mask[:48] != 255
    assert np.array_equal(image[:48][there], np.asarray(Image.open(shelf.image("d.png")))[there])
    assert np.array_equal(mask[:48][there], square(3)[there])
    assert there.all() == (limit is None)


@pytest.mark.parametrize("channels", [1, 3])
def test_preview_shows_each_class_in_its_color(make_shelf, tmp_path, channels):
    classes = [{"index": 0, "name": "background", "color": "#000000"}, {"index": 1, "name": "a", "color": "#10c040"}]
    shelf = make_shelf(classes=classes)
    for stem in "abcd":
        Image.new("RGB", (64, 48), "#808080").save(shelf.image(f"{stem}.png"))
    prepared = prepare(shelf.settings(channels=channels), tmp_path / "cache")
    preview(prepared, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).reshape(-1, 3)
    assert len(sheet) > 200_000
    green = (np.abs(sheet.astype(int) - [0x10, 0xC0, 0x40]) < 25).all(axis=1).sum()
    # Four pictures of 64 x 48 enlarged four times, each with a square of 10 x 10, and a box in the legend.
    assert green == pytest.approx(4 * 100 * 16 + 15 * 15, rel=0.02)
