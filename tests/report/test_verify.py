from __future__ import annotations

import json
import re
import shutil

import pytest

from sweeper.errors import ResultsError
from sweeper.report import verify as verify_module
from sweeper.report.page import build_report
from sweeper.report.verify import verify

from .parts import without_pictures
from .synthetic import synthetic

STUDY = {"families": ["cross_entropy", "tversky"], "levels": (0.95, 0.99), "images": 4, "trials": 6}


@pytest.fixture(scope="module")
def results():
    return synthetic(**STUDY)


@pytest.fixture(scope="module")
def built(results, tmp_path_factory):
    """A report whose figures cost nothing to draw, here and when it is worked out again."""
    folder = tmp_path_factory.mktemp("verify") / "report"
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        build_report(results, folder, seed=3, rope=0.02)
        yield folder


@pytest.fixture(scope="module", autouse=True)
def remembered():
    """Work a report out once for the same results and settings: every test compares another stored one with it."""
    known: dict[object, dict[str, bytes]] = {}

    def render(document):
        key = (document.results.digest, document.seed, document.rope, document.dials)
        if key not in known:
            known[key] = own(document)
        return known[key]

    own = verify_module.render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_module, "render", render)
        yield


@pytest.fixture
def report(built, tmp_path):
    return shutil.copytree(built, tmp_path / "report")


def test_a_report_with_its_pictures_follows_from_its_results(tmp_path):
    results = synthetic(["cross_entropy", "tversky"], levels=(0.97,), images=3, trials=6)
    build_report(results, tmp_path)
    assert verify(results, tmp_path).problems == ()


def test_a_report_follows_from_its_results_under_its_own_settings(results, built):
    found = verify(results, built)
    assert found.problems == ()
    assert found.holds
    assert found.numbers > 300
    assert found.tables > 10
    assert found.files > 50


def test_a_digit_of_a_table_that_differs_is_named(results, report):
    path = report / "tables/standings.csv"
    text = path.read_text()
    digit = re.search(r"0\.\d{4}", text)
    assert digit is not None
    at = digit.end() - 1
    path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    (problem,) = verify(results, report).problems
    assert problem.startswith("tables/standings.csv: line 2 says")
    assert "recomputed" in problem


def test_a_number_of_the_manifest_that_differs_is_named_by_row_and_column(results, report):
    path = report / "report.json"
    stored = json.loads(path.read_text())
    table = stored["tables"]["standings"]
    column = table["columns"].index("score")
    table["rows"][1][column] += 1e-9
    path.write_text(json.dumps(stored))
    (problem,) = verify(results, report).problems
    assert problem.startswith("table standings, row 2, score: says ")


def test_a_number_of_the_page_that_differs_is_found(results, report):
    path = report / "report.html"
    text = path.read_text()
    at = text.index('class="summary"') + text[text.index('class="summary"') :].index("0.") + 3
    path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    assert [one.partition(":")[0] for one in verify(results, report).problems] == ["report.html"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda one: one["answer"].update(summary="dice wins"), "report.json, answer"),
        (lambda one: one["data"].update(fingerprint="0"), "report.json, data"),
        (lambda one: one.update(finished=False), "report.json, finished"),
        (lambda one: one["tables"]["standings"].update(caption="x"), "table standings, caption"),
        (lambda one: one["figures"]["glance"]["rows"][0].update(mean=1.0), "report.json, figures"),
        (lambda one: one.update(more=1), "report.json, more"),
    ],
)
def test_whatever_the_manifest_says_is_compared(results, report, change, where):
    path = report / "report.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    (problem,) = verify(results, report).problems
    assert problem.startswith(f"{where}: says ")


@pytest.mark.parametrize(
    "name", ["figures/glance.png", "figures/glance.pdf", "tables/standings.parquet", "methods.tex"]
)
def test_a_file_that_was_replaced_is_found(results, report, name):
    (report / name).write_bytes(b"something else")
    (problem,) = verify(results, report).problems
    assert problem.startswith(f"{name}: ")


def test_a_table_that_does_not_belong_is_found(results, report):
    (report / "tables/forged.csv").write_text("family,score\n")
    assert verify(results, report).problems == ("tables/forged.csv: is not of this report",)


def test_another_version_of_a_library_is_a_note(results, report):
    path = report / "report.json"
    stored = json.loads(path.read_text())
    stored["made_with"]["altair"] = "0.1"
    path.write_text(json.dumps(stored))
    found = verify(results, report)
    assert found.holds
    assert "built with altair 0.1" in found.notes[0]


def test_other_results_other_seed_and_missing_files_are_told(results, report):
    other = verify(synthetic(**STUDY, seed=1), report)
    assert "their digest differs" in other.problems[0]
    assert any(one.startswith("table standings, row ") for one in other.problems)
    (report / "tables/standings.tex").unlink()
    assert [one.partition(":")[0] for one in verify(results, report).problems] == ["tables/standings.tex"]
    stored = json.loads((report / "report.json").read_text())
    stored["settings"]["seed"] = 4
    (report / "report.json").write_text(json.dumps(stored))
    assert not verify(results, report).holds


def test_no_report_or_a_damaged_one_is_one_clear_message(results, tmp_path):
    with pytest.raises(ResultsError, match=r"report\.json: there is no report to verify"):
        verify(results, tmp_path)
    for text in ("{", "[]", '{"report": 0}', '{"report": 1, "settings": 3}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(ResultsError, match=r"report\.json: (is damaged|was written by another version)"):
            verify(results, tmp_path)
