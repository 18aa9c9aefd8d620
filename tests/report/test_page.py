from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from sweeper.errors import ResultsError
from sweeper.report.document import Document
from sweeper.report.figure import Figure
from sweeper.report.figures import draw_figures
from sweeper.report.page import build_report, render
from sweeper.report.sheets import set_tables
from sweeper.report.theme import MOST, styles
from sweeper.results.results import Results
from sweeper.results.schema import SCORES, TRIALS

from .synthetic import SHAPES, synthetic

NASTY = "<b>di&ce</b>|_%$#{x}"


class Page(HTMLParser):
    """What a browser would look at: addresses, ids, tables, pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.headings: list[int] = []
        self.unscoped = 0
        self.charts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.addresses += [found[name] for name in ("href", "src", "action", "data", "poster") if found.get(name)]
        self.ids += [found["id"]] if "id" in found else []
        self.charts += [found["data-chart"]] if "data-chart" in found else []
        if tag == "img":
            self.pictures.append(found)
        if tag == "th" and "scope" not in found:
            self.unscoped += 1
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


def panels_for(results: Results, folder: Path) -> Path:
    folder.mkdir()
    trials = [row for row in results.trials.to_pylist() if row["stage"] == "confirm" and row["is_tuned"]]
    keys = [row["key"] for row in trials if (row["level"], row["seed"]) == (0.99, 1000)]
    for name in ["input", "truth", *keys]:
        for number in range(2):
            Image.new("RGB", (64, 64), (200, 30 * number, 30)).save(folder / f"{name}_{number}.png")
    return folder


@pytest.fixture(scope="module")
def results():
    return synthetic(["cross_entropy", "tversky", "dice"], levels=(0.95, 0.97, 0.99), images=6,
                     rename={"dice": NASTY}, study="a</script>b")  # fmt: skip


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return build_report(results, folder / "out", panels=panels_for(results, folder / "panels"))


@pytest.fixture(scope="module")
def page(report):
    return Page(report.read_text())


def test_the_page_asks_for_nothing_beyond_its_folder(report, page):
    for address in page.addresses:
        assert address.startswith(("#", "data:", "figures/", "tables/")), address
        if address.startswith("#"):
            assert address[1:] in page.ids
        elif not address.startswith("data:"):
            assert (report.parent / address).is_file(), address
    style = re.search(r"<style>(.*?)</style>", report.read_text(), re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_page_is_accessible(page):
    assert len(page.ids) == len(set(page.ids))
    assert page.unscoped == 0
    assert all(picture.get("alt") for picture in page.pictures)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)


def test_names_with_markup_stay_text(report):
    text = report.read_text()
    assert "<b>di" not in text
    assert "&lt;b&gt;di&amp;ce" in text
    assert "a</script>b" not in text
    assert "<b>di" not in (report.parent / "report.md").read_text()


def test_every_chart_has_its_specification_and_files(report, page):
    text = report.read_text()
    assert set(page.charts) == {
        "glance", "sensitivity", "precision_recall", "thresholds", "tuning", "dial_tversky_beta"
    }  # fmt: skip
    for name in page.charts:
        found = re.search(rf'<script type="application/json" id="spec-{name}">(.*?)</script>', text, re.S)
        assert found is not None
        assert json.loads(found[1])["config"]["background"] == "transparent"
        assert (report.parent / f"figures/{name}.svg").read_text().startswith("<svg")
        with Image.open(report.parent / f"figures/{name}.png") as picture:
            assert picture.width > 400


def test_charts_keep_to_the_vega_lite_schema(results):
    for figure in draw_figures(Document(results)):
        assert figure.chart.to_dict(validate=True)


def test_csv_files_hold_the_tables_exactly(results, report):
    for name, made in set_tables(Document(results)).items():
        with (report.parent / f"tables/{name}.csv").open(newline="") as file:
            head, *rows = csv.reader(file)
        assert head == list(made.frame.columns)
        assert len(rows) == len(made.frame)
        for index, column in enumerate(head):
            for written, value in zip([row[index] for row in rows], made.frame[column], strict=True):
                if pd.isna(value):
                    assert written == ""
                else:
                    assert type(value)(written) == value


def test_latex_and_markdown_show_the_same_cells(results, report):
    made = set_tables(Document(results))["tuned_vs_default"]
    latex = (report.parent / "tables/tuned_vs_default.tex").read_text()
    markdown = (report.parent / "report.md").read_text()
    for row in made.rows:
        assert row[4] in latex
        assert row[4] in markdown


def test_markdown_shows_pictures_that_exist(report):
    text = (report.parent / "report.md").read_text()
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) == 6
    assert all((report.parent / picture).is_file() for picture in pictures)


def test_panels_are_on_the_page_with_crisp_pixels(page):
    shown = [picture for picture in page.pictures if "patch" in (picture.get("alt") or "")]
    # Two patches: input, truth and three families.
    assert len(shown) == 2 * 5


EDGES = {
    "one level": {"levels": (0.97,)},
    "one family": {"families": ["tversky"]},
    "no hyperparameters": {"families": ["cross_entropy", "dice"]},
    "all of one family failed": {"families": ["focal", "dice"], "failing": ["focal"]},
    "all failed": {"families": ["focal", "dice"], "failing": ["focal", "dice"]},
    "never predicted": {"families": ["combo", "dice"], "collapsing": ["combo", "dice"]},
    "class absent": {"families": ["focal", "dice"], "absent": "curve 2"},
    "one seed": {"families": ["focal", "dice"], "seeds": 1},
    "no confirm": {"families": ["focal", "dice"], "confirm": False},
    "cells missing": {"families": ["focal", "dice"], "missing": [("dice", 0.97)]},
    "many families": {"families": 12},
}


@pytest.mark.parametrize("case", EDGES)
def test_no_result_is_too_odd_for_a_report(case, monkeypatch):
    monkeypatch.setattr(Figure, "svg", "<svg/>")
    monkeypatch.setattr(Figure, "png", b"")
    results = synthetic(**{"levels": (0.95, 0.97), "images": 4, "trials": 3, **EDGES[case]})
    files = render(Document(results))
    text = files["report.html"].decode()
    for figure in draw_figures(Document(results)):
        assert figure.chart.to_dict(validate=True)
    # Only what is written for readers: the specifications and Vega have their own null.
    words = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", words)


def test_no_trial_at_all(monkeypatch):
    results = synthetic(2, confirm=False)
    empty = Results(TRIALS.empty_table(), SCORES.empty_table(), {**results.meta, "ledger": []})
    assert b"No trial has been recorded yet" in render(Document(empty))["report.html"]


def test_a_build_that_fails_leaves_the_old_report(results, report, tmp_path):
    before = {path: path.read_bytes() for path in report.parent.rglob("*") if path.is_file()}
    (tmp_path / "input_0.png").write_bytes(b"no picture")
    with pytest.raises(ResultsError, match=r"input_0\.png: not a readable picture"):
        build_report(results, report.parent, panels=tmp_path)
    assert before == {path: path.read_bytes() for path in report.parent.rglob("*") if path.is_file()}


def test_a_folder_that_cannot_be_written_is_one_clear_message(tmp_path):
    (tmp_path / "out").write_text("a file")
    results = synthetic(["dice"], levels=(0.97,), images=2, confirm=False)
    with pytest.raises(ResultsError, match="the report cannot be written"):
        build_report(results, tmp_path / "out")


def test_every_family_keeps_one_style_and_the_leaders_come_first_when_there_are_many():
    few = styles(list(SHAPES), list(SHAPES)[::-1])
    assert len({style.color for style in few.values()}) == len(SHAPES)
    assert few == styles(list(SHAPES), [])
    many = [f"family_{index}" for index in range(20)]
    look = styles([*many, "cross_entropy"], many[::-1])
    assert set(look) == {*many[-MOST:], "cross_entropy"}


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_every_chart_without_a_console_message(report, page, tmp_path):
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
        "--virtual-time-budget=20000", f"--user-data-dir={tmp_path}", "--dump-dom", report.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    widths = [int(width) for width in re.findall(r'<svg[^>]*class="marks" width="(\d+)"', done.stdout)]
    assert len(widths) == len(page.charts)
    assert min(widths) > 300
