from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.report.plane.placement import POINT, RINGS, Box, place, width

SIZE = (640.0, 430.0)
NAMES = ["cross_entropy", "focal", "dice", "tversky", "lovasz_softmax", "combo", "boundary", "cldice", "topk",
         "unified_focal", "exp_log", "focal_tversky"]  # fmt: skip


def clashes(points: list[tuple[float, float]], names: list[str]) -> float:
    """Area of names hidden by one another, by points, or lying outside."""
    boxes = [one.box for one in place(names, points, SIZE)]
    marks = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    hidden = sum(a.overlap(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    hidden += sum(box.overlap(mark) for box in boxes for mark in marks)
    return hidden + sum(box.area - box.overlap(Box(0, 0, *SIZE)) for box in boxes)


def test_overlap_of_boxes_by_hand():
    assert Box(0, 0, 4, 4).overlap(Box(2, 3, 9, 9)) == 2
    assert Box(0, 0, 4, 4).overlap(Box(4, 0, 9, 9)) == 0


def test_a_lonely_name_stands_right_of_its_point():
    (one,) = place(["dice"], [(100, 100)], SIZE)
    assert (one.x, one.y, one.align, one.distance) == (100 + RINGS[0], 100, "left", RINGS[0])


def test_a_name_at_the_right_end_stands_left():
    (one,) = place(["lovasz_softmax"], [(630, 100)], SIZE)
    assert one.align == "right"


@pytest.mark.parametrize("spread", [3.0, 15.0, 60.0])
def test_twelve_names_stay_apart_however_close_their_points(spread: float):
    rng = np.random.default_rng(0)
    for _ in range(5):
        points = [(float(x), float(y)) for x, y in rng.normal((300, 200), spread, (12, 2))]
        assert clashes(points, NAMES) == 0


def test_twelve_families_without_dials_one_above_the_other():
    assert clashes([(20.0, 120.0 + 16 * index) for index in range(12)], NAMES) == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 640), st.floats(0, 430)), min_size=1, max_size=7, unique=True))
def test_seven_names_stay_apart_anywhere(points: list[tuple[float, float]]):
    assert clashes(points, NAMES[: len(points)]) == 0


def test_points_without_a_name_stay_free():
    crowd = [(100.0, 100.0), *((113.0 + 10 * i, 100.0) for i in range(9))]
    (one,) = place(["dice"], crowd, SIZE)
    assert not any(one.box.overlap(Box(x - POINT, y - POINT, x + POINT, y + POINT)) for x, y in crowd)


def test_intervals_are_avoided_where_there_is_room():
    wall = Box(105, 0, 145, 400)
    (one,) = place(["dice"], [(100, 100)], SIZE, [wall])
    assert one.align != "left"


def test_equal_input_gives_equal_places():
    points = [(50.0, 50.0), (55.0, 52.0), (52.0, 58.0)]
    assert place(NAMES[:3], points, SIZE) == place(NAMES[:3], points, SIZE)


def test_wide_scripts_take_more_room():
    assert width("測定") > width("ab")
    assert width("😀") > width("a")
