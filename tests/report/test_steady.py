from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.report.steady import steady, steady_value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_twelve_digits(value):
    (found,) = steady(pd.DataFrame({"a": [value]}))["a"]
    if 1e-10 < abs(value) < 1e30:
        assert found == pytest.approx(value, rel=1e-11)
        assert steady_value(value) == pytest.approx(value, rel=1e-11)
    else:
        assert found == pytest.approx(value)


def test_the_last_bit_makes_no_difference():
    values = np.random.default_rng(0).normal(0, 1, 20000) * 10.0 ** np.random.default_rng(1).integers(-6, 7, 20000)
    first, second = (steady(pd.DataFrame({"a": one}))["a"] for one in (values, np.nextafter(values, np.inf)))
    # Only a number that lies on the very border of two roundings may fall on either side.
    assert (first != second).sum() <= 20
    assert (values != np.nextafter(values, np.inf)).all()


def test_what_is_no_number_stays():
    frame = pd.DataFrame({"a": [math.nan, math.inf, 0.0], "b": [1, 2, 3], "c": ["x", None, "y"]})
    pd.testing.assert_frame_equal(steady(frame), frame)
    assert steady_value("x") == "x"
    assert steady_value(3) == 3
    assert steady_value(None) is None
