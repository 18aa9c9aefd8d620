"""Error maps and class colors, pixel by pixel."""

from __future__ import annotations

import base64
import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from sweeper.data.settings import IGNORE as DATA_IGNORE
from sweeper.report.gallery.pictures import (
    ALARM,
    ERROR_COLORS,
    ERROR_WORDS,
    FOUND,
    IGNORE,
    MISSED,
    OUTSIDE,
    QUIET,
    WRONG,
    Tally,
    data_uri,
    error_map,
    judge,
    paint,
    photograph,
    tally,
)


def test_ignored_pixels_have_the_value_the_data_gives_them():
    assert IGNORE == DATA_IGNORE


# Classes: 0 background, 1 and 2 minority, 3 another.
TRUTH = np.array([[1, 1, 1, 1, 0, 0, 3, 3, 255, 0, 3]], dtype=np.uint8)
CLAIM = np.array([[1, 0, 3, 2, 1, 0, 2, 3, 1, 3, 0]], dtype=np.uint8)
VERDICT = [[FOUND, MISSED, MISSED, WRONG, ALARM, QUIET, ALARM, QUIET, OUTSIDE, QUIET, QUIET]]


def test_every_kind_of_pixel():
    verdict = judge(TRUTH, CLAIM, [1, 2])
    assert verdict.tolist() == VERDICT
    assert tally(verdict) == Tally(found=1, missed=2, alarms=2, wrong=1)
    assert tally(verdict).minority == 4


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (Tally(5, 34, 1200, 0), "34 pixels missed, 1,200 false alarms"),
        (Tally(5, 1, 1, 3), "1 pixel missed, 1 false alarm, 3 of the wrong minority class"),
        (Tally(5, 0, 0, 0), "0 pixels missed, 0 false alarms"),
    ],
)
def test_errors_in_words(counted, words):
    assert counted.words == words


def test_an_error_map_has_the_colors_of_its_key():
    shown = error_map(judge(TRUTH, CLAIM, [1, 2])).convert("RGB")
    colors = ["#{:02x}{:02x}{:02x}".format(*shown.getpixel((x, 0))) for x in range(shown.width)]
    assert colors == [ERROR_COLORS[kind] for kind in VERDICT[0]]
    assert set(ERROR_COLORS) == set(ERROR_WORDS)


def test_a_mask_has_the_colors_of_its_classes():
    shown = paint(np.array([[0, 1, 255]], dtype=np.uint8), {0: "#ffffff", 1: "#d62728"}).convert("RGB")
    assert [shown.getpixel((x, 0)) for x in range(3)] == [(255, 255, 255), (0xD6, 0x27, 0x28), (128, 128, 128)]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_come_through_unchanged(channels):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    uri = data_uri(photograph(image))
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))
    np.testing.assert_array_equal(read.reshape(image.shape), image)


# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", DEFICIENCIES)
def test_colors_of_errors_are_told_apart_by_color_blind_readers(kind):
    def seen(color: str) -> np.ndarray:
        shown = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
        linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
        changed = np.clip(np.array(DEFICIENCIES[kind]) @ linear, 0, 1)
        return rgb2lab(np.where(changed <= 0.0031308, changed * 12.92, 1.055 * changed ** (1 / 2.4) - 0.055))

    for one, other in combinations(ERROR_COLORS.values(), 2):
        assert deltaE_ciede2000(seen(one), seen(other)) > 15, (one, other)
