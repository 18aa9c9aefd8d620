"""What is said of falls where a study is too small, or its levels too near, to have any."""

from __future__ import annotations

import pyarrow as pa

from sweeper.report import page
from sweeper.report.document import Document
from sweeper.report.plane import placing
from sweeper.report.sections.sensitivity import sensitivity
from sweeper.results.results import Results

from .parts import without_pictures
from .synthetic import synthetic


def at_levels(results: Results, found: dict[float, float]) -> Results:
    """Replace the background fractions that the trials measured on test."""
    measured = pa.array([found[level] for level in results.trials["level"].to_pylist()], pa.float64())
    index = results.trials.schema.get_field_index("level_test")
    return Results(results.trials.set_column(index, "level_test", measured), results.scores, results.meta)


def rendered(document: Document, monkeypatch) -> tuple[str, str]:
    """The section as a page and as its Markdown twin."""
    without_pictures(monkeypatch)
    section = sensitivity(document)
    monkeypatch.setattr(page, "build_sections", lambda _: [section])
    files = page.render(document)
    return files["report.html"].decode(), files["report.md"].decode()


def test_levels_measured_at_one_place_are_given_as_the_reason(monkeypatch):
    apart = synthetic(["dice", "cross_entropy"], levels=(0.95, 0.97), images=4, trials=3)
    document = Document(at_levels(apart, {0.95: 0.950, 0.97: 0.951}))
    assert document.axes.falls == {}
    said = placing.overlap_reading(document.axes)
    assert "lie within 5\u00a0% of foreground of one another" in said
    assert "two levels or more, which are not there" not in said
    for text in rendered(document, monkeypatch):
        assert "lie within 5 % of foreground of one another" in text.replace("\u00a0", " ")
    assert not Document(apart).axes.near
    alone = Document(synthetic(["dice"], levels=(0.95,), images=4, trials=3))
    assert "two levels or more, which are not there" in placing.overlap_reading(alone.axes)


def test_one_level_is_explained_in_markdown_as_on_the_page(monkeypatch):
    document = Document(synthetic(["dice"], levels=(0.95,), images=4, trials=3))
    for text in rendered(document, monkeypatch):
        assert "there is no curve to draw" in text
    monkeypatch.undo()
    empty = Document(synthetic(["dice"], levels=(0.95, 0.97), images=4, trials=3, confirm=False))
    for text in rendered(empty, monkeypatch):
        assert "Nothing is confirmed yet." in text


def test_a_single_test_image_judges_no_label():
    document = Document(synthetic(levels=(0.9, 0.99), images=1, trials=3))
    assert document.axes.groups is None
    assert "single test image" in placing.overlap_reading(document.axes)
