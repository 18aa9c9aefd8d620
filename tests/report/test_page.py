from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from PIL import Image

from sweeper.errors import ResultsError
from sweeper.report import document as document_module
from sweeper.report.curves import unit_domain
from sweeper.report.document import Document
from sweeper.report.measured import select
from sweeper.report.output.theme import MOST, styles
from sweeper.report.output.writing import percent
from sweeper.report.page import build_report, render
from sweeper.results.pictures import patches_file
from sweeper.results.results import Results
from sweeper.results.schema import MINORITY, SCORES, TRIALS

from .kept import keep_all
from .parts import all_figures, all_tables, without_pictures
from .synthetic import SHAPES, synthetic

SVG = "{http://www.w3.org/2000/svg}"
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
    keep_all(results, folder)
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
        assert address.startswith(("#", "data:", "figures/", "tables/", "methods.")), address
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
    assert {"glance", "sensitivity", "precision_recall", "thresholds", "tuning"} <= set(page.charts)
    for name in page.charts:
        found = re.search(rf'<script type="application/json" id="spec-{name}">(.*?)</script>', text, re.S)
        assert found is not None
        assert json.loads(found[1])["config"]["background"] == "transparent"
        assert (report.parent / f"figures/{name}.svg").read_text().startswith("<svg")
        with Image.open(report.parent / f"figures/{name}.png") as picture:
            assert picture.width > 400


def test_charts_keep_to_the_vega_lite_schema(results):
    for figure in all_figures(Document(results)).values():
        assert figure.chart.to_dict(validate=True)


def test_csv_files_hold_the_tables_exactly(results, report):
    for name, made in all_tables(Document(results)).items():
        with (report.parent / f"tables/{name}.csv").open(newline="") as file:
            head, *rows = csv.reader(file)
        assert head == list(made.frame.columns)
        assert len(rows) == len(made.frame)
        for index, column in enumerate(head):
            for written, value in zip([row[index] for row in rows], made.frame[column], strict=True):
                if pd.isna(value):
                    assert written == ""
                elif isinstance(value, bool | np.bool_):
                    assert written == str(value)
                else:
                    assert type(value)(written) == value


def test_latex_and_markdown_show_the_same_cells(results, report):
    made = all_tables(Document(results))["tuned_vs_default"]
    latex = (report.parent / "tables/tuned_vs_default.tex").read_text()
    markdown = (report.parent / "report.md").read_text()
    assert len(made.grid.rows) == 3
    for row in made.grid.rows:
        assert str(row[4]) in latex
        assert row[4].text in markdown
        assert row[4].range.replace(" ", "&nbsp;") in markdown


def test_markdown_shows_pictures_that_exist(report, page):
    text = (report.parent / "report.md").read_text()
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) == len(page.charts)
    assert all((report.parent / picture).is_file() for picture in pictures)


def test_panels_are_on_the_page_with_crisp_pixels(page):
    shown = [picture["alt"] for picture in page.pictures if picture["src"].startswith("data:image/png")]
    assert sum(alt.startswith("Input: log_") for alt in shown) == sum(alt.startswith("Truth: ") for alt in shown) > 0
    # Of every patch three families at two levels.
    assert sum(alt.startswith("Errors of ") for alt in shown) == 6 * sum(alt.startswith("Input: log_") for alt in shown)


def test_scores_at_both_points_take_one_row_per_family_and_level(results, report):
    document = Document(results)
    made = all_tables(document)["operating_points"]
    assert [(row[0].text, row[1].text) for row in made.grid.rows] == [
        (family, percent(level)) for family in results.meta["families"] for level in (0.95, 0.97, 0.99)
    ]
    row = select(document.measured, family="tversky", level=0.97, setting="tuned", class_=MINORITY, metric="recall")
    ends = row.set_index("point")
    cell = next(row[3] for row in made.grid.rows if (row[0].text, row[1].text) == ("tversky", percent(0.97)))
    assert cell.text == f"{ends.at['argmax', 'mean']:.3f} → {ends.at['shifted', 'mean']:.3f}"
    assert cell.range.startswith(f"{ends.at['argmax', 'low']:.3f}–{ends.at['argmax', 'high']:.3f} → ")
    # The files stay tidy.
    assert len(made.frame) == len(made.tidy.rows) == 3 * 9
    assert (report.parent / "tables/operating_points.tex").read_text().count(r"\\") == 27 + 1


def test_only_long_tables_are_folded(results, report):
    text, markdown = report.read_text(), (report.parent / "report.md").read_text()
    tables = all_tables(Document(results))
    assert tables["provenance"].grid.long
    for made in tables.values():
        # The standings are folded anyway: the answer above sums them up.
        folded = made.grid.long or made.name == "standings"
        assert (str(Markup.escape(made.summary)) in text) == folded
        assert (str(Markup.escape(made.summary)) in markdown) == made.grid.long
    assert markdown.count("<details>") == markdown.count("</details>") == sum(one.grid.long for one in tables.values())


def test_a_folded_line_is_html_in_markdown_too(monkeypatch):
    without_pictures(monkeypatch)
    results = synthetic(12, levels=(0.95, 0.97, 0.99), images=2, trials=2, rename={"focal": NASTY})
    markdown = render(Document(results))["report.md"].decode()
    # No backslashes: GitHub leaves what is inside HTML tags as it is.
    assert "<summary>Differences at argmax and with thresholds tuned: " in markdown


def test_the_mean_over_all_classes_is_in_the_files_only(report):
    assert "(all classes)" not in re.sub(r"<script.*?</script>", "", report.read_text(), flags=re.S)
    assert "(all classes)" not in (report.parent / "report.md").read_text()
    assert "(all classes)" in (report.parent / "tables/measured.csv").read_text()


def test_families_with_nothing_to_tune_are_named_and_not_charted(results, report):
    sentence = f"cross_entropy and {Markup.escape(NASTY)} have nothing to tune"
    assert sentence in report.read_text()
    assert {row[0].text for row in all_tables(Document(results))["tuned_vs_default"].grid.rows} == {"tversky"}
    tuning = all_figures(Document(results))["tuning"]
    assert {row["family"] for rows in tuning.spec["datasets"].values() for row in rows} == {"tversky"}


def test_recovered_curves_are_shown_where_there_are_any(report, monkeypatch):
    assert 'id="curves"' not in report.read_text()
    without_pictures(monkeypatch)
    document = Document(synthetic(["dice", "tversky"], levels=(0.97, 0.99), images=3, curves=True))
    made = all_tables(document)["curves"]
    assert made.grid.head == ("family", "background", "curve 1: MAE %", "coverage %", "curve 2: MAE %", "coverage %")
    assert len(made.grid.rows) == 4
    _, _, first, found, second, seldom = made.grid.rows[0]
    assert (first.text, found.text, seldom.text) == ("3.0", "98.0", "26.7")
    assert second == ("25.0", "2 of 3 seeds")
    files = render(document)
    for name in ("report.html", "report.md"):
        assert "a position at random is 25 % off" in files[name].decode()
        assert "only some seeds have an MAE" in files[name].decode()
    assert "figures/curves.svg" in files
    figure = all_figures(document)["curves"]
    assert figure.chart.to_dict(validate=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_axes_of_scores_hold_them_within_0_and_1_and_are_never_a_point(scores: list[float]):
    low, high = unit_domain(scores)
    assert 0 <= low <= min(scores)
    assert max(scores) <= high <= 1
    assert high - low > 0.099
    assert high - low < max(scores) - min(scores) + 0.22


def extent(label: ElementTree.Element) -> tuple[float, float]:
    """Where a number under an axis begins and ends, digits of 12 px being at most 8 px wide."""
    at = float(re.findall(r"[-\d.]+", label.get("transform", ""))[0])
    width = 8.0 * len(label.text or "")
    before = {"start": 0.0, "middle": width / 2, "end": width}[label.get("text-anchor", "start")]
    return at - before, at - before + width


def test_axis_labels_do_not_run_into_each_other():
    figures = all_figures(Document(synthetic(["dice", "tversky"], images=3, collapsing=["tversky"])))
    for figure in (figures["thresholds"], figures["glance"]):
        groups = ElementTree.fromstring(figure.svg).iter(f"{SVG}g")
        pairs = 0
        for axis in [group for group in groups if (group.get("class") or "").endswith("role-axis-label")]:
            numbers = [one for one in axis.iter(f"{SVG}text") if re.fullmatch(r"\d\.\d+", one.text or "")]
            places = sorted(extent(one) for one in numbers if one.get("opacity") != "0")
            for left, right in itertools.pairwise(places):
                assert right[0] - left[1] > 4
                pairs += 1
        assert pairs > 4


def test_an_older_report_leaves_no_figures_or_tables_behind(tmp_path, monkeypatch):
    without_pictures(monkeypatch)
    first = synthetic(["cross_entropy", "focal", "tversky"], levels=(0.97, 0.99), images=2, trials=3, curves=True)
    second = synthetic(["tversky"], levels=(0.97, 0.99), images=2, trials=3)
    build_report(first, tmp_path)
    mine = [tmp_path / name for name in ("figures/mine.svg", "figures/glance.pdf", "tables/notes.csv", "dial_a.svg")]
    for path in mine:
        path.write_text("mine")
    build_report(second, tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*render(Document(second)), *(str(path.relative_to(tmp_path)) for path in mine)}


def test_statistics_are_worked_out_once_per_build(monkeypatch):
    without_pictures(monkeypatch)
    calls = []

    def counted(name):
        own = getattr(document_module, name)

        def call(*args, **more):
            calls.append(name)
            return own(*args, **more)

        return call

    for name in ("gather", "measured", "answer"):
        monkeypatch.setattr(document_module, name, counted(name))
    render(Document(synthetic(["tversky", "dice"], levels=(0.97, 0.99), images=2, trials=3)))
    assert sorted(calls) == ["answer", "gather", "measured"]


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
    "curves": {"families": ["focal", "dice"], "curves": True},
    "curves, one seed": {"families": ["focal", "dice"], "curves": True, "seeds": 1},
}


@pytest.mark.parametrize("case", EDGES)
def test_no_result_is_too_odd_for_a_report(case, monkeypatch):
    without_pictures(monkeypatch)
    results = synthetic(**{"levels": (0.95, 0.97), "images": 4, "trials": 3, **EDGES[case]})
    files = render(Document(results))
    text = files["report.html"].decode()
    for figure in all_figures(Document(results)).values():
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
    patches_file(tmp_path, results.meta["data"]["fingerprint"]).write_bytes(b"no patches")
    with pytest.raises(ResultsError, match=r"patches_\w+\.npz: not a readable file"):
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


MEASURE = """<script>
document.querySelectorAll('details').forEach((one) => { one.open = true; });
const wide = [...document.querySelectorAll('section:not(#panels) .scroll:has(table)')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent.trim().slice(0, 60));
document.title = 'wide: ' + JSON.stringify(wide);
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_no_table_is_wider_than_a_page_of_1100_pixels(tmp_path, monkeypatch):
    without_pictures(monkeypatch)
    results = synthetic(["cross_entropy", "lovasz_softmax", "tversky"], images=2, trials=3, curves=True)
    page = tmp_path / "page.html"
    page.write_text(render(Document(results))["report.html"].decode().replace("</body>", MEASURE))
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1100,3000",
        f"--user-data-dir={tmp_path}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search("<title>(.*?)</title>", done.stdout)
    assert found is not None
    assert found[1] == "wide: []"
