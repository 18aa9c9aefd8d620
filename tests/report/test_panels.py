from __future__ import annotations

import base64
import io

from PIL import Image

from sweeper.report.panels import panel_grid

from .synthetic import synthetic


def paint(folder, name, color, side=64):
    picture = Image.new("RGB", (side, side), (255, 255, 255))
    picture.putpixel((0, 0), color)
    picture.save(folder / f"{name}.png")


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_a_grid_of_input_truth_and_each_family_at_the_hardest_level(tmp_path):
    results = synthetic(["dice", "tversky"], levels=(0.95, 0.99))
    tuned = [row for row in results.trials.to_pylist() if row["stage"] == "confirm" and row["is_tuned"]]
    for row in tuned:
        paint(tmp_path, f"{row['key']}_0", (row["seed"] - 1000, 0, 99 if row["level"] == 0.99 else 0))
    paint(tmp_path, "input_0", (1, 2, 3))
    paint(tmp_path, "truth_0", (4, 5, 6))
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert grid.level == 0.99
    assert grid.titles == ("input", "truth", "dice", "tversky")
    first = opened(grid.rows[0].pictures[2][1])
    # Enlarged twice, crisp: the one colored pixel is now four, of the first seed at 0.99.
    assert first.size == (128, 128)
    assert [first.getpixel(at) for at in ((0, 0), (1, 1), (2, 0))] == [(0, 0, 99), (0, 0, 99), (255, 255, 255)]


def test_patches_stand_in_the_order_of_their_numbers_and_gaps_are_gaps(tmp_path):
    results = synthetic(["dice"], levels=(0.97,))
    for number in (10, 2):
        paint(tmp_path, f"input_{number}", (0, 0, 0))
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert [row.number for row in grid.rows] == ["2", "10"]
    assert grid.rows[0].pictures[1] == ("truth", None)


def test_no_folder_or_no_inputs_is_no_grid(tmp_path):
    results = synthetic(["dice"], levels=(0.97,), confirm=False)
    assert panel_grid(results, None) is None
    assert panel_grid(results, tmp_path / "absent") is None
    assert panel_grid(results, tmp_path) is None
