"""Which class is the background and which are the task."""

from __future__ import annotations

import numpy as np
import pytest

from sweeper.data.patches import ClassInfo
from sweeper.data.roles import assign_roles
from sweeper.errors import DataError

LAND = tuple(ClassInfo(n, name, "#000000") for n, name in enumerate(("water", "land", "road")))
NAMED = (ClassInfo(0, "crack", "#000000"), ClassInfo(1, "BackGround", "#ffffff"), ClassInfo(2, "hole", "#ff0000"))
PIXELS = np.array([20, 70, 10])


def test_the_class_named_background_wins_over_the_most_frequent():
    roles = assign_roles(NAMED, None, None, np.array([90, 5, 5]))
    assert (roles.background, roles.minority) == (1, (0, 2))
    assert "named background" in roles.background_because


def test_else_the_most_frequent_and_why():
    roles = assign_roles(LAND, None, None, PIXELS)
    assert (roles.background, roles.minority) == (1, (0, 2))
    assert "70.0%" in roles.background_because


@pytest.mark.parametrize("wanted", [2, "road"])
def test_by_index_or_name(wanted):
    roles = assign_roles(LAND, wanted, ("water",), PIXELS)
    assert (roles.background, roles.minority) == (2, (0,))


@pytest.mark.parametrize(
    ("background", "minority", "message"),
    [
        ("raod", None, r"data\.background is 'raod', which is no class; did you mean 'road'"),
        (3, None, r"data\.background is 3, but class indices run from 0 to 2; choose from 0 \(water\)"),
        (None, ("land",), "'land', which is the background"),
        (None, (), r"data\.minority is empty"),
        (None, ("road", 2), "names a class twice"),
        (None, ("rod",), "did you mean 'road'"),
    ],
)
def test_roles_that_make_no_sense(background, minority, message):
    with pytest.raises(DataError, match=message):
        assign_roles(LAND, background, minority, PIXELS)
