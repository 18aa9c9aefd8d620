from __future__ import annotations

import html
import re
from typing import Any

import pytest

from sweeper.report import page, sections
from sweeper.report.charts.axes import ticks
from sweeper.report.document import Document
from sweeper.report.output.figure import Figure
from sweeper.report.plane.contradictions import Contradiction
from sweeper.report.sections.plane import NAMED, plane
from sweeper.report.sections.sensitivity import PANELS, sensitivity
from sweeper.results.results import Results
from sweeper.results.schema import SCORES, TRIALS

from .synthetic import synthetic

HOSTILE = {
    "dice": "<script>alert(1)</script>",
    "tversky": "\u202e\"quoted' |pipe|* " + "x" * 200,
    "cross_entropy": "😀 emoji & more",
}


@pytest.fixture(autouse=True)
def sections_of_this_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sections, "SECTIONS", (plane, sensitivity))
    monkeypatch.setattr(Figure, "svg", "<svg/>")
    monkeypatch.setattr(Figure, "png", b"")
    monkeypatch.setattr(Figure, "pdf", b"")


def rendered(results: Results) -> dict[str, str]:
    files = page.render(Document(results))
    return {name: files[name].decode() for name in files if name.endswith((".html", ".md", ".csv", ".tex"))}


def words(page_: str) -> str:
    return html.unescape(re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", page_, flags=re.S))


ODD: dict[str, dict[str, Any]] = {
    "one family": {"families": ["dice"]},
    "one level": {"families": ["focal", "dice"], "levels": (0.97,)},
    "two levels": {"families": ["focal", "dice"], "levels": (0.9, 0.97)},
    "one seed": {"families": ["focal", "dice"], "seeds": 1},
    "one seed, one picture": {"families": ["focal", "dice"], "seeds": 1, "images": 1},
    "a family failed": {"families": ["focal", "dice"], "failing": ["focal"]},
    "all failed": {"families": ["focal", "dice"], "failing": ["focal", "dice"]},
    "collapsed": {"families": ["combo", "dice"], "collapsing": ["combo", "dice"]},
    "class absent": {"families": ["focal", "dice"], "absent": "curve 2"},
    "no confirm": {"families": ["focal", "dice"], "confirm": False},
    "half-finished": {"families": ["focal", "dice"], "missing": [("dice", 0.99), ("focal", 0.9)]},
    "searched everywhere": {"families": ["focal", "tversky"], "searched": "all", "trials": 12},
    "nine families": {"families": 9},
}


@pytest.mark.parametrize("case", ODD)
def test_no_study_is_too_odd(case: str):
    results = synthetic(**{"images": 4, "trials": 6, **ODD[case]})
    document = Document(results)
    # The curves are those of every report, which other tests check.
    for figure in (plane(document).figures["plane"], sensitivity(document).figures["each_family"]):
        assert figure is None or figure.chart.to_dict(validate=True)
    said = rendered(results)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", words(said["report.html"]))
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", said["report.md"])


def test_no_trial_at_all():
    results = synthetic(2, confirm=False)
    empty = Results(TRIALS.empty_table(), SCORES.empty_table(), {**results.meta, "ledger": []})
    assert "takes confirmed scores at two levels" in words(rendered(empty)["report.html"])


def test_label_and_measurement_stand_together_in_every_place():
    results = synthetic(trials=12)
    axes = Document(results).axes
    said = rendered(results)
    fall = f"{axes.falls['tversky', 'argmax'].interval.mean:.3f}"
    span = f"{axes.spans_here['tversky'].span:.3f}"
    cell = said["report.html"].split('<strong title="Tversky loss">')[1].split("</div>")[0]
    assert fall in cell
    assert f"recall span <b>{span}" in cell
    row = re.search(r"^\| tversky \| overlap-aware \|.*$", said["report.md"], re.M)
    assert row is not None
    assert fall in row[0]
    assert "tunable" in row[0]
    assert span in row[0]
    header, *lines = said["tables/design_space.csv"].splitlines()
    assert {"overlap", "tradeoff", "fall", "fall_low", "fall_high", "span", "contradicts"} <= set(header.split(","))
    assert len(lines) == 12


def test_the_curves_have_their_slopes_beside_them():
    results = synthetic(["dice", "cross_entropy"])
    section = sensitivity(Document(results))
    frame = section.tables["falls"].frame
    assert list(frame["family"]) == ["dice", "cross_entropy"]
    assert (frame["fall_shifted"] < frame["fall"]).all()
    assert "least-squares line through 4 levels from 90\u00a0% to 99\u00a0%" in section.tables["falls"].caption
    assert "10 times scarcer." in section.tables["falls"].caption
    assert section.figures["each_family"] is None


def test_two_levels_are_called_a_difference_and_a_short_way_an_extrapolation():
    section = sensitivity(Document(synthetic(["dice"], levels=(0.95, 0.97))))
    assert "the difference between 95\u00a0% and 97\u00a0%" in section.tables["falls"].caption
    assert "1.67 times scarcer, so that ten times is an extrapolation" in section.tables["falls"].caption
    # Whatever the truth, two points lie on their line.
    assert section.tables["falls"].grid.rows[0][5].text == "–"


def test_the_rule_of_selection_is_on_the_tables_of_results():
    results = synthetic(["dice", "tversky"])
    for section in (plane(Document(results)), sensitivity(Document(results))):
        for name in ("design_space", "axes", "falls"):
            if name in section.tables:
                assert results.meta["selection"] in section.tables[name].caption


def test_many_families_keep_the_page_readable():
    results = synthetic(66, levels=(0.95, 0.99), images=3, trials=2, seeds=2)
    document = Document(results)
    section, curves = plane(document), sensitivity(document)
    spec = str(section.figures["plane"].chart.to_dict())
    named = re.findall(r"'name': '([a-z_0-9]+)'", spec)
    assert 0 < len(named) <= 2 * NAMED
    assert "which the tooltip names" in section.figures["plane"].caption
    panels = curves.figures["each_family"]
    assert panels.chart.to_dict(validate=True)
    assert len({row["family"] for row in next(iter(panels.chart.to_dict()["datasets"].values()))}) == PANELS
    assert f"The {PANELS} best" in panels.caption
    assert len(panels.script) < 200_000
    assert len(curves.tables["falls"].frame) == 66


def test_names_are_only_names():
    said = rendered(synthetic(["dice", "tversky", "cross_entropy"], rename=HOSTILE, trials=6, images=4))
    page_ = said["report.html"]
    assert "<script>alert" not in page_
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page_
    assert "<script>" not in said["report.md"]
    for words_ in ("<script>alert(1)</script>", "\"quoted' |pipe|* " + "x" * 200, "😀 emoji & more"):
        assert words_ in html.unescape(page_)


def test_a_contradiction_stands_on_top_of_the_section():
    document = Document(synthetic(["dice", "focal"], images=4, trials=3))
    # Worked out once, and so may be put in its place.
    document.axes.__dict__["contradictions"] = (
        Contradiction("dice", "overlap-aware", "dice is called what it is not."),
    )
    page_ = page.render(document)["report.html"].decode()
    assert page_.index("Measured otherwise than called") < page_.index("dice is called what it is not.")
    assert page_.index("dice is called what it is not.") < page_.index('id="figure-plane"')
    assert "measured otherwise than called: overlap-aware" in page_


@pytest.mark.parametrize(
    ("ends", "expected"), [((-0.02, 0.41), [0, 0.1, 0.2, 0.3, 0.4]), ((0, 0.05), [0, 0.01, 0.02, 0.03, 0.04, 0.05])]
)
def test_ticks_are_round_and_hold_zero(ends: tuple[float, float], expected: list[float]):
    assert ticks(*ends) == pytest.approx(expected)
