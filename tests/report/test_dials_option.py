"""`sweeper report --dials A,B`, from the words on the command line to the map on the page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sweeper.cli import main
from sweeper.report import sections
from sweeper.report.sections.dials import dials
from sweeper.results.parquet import save

from .parts import without_pictures
from .synthetic import synthetic


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run `sweeper report` on a saved study; return exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    without_pictures(monkeypatch)
    monkeypatch.setattr(sections, "SECTIONS", (dials,))
    save(synthetic(["focal", "tversky"], levels=(0.97,), trials=20, images=2), Path("run") / "results")

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sweeper", "report", "run", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


def test_a_named_pair_is_on_the_page(call):
    assert call("--dials", "gamma,alpha") == (0, "")
    page = Path("run/report/report.html").read_text()
    assert 'data-chart="map_focal_gamma_alpha"' in page
    # Without the option the report draws the pair its own way round.
    assert call() == (0, "")
    assert "map_focal_alpha_gamma" in Path("run/report/report.html").read_text()
    assert not list(Path("run/report/figures").glob("map_focal_gamma_alpha.*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dials", "gama,alpha"), "did you mean 'gamma'?"),
        (("--dials", "gamma,beta"), "no family of this study searches both"),
        (("--dials", "gamma"), "is not two hyperparameters; write them as --dials alpha,beta"),
        (("--dials", "gamma,alpha", "--dials", "a,b,c"), "--dials a,b,c is not two hyperparameters"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(call, words, message):
    code, err = call(*words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not Path("run/report").exists()
