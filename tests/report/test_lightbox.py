"""Pictures in a browser: enlarged by mouse and keys, crisp, and never wider than the page."""

from __future__ import annotations

import re

import pytest

from sweeper.report import page as page_module
from sweeper.report.document import Document
from sweeper.report.sections.panels import panels

from .kept import keep_all, with_curve_errors
from .parts import without_pictures
from .synthetic import synthetic

LONG = "a_family_of_a_very_long_name" * 7


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results = synthetic(["dice", "tversky", "cross_entropy"], levels=(0.97, 0.99), images=2, trials=2,
                        rename={"tversky": LONG})  # fmt: skip
    results = with_curve_errors(results, {"log_00": 0.1, "log_01": 0.2})
    keep_all(results, folder / "panels", scans=2)
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        patch.setattr(page_module, "build_sections", lambda document: iter([panels(document)]))
        return page_module.write_report(Document(results, pictures=folder / "panels"), folder / "out")


@pytest.fixture
def tab(browser, report):
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert said == []


def titles(tab):
    return tab.eval_on_selector_all("#panels .shot", "shots => shots.map((one) => one.dataset.title)")


def shown(tab):
    return tab.locator("#lightbox .enlarged figcaption").all_text_contents()


def test_a_click_enlarges_a_family_beside_input_and_truth(tab):
    box = tab.locator("#lightbox")
    assert not box.is_visible()
    tab.locator("#panels .shot").nth(1).click()
    assert box.is_visible()
    assert shown(tab) == ["input", "truth", "prediction", "errors"]
    title = tab.locator("#lightbox-title").text_content()
    assert title == titles(tab)[1]
    assert re.search(r"\): \d+ pixels? missed, \d+ false alarms?$", title)
    assert "at 99\u00a0% background" in title
    enlarged = box.locator("img").nth(2)
    assert enlarged.bounding_box()["width"] > 1.5 * tab.locator("#panels .shot img").nth(2).bounding_box()["width"]
    assert enlarged.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
    assert enlarged.get_attribute("alt").startswith("Prediction of ")
    tab.get_by_label("Next picture").click()
    assert tab.locator("#lightbox-title").text_content() == titles(tab)[2]
    tab.get_by_label("Close").click()
    assert not box.is_visible()


def test_input_and_truth_alone_are_enlarged_once(tab):
    tab.locator("#panels .given .shot").first.click()
    assert shown(tab) == ["input", "truth"]


def test_everything_works_by_keys_alone(tab):
    order = titles(tab)
    tab.locator("#panels .shot").nth(2).focus()
    tab.keyboard.press("Enter")
    seen = [tab.locator("#lightbox-title").text_content()]
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        tab.keyboard.press(key)
        seen.append(tab.locator("#lightbox-title").text_content())
    assert seen == [order[place] for place in (2, 3, 4, 3, 2, 1, 0)]
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#lightbox-title").text_content() == order[-1], "round to the last one"
    tab.keyboard.press("Escape")
    assert not tab.locator("#lightbox").is_visible()
    # The browser tells of the closing a moment after it: then the focus goes to the picture last shown.
    tab.wait_for_function("title => document.activeElement.dataset.title === title", arg=order[-1])
    tab.keyboard.press("Space")
    assert tab.locator("#lightbox").is_visible()


def test_a_click_beside_the_box_closes_it(tab):
    tab.locator("#panels .shot").first.click()
    tab.mouse.click(3, 3)
    assert not tab.locator("#lightbox").is_visible()


@pytest.mark.parametrize("width", [400, 700, 1280])
def test_pictures_are_never_wider_than_the_page(tab, width):
    tab.set_viewport_size({"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [one.bounding_box() for one in tab.locator("#panels .shot, #panels .about").all()]
    assert max(box["x"] + box["width"] for box in boxes) <= width
    # Two families beside each other even on a phone.
    tiles = [one.bounding_box() for one in tab.locator("#panels .shots li").all()[:2]]
    assert tiles[0]["y"] == tiles[1]["y"]
    tab.locator("#panels .shot").nth(1).click()
    box = tab.locator("#lightbox").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_the_missed_object_is_ringed_in_every_picture_of_its_case(tab):
    case = tab.locator("#panels .case", has_text="mallest object missed")
    assert case.locator(".ring").count() == case.locator(".shot img").count() > 0
    picture, ring = (case.locator(one).first.bounding_box() for one in (".picture", ".ring"))
    middle = [(ring[a] + ring[b] / 2 - picture[a]) / picture[b] for a, b in (("x", "width"), ("y", "height"))]
    style = case.locator(".ring").first.evaluate("one => [one.style.left, one.style.top, one.style.width]")
    left, top, size = (float(each.removesuffix("%")) / 100 for each in style)
    assert middle == pytest.approx([left + size / 2, top + size / 2], abs=0.01)


def test_pictures_can_be_read_by_everyone(tab):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for words in ("closed", "open"):
        if words == "open":
            tab.locator("#panels .shot").nth(1).click()
        found = axe.run(tab).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
