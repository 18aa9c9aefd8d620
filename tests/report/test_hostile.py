"""Names that would be markup, formulas or commands anywhere else appear as text, in every file of a report."""

from __future__ import annotations

import csv
import dataclasses
import re

import pyarrow as pa
import pytest

from sweeper.report.output.escaping import MARK, visible
from sweeper.report.page import build_report

from .synthetic import synthetic

SCRIPT = "<script>alert('family')</script>"
FORMULA = '=HYPERLINK("http://evil.example","click")'
TURNED = "safe\u202egnp.exe\u2066"
LONG = "x" * 200
EMOJI = "🧨 \"quoted\" & 'single'"
LINK = "[click](javascript:alert(1))"
LINES = "two\nlines\r\n\\end{table} %$#_{}~^"
NAMES = {"cross_entropy": SCRIPT, "dice": FORMULA, "tversky": TURNED, "focal": LONG, "combo": EMOJI,
         "lovasz_softmax": LINK}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = synthetic(rename=NAMES, levels=(0.97, 0.99), images=4, trials=6, study=f"{SCRIPT}{LINES}{TURNED}")
    classes = results.meta["data"]["classes"]
    at = results.scores.schema.get_field_index("class")
    names = {classes[1]["name"]: "</td><img src=x onerror=alert(2)>", classes[2]["name"]: f"-1+1|{EMOJI}"}
    for one in classes:
        one["name"] = names.get(one["name"], one["name"])
    renamed = [names.get(name, name) for name in results.scores["class"].to_pylist()]
    scores = results.scores.set_column(at, results.scores.schema.field(at), pa.array(renamed))
    path = tmp_path_factory.mktemp("hostile")
    build_report(dataclasses.replace(results, scores=scores), path)
    return path


def test_no_name_becomes_markup_on_the_page(folder):
    text = (folder / "report.html").read_text()
    ours = re.sub(r"<script type=\"module\">.*?</script>", "", text, flags=re.S)
    assert "alert('family')</script>" not in ours
    assert "<img src=x" not in ours
    assert "&lt;script&gt;alert(" in ours
    assert "\u202e" not in ours
    assert f"safe{MARK}gnp.exe{MARK}" in ours


def test_a_browser_runs_nothing_of_it_and_draws_every_chart(browser, folder):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or said.append(request.url))
    page.goto((folder / "report.html").as_uri())
    for chart in page.locator("[data-chart]").all():
        if chart.is_visible():
            chart.scroll_into_view_if_needed()
            page.wait_for_function("place => place.dataset.live === 'yes'", arg=chart.element_handle())
    assert said == []
    assert page.locator("img[src='x']").count() == 0
    # A name of 200 letters breaks its line, not the page.
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_no_cell_of_a_csv_file_is_a_formula(folder):
    texts = 0
    for path in [*(folder / "tables").glob("*.csv"), *(folder / "figures").glob("*.csv")]:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                for cell in row:
                    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                        float(cell)
                    texts += cell.startswith("'=HYPERLINK")
    assert texts > 10


def test_markdown_holds_neither_markup_nor_links_of_a_name(folder):
    text = (folder / "report.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "](javascript" not in text.replace("\\](javascript", "")
    for line in text.splitlines():
        if line.startswith("| ") and "---" not in line:
            assert line.rstrip().endswith("|")


def test_latex_holds_no_command_of_a_name(folder):
    for path in [*(folder / "tables").glob("*.tex"), folder / "methods.tex"]:
        text = path.read_text()
        body = text.split("\\midrule")[-1]
        assert "\\end{table} %" not in body
        assert text.count("\\begin{table}") == text.count("\\end{table}")
        assert not re.search(r"(?<!\\)[%#]", body)
        ours = body.replace(r"\{", "").replace(r"\}", "")
        assert ours.count("{") - ours.count("}") == 0


def test_letters_of_right_to_left_scripts_stay():
    assert visible("חתך שבר") == "חתך שבר"
    assert visible("a\u202eb\u0000c") == f"a{MARK}b{MARK}c"
