"""Every study file we ship loads, and says at its top what it asks and what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.study.load import load_study
from sweeper.study.plan import make_plan

SPACES = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(SPACES.glob("*.yaml"))


def test_the_promised_files_are_there():
    promised = {"demo", "smoke", "five_families", "gamma_dial", "alpha_beta_dial", "combo_weights"}
    promised |= {
        "catalogue",
        "catalogue_smoke",
        "pixel",
        "region",
        "boundary",
        "combination",
        "structural",
        "thin_structures",
    }
    assert promised <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_space_loads(path):
    study = load_study(path)
    assert study.name == path.stem
    assert make_plan(study, "data").search_trials >= len(study.families)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_space_says_what_it_asks_and_costs(path):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(line.startswith("# Question:") for line in head)
    assert any(line.startswith("# Cost:") for line in head)
