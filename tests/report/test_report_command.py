"""`sweeper report` as it is typed: building, verifying, comparing, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sweeper.cli import main
from sweeper.results.parquet import save

from .parts import without_pictures
from .synthetic import synthetic

STUDY = {"families": ["cross_entropy", "dice"], "levels": (0.97,), "images": 3, "trials": 2}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run `sweeper report` in a folder with two studies, `a` and `b`; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    without_pictures(monkeypatch)
    for seed, name in enumerate("ab"):
        results = synthetic(**STUDY, study=name, seed=seed)
        results.meta["data"]["fingerprint"] = name
        save(results, Path(name) / "results")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sweeper", "report", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        code = caught.value.code
        return (code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


def test_a_report_is_built_with_its_settings_and_verified(call):
    assert call("a", "--rope", "0.03", "--seed", "7")[:2] == (0, "a/report/report.html\n")
    assert json.loads(Path("a/report/report.json").read_text())["settings"] == {"seed": 7, "rope": 0.03, "dials": []}
    code, out, err = call("a", "--verify")
    assert (code, err) == (0, "")
    assert out.startswith("verified: ")
    table = Path("a/report/tables/standings.csv")
    table.write_text(table.read_text().replace("dice", "mice"))
    code, out, err = call("a", "--verify")
    assert (code, out) == (1, "")
    assert err.startswith("tables/standings.csv: line ")


def test_studies_are_compared_in_a_folder_of_their_own(call):
    assert call("a", "b")[:2] == (0, "comparison/report.html\n")
    assert call("a", "b", "--verify")[0] == 0
    assert call("b", "a", "--verify")[0] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "--verify", "--rope", "0.02"), "--verify takes --rope"),
        (("a", "--verify"), "there is no report to verify"),
        (("a", "b", "--dials", "alpha,beta"), "--dials is for the report of one study"),
        (("a", "b", "--rope", "0.02"), "--rope"),
        (("a", "a"), "a"),
        (("a", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_one_message(call, words, message):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("comparison").exists()
