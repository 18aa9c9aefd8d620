"""The page and its files."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from sweeper.anatomy.contestants import contestants
from sweeper.anatomy.page import build_anatomy, render
from sweeper.errors import ResultsError


@pytest.fixture(scope="module")
def files():
    return render(contestants(["cross_entropy", "tversky(beta=0.9)"])[0], {"<rival>": "it learns & judges"})


def test_the_page_stands_alone(files):
    page = files["anatomy.html"].decode()
    assert "tversky(beta=0.9, alpha=0.1)" in page
    markup = page.split("<script type=module")[0]
    assert not re.findall(r'(?:src|href)="https?:', markup)
    for name in re.findall(r'href="((?:tables|figures)/[^"]+)"', page):
        assert name in files


def test_names_cannot_break_the_page(files):
    page = files["anatomy.html"].decode()
    assert "<rival>" not in page
    assert "&lt;rival&gt;" in page


def test_every_number_drawn_is_in_a_table(files, tmp_path):
    for name, content in files.items():
        if name.endswith(".csv"):
            (tmp_path / "one.csv").write_bytes(content)
            frame = pd.read_csv(tmp_path / "one.csv")
            assert set(frame["loss"]) == {"cross_entropy", "tversky(beta=0.9, alpha=0.1)"}


def test_equal_seeds_give_equal_files(files):
    again = render(contestants(["cross_entropy", "tversky(beta=0.9)"])[0], {"<rival>": "it learns & judges"})
    assert again["anatomy.md"] == files["anatomy.md"]
    assert again["tables/shares.csv"] == files["tables/shares.csv"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ResultsError, match="cannot be written"):
        build_anatomy(contestants(["dice"])[0], {}, tmp_path / "taken")
