"""Fixtures that hand out the made-up studies of `synthetic_study.py`."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.results.record import TrialRecord

SYNTHETIC = runpy.run_path(str(Path(__file__).parents[1] / "results" / "synthetic_study.py"))


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TrialRecord]:
    return SYNTHETIC["make_record"]


@pytest.fixture(scope="session")
def make_study() -> Callable[..., tuple[list[TrialRecord], dict[str, Any]]]:
    return SYNTHETIC["make_study"]
