"""The slider of the decision map, in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sweeper.report import page as pages
from sweeper.report.document import Document
from sweeper.report.sections.decision import decision

from .parts import without_pictures
from .weighed import Scorer, weighed

NASTY = "</script><b>tver'\"sky&"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A page with the section alone, and what it was made from."""
    patch = pytest.MonkeyPatch()
    without_pictures(patch)
    results = weighed({"cross_entropy": Scorer(1.0, -6.0, 2.5), "tversky": Scorer(4.5, -2.0, 0.8)},
                      levels=(0.90, 0.97), images=5)  # fmt: skip
    for trials in (results.meta["families"], results.meta["study"]["families"]):
        trials[NASTY] = trials.pop("tversky")
    names = [NASTY if name == "tversky" else name for name in results.trials["family"].to_pylist()]
    trials = results.trials.set_column(2, results.trials.schema.field("family"), [names])
    document = Document(type(results)(trials, results.scores, results.meta, margins=results.margins))
    section = decision(document)
    patch.setattr(pages, "build_sections", lambda _: [section])
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(pages.render(document)["report.html"])
    patch.undo()
    return path, section


@pytest.fixture
def opened(browser, built):
    """The page, ready; fails afterwards if the console has said anything."""
    said: list[str] = []
    view = browser.new_page(viewport={"width": 1200, "height": 900})
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.goto(Path(built[0]).as_uri())
    view.wait_for_selector("#decision .chart svg")
    yield view
    view.close()
    assert said == []


def shown(view, name: str) -> str:
    return view.locator(f"[data-say={name}]").inner_text()


def test_the_slider_and_the_level_change_every_field_to_what_the_map_says(opened, built):
    finder = built[1].words["finder"]
    names = set()
    opened.locator("#finder-level").select_option(index=1 - finder.level)
    assert shown(opened, "place") == finder.advice[1 - finder.level][finder.ratio].place
    for level, ratio in ((0, 0), (0, 52), (1, 20), (1, 0), (1, 52)):
        opened.locator("#finder-level").select_option(index=level)
        opened.locator("#finder-ratio").fill(str(ratio))
        expected = finder.advice[level][ratio]
        assert shown(opened, "family") == expected.family
        assert shown(opened, "setting") == f"({expected.setting})"
        for name in ("place", "threshold", "misses", "alarms", "cost", "sure", "runner_up"):
            assert shown(opened, name) == getattr(expected, name)
        assert opened.locator("#finder-ratio").get_attribute("aria-valuetext") == finder.ratios[ratio]
        names.add(expected.family)
    assert names == {"cross_entropy", NASTY}


def test_it_works_by_keyboard_and_is_labelled(opened, built):
    finder = built[1].words["finder"]
    slider = opened.get_by_label("Cost of a missed minority pixel, in false alarms")
    slider.focus()
    opened.keyboard.press("End")
    assert shown(opened, "family") == finder.advice[finder.level][-1].family == NASTY
    opened.keyboard.press("Home")
    assert shown(opened, "family") == finder.advice[finder.level][0].family == "cross_entropy"
    opened.keyboard.press("ArrowRight")
    assert shown(opened, "place") == finder.advice[finder.level][1].place
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.id") == "finder-level"
    heard = opened.locator("#finder [role=status]")
    assert heard.get_attribute("aria-live") == "polite"
    # Read out when the slider has come to rest, and then without the place, which the slider says itself.
    spoken = finder.advice[finder.level][1].spoken
    opened.wait_for_function("said => document.getElementById('finder-heard').textContent === said", arg=spoken)


def test_what_is_passed_on_the_way_is_not_read_out(opened, built):
    finder = built[1].words["finder"]
    opened.evaluate("""() => {
        window.said = [];
        const heard = document.getElementById('finder-heard');
        new MutationObserver(() => window.said.push(heard.textContent)).observe(heard, {childList: true});
        const slider = document.getElementById('finder-ratio');
        for (const ratio of [10, 20, 30, 50]) {
            slider.value = ratio;
            slider.dispatchEvent(new Event('input', {bubbles: true}));
        }
    }""")
    opened.wait_for_function("window.said.length > 0")
    opened.wait_for_timeout(600)
    assert opened.evaluate("window.said") == [finder.advice[finder.level][50].spoken]


def test_nothing_moves_when_another_family_is_named(opened):
    """Not even on a phone: the words below stay where they are."""
    for width in (1200, 390):
        opened.set_viewport_size({"width": width, "height": 800})
        heights = set()
        for ratio in (0, 26, 52):
            opened.locator("#finder-ratio").fill(str(ratio))
            heights.add(opened.locator("#finder .found").bounding_box()["height"])
        assert width == 390 or len(heights) == 1
        assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_every_tick_stands_under_the_place_of_its_ratio(opened):
    slider = opened.locator("#finder-ratio").bounding_box()
    for tick, text in ((0, "1/20"), (4, "1"), (8, "20")):
        box = opened.locator("#finder .ticks span").nth(tick).bounding_box()
        assert opened.locator("#finder .ticks span").nth(tick).inner_text() == text
        middle = box["x"] + box["width"] / 2
        # The middle of the thumb travels from half its width to half its width before the end.
        expected = slider["x"] + 8 + (slider["width"] - 16) * (0, 0, 0, 0, 0.5, 0, 0, 0, 1)[tick]
        assert middle == pytest.approx(expected, abs=3)


def test_without_script_it_says_where_the_numbers_are(browser, built):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(Path(built[0]).as_uri())
    finder = built[1].words["finder"]
    assert shown(view, "family") == finder.first.family
    assert shown(view, "misses") == finder.first.misses
    assert view.locator("#finder-ratio").is_disabled()
    context.close()
    # Chromium parses noscript by the browser's settings, which a page without scripts does not change.
    (note,) = re.findall(r"<noscript>(<p.*?</p>)</noscript>", built[0].read_text())
    anchors = re.findall(r'href="#([^"]+)"', note)
    assert anchors == ["table-decision", "table-decision_regions"]
    for anchor in anchors:
        assert f'id="{anchor}"' in built[0].read_text()
    assert 'for all 53 in <a href="tables/decision.csv">' in note


def test_in_the_dark_the_map_keeps_its_colors_and_its_words_turn_light(browser, built):
    view = browser.new_page(color_scheme="dark")
    view.goto(Path(built[0]).as_uri())
    view.wait_for_selector("#decision .chart svg .mark-text text")
    label = view.locator("#decision .chart svg .mark-text text").first
    assert label.evaluate("one => getComputedStyle(one).fill") == "rgb(230, 232, 236)"
    view.close()
