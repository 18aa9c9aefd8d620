"""Synthetic scans: deterministic, with curves where the truth says, and levels worth comparing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from sweeper.data import exact_noise, log_paper
from sweeper.data.levels import level_weights, reachable
from sweeper.data.prepare import prepare
from sweeper.data.raster_log import RasterLogSource, draw_scan
from sweeper.data.settings import RasterLog
from sweeper.errors import DataError

SCANS = range(20)


@pytest.fixture(scope="module")
def scans():
    return [draw_scan(RasterLog(), number) for number in SCANS]


def digest(number: int, **settings) -> str:
    """Hash a scan, and to the last bit the noise it is made of, whose errors reach a pixel only now and then."""
    scan = draw_scan(RasterLog(**settings), number)
    rng = np.random.default_rng(number)
    places = np.arange(500) / 3
    sheet = exact_noise.clouds(rng, 90, 70, 11.3, 7.1)
    noise = (exact_noise.wander(rng, places, 9.5), sheet, exact_noise.blur(sheet, 1.4), exact_noise.grain(rng, (99,)))
    parts = (scan.image, scan.mask, scan.curves, *noise)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_same_seed_same_bytes_in_another_process_with_another_processor():
    """The kernels numpy picks for this processor are switched off: results must not hang on its vector units."""
    code = "import sys; sys.path[:0] = sys.argv[1:]; from test_raster_log import digest; print(digest(3))"
    from numpy._core._multiarray_umath import __cpu_dispatch__

    if not __cpu_dispatch__:
        pytest.skip("this numpy has one set of kernels, so there is nothing to compare")
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, os.path.dirname(__file__), os.getcwd()],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == digest(3)


def test_every_seed_and_every_number_is_another_scan():
    assert len({digest(0), digest(1), digest(0, seed=1)}) == 3


def test_wear_changes_looks_and_not_where_the_curves_run():
    clean, worn = (draw_scan(RasterLog(wear=wear), 2) for wear in (0.0, 2.0))
    assert np.array_equal(clean.curves, worn.curves, equal_nan=True)
    assert (worn.mask[clean.mask == 0] == 0).all()  # skips of the pen only remove ink
    rough = [np.median(np.abs(np.diff(scan.image.astype(int), axis=1))) for scan in (clean, worn)]
    assert rough[0] < 3 < rough[1]


def test_a_clean_print_has_no_noise_on_bare_paper():
    scan = draw_scan(RasterLog(wear=0.0), 0)
    colors, counts = np.unique(scan.image.reshape(-1, 3), axis=0, return_counts=True)
    assert counts.max() > 0.1 * scan.mask.size
    assert colors[counts.argmax()].min() > 180


def test_ink_is_dark_and_paper_is_light(scans):
    for scan in scans:
        grey = scan.image.mean(axis=2)
        for curve in (1, 2):
            if (scan.mask == curve).any():
                assert grey[scan.mask == curve].mean() < grey[scan.mask == 0].mean() - 40


def test_where_curves_cross_the_mask_shows_the_one_on_top(monkeypatch):
    """In ink of two colors one sees which curve that is: without wear, a pixel inked whole is all red or blue.

    The first is printed in red and the second in blue. Depth figures are red too, so only pixels of curves are asked.
    """
    monkeypatch.setattr(log_paper, "INKS", ((255, 0, 0),))
    monkeypatch.setattr(log_paper, "DASHED_INKS", ((0, 0, 255),))
    crossings = 0
    for number in SCANS:
        scan = draw_scan(RasterLog(wear=0.0), number)
        red, green, blue = np.moveaxis(scan.image.astype(int), 2, 0)
        whole = (scan.mask > 0) & (green < 12)
        top = np.where(blue > 240, 2, np.where(red > 240, 1, 0))
        sure = whole & (top > 0)
        assert set(np.unique(top[sure])) == {1, 2}
        assert np.array_equal(scan.mask[sure], top[sure])
        apart = np.abs((scan.curves[1] - scan.curves[2] + 0.5) % 1 - 0.5) * 192
        crossings += (sure & (top == 2))[apart < 0.5].sum()
    assert crossings > 20


def test_natural_background_is_about_97_percent(scans):
    assert np.mean([(scan.mask == 0).mean() for scan in scans]) == pytest.approx(0.97, abs=0.01)


def test_solid_and_dashed(scans):
    """The solid curve is there in nearly every logged row; the dashed one misses a good part."""
    present = {1: [], 2: []}
    for scan in scans:
        for curve in (1, 2):
            logged = np.isfinite(scan.curves[curve])
            present[curve] += (scan.mask[logged] == curve).any(axis=1).tolist()
    assert np.mean(present[1]) > 0.95
    assert 0.6 < np.mean(present[2]) < 0.92


def test_curves_wrap_cross_and_miss_stretches(scans):
    jumps = [np.abs(np.diff(scan.curves[1:], axis=1)) > 0.5 for scan in scans]
    assert sum(jump.any() for jump in jumps) > 3
    apart = [(scan.curves[1] - scan.curves[2] + 0.5) % 1 - 0.5 for scan in scans]
    assert sum(((gap[1:] * gap[:-1] < 0) & (np.abs(gap[1:]) < 0.2)).any() for gap in apart) > 3
    missing = [np.isnan(scan.curves[1]).mean() for scan in scans]
    assert 0 in missing
    assert max(missing) > 0.1


def test_truth_is_a_position_on_the_track(scans):
    for scan in scans:
        assert np.isnan(scan.curves[0]).all()
        drawn = scan.curves[1:][np.isfinite(scan.curves[1:])]
        assert (drawn >= 0).all()
        assert (drawn < 1).all()


def row_errors(scan, curve: int):
    """Yield (error, slope) in pixels of rows where the curve is drawn whole and alone.

    The error is that of the mask's circular centroid; the slope is the steepest step within two rows.
    """
    width = scan.mask.shape[1]
    truth = scan.curves[curve].astype(np.float64)
    for row in range(2, len(truth) - 2):
        near = truth[row - 2 : row + 3]
        inked = (scan.mask[row - 1 : row + 2] == curve).any(axis=1)
        if np.isnan(near).any() or not inked.all():
            continue
        places = (np.flatnonzero(scan.mask[row] == curve) + 0.5) / width
        others = (np.flatnonzero(scan.mask[row] == 3 - curve) + 0.5) / width
        if len(others) and np.abs((others - truth[row] + 0.5) % 1 - 0.5).min() * width < 8:
            continue
        error = abs(((places - truth[row] + 0.5) % 1 - 0.5).mean()) * width
        yield error, np.abs((np.diff(near) + 0.5) % 1 - 0.5).max() * width


def test_truth_agrees_with_the_mask(scans):
    found = np.array([pair for scan in scans for curve in (1, 2) for pair in row_errors(scan, curve)])
    gentle = found[:, 1] <= 1
    assert gentle.sum() > 1000
    assert found[gentle, 0].max() <= 1
    # Where a curve turns sharply its ink fills the inside of the bend, which pulls the centroid there.
    assert np.median(found[:, 0]) < 0.4
    assert (found[:, 0] <= 1).mean() > 0.9


@pytest.mark.parametrize("count", [30, 60])
def test_levels_worth_comparing_are_in_reach_of_every_split(tmp_path, count):
    prepared = prepare(RasterLog(scans=count), tmp_path)
    for name, split in prepared.splits.items():
        holds = split.counts[:, 1:].sum(axis=1) > 0
        assert (~holds).sum() > 0.1 * len(split)
        assert reachable(split.counts, background=0, minority=(1, 2))[0] < 0.87
        for level in (0.90, 0.95, 0.97, 0.99):
            got = level_weights(split.counts, background=0, minority=(1, 2), level=level, split=name)
            assert got.effective > 5


def test_more_scans_never_move_one_to_another_split():
    few, many = (RasterLogSource(RasterLog(scans=count)).splits for count in (10, 60))
    for split in few:
        assert set(few[split]) <= set(many[split])
    assert [len(many[split]) for split in ("train", "val", "test")] == [36, 12, 12]


@pytest.mark.parametrize(
    ("key", "value"), [("scans", 4), ("height", 63), ("width", 10), ("wear", -0.1), ("wear", 9.0), ("seed", -1)]
)
def test_impossible_settings_are_named(key, value):
    with pytest.raises(DataError, match=rf"data\.{key} is"):
        RasterLogSource(RasterLog(**{key: value}))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 333)])
def test_other_sizes(height, width):
    scan = draw_scan(RasterLog(height=height, width=width), 0)
    assert scan.image.shape == (height, width, 3)
    assert scan.mask.shape == (height, width)
    assert scan.curves.shape == (3, height)
