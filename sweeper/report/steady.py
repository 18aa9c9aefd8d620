"""Numbers as far as every machine agrees on them.

Sums in another order, by another BLAS or another batch, differ in the last of sixteen digits. Twelve are kept, in
tables as in charts, so that a report worked out again elsewhere is the same to the last digit written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

DIGITS = 12


def steady(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with every column of floats rounded to `DIGITS` significant digits."""
    columns = {name: _rounded(frame[name]) for name in frame.columns if frame[name].dtype == np.float64}
    return frame.assign(**columns) if columns else frame


def steady_value(value: Any) -> Any:
    """Return a float rounded to `DIGITS` significant digits, anything else as it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _rounded(column: pd.Series[float]) -> pd.Series[float]:
    values = column.to_numpy(np.float64)
    usual = np.isfinite(values) & (values != 0)
    power = np.zeros_like(values)
    power[usual] = DIGITS - 1 - np.floor(np.log10(np.abs(values[usual])))
    # Beyond what a power of ten can hold exactly there is nothing to round either way.
    usual &= np.abs(power) <= 22
    found = values.copy()
    up, down = usual & (power >= 0), usual & (power < 0)
    found[up] = np.rint(values[up] * 10.0 ** power[up]) / 10.0 ** power[up]
    found[down] = np.rint(values[down] / 10.0 ** -power[down]) * 10.0 ** -power[down]
    return pd.Series(found, index=column.index)
