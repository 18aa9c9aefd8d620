"""`sweeper anatomy` as a newcomer meets it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import sweeper
from sweeper.cli import app
from sweeper.errors import UnknownFamily


def test_the_page_is_written_where_asked_and_its_path_is_the_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["anatomy", "--losses", "dice,tversky(beta=0.9)", "--out", "looks"])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == "looks/anatomy.html"
    page = (tmp_path / "looks" / "anatomy.html").read_text()
    assert "tversky(beta=0.9, alpha=0.1)" in page


def test_a_mistake_leaves_nothing(tmp_path):
    with pytest.raises(UnknownFamily, match="tversky"):
        sweeper.build_anatomy("dice,tverski", tmp_path / "looks")
    assert not (tmp_path / "looks").exists()
