"""The part of the data that training needs loads with numpy alone."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["settings", "patches", "levels"])
def test_training_needs_only_numpy(name):
    code = (
        f"import sys, sweeper.data.{name}; "
        "print(sorted({'pyarrow', 'PIL', 'scipy', 'yaml', 'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_preparing_needs_no_torch_ray_or_tracker():
    code = (
        "import sys, sweeper.data.preview, sweeper.data.inspect, sweeper.data.folder, sweeper.data.raster_log; "
        "print(sorted({'torch', 'ray', 'mlflow', 'optuna', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
