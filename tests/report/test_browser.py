"""The page in a browser: it asks for nothing, draws everything, moves nothing, and can be read by everyone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.report.page import build_report

from .synthetic import synthetic

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    results = synthetic(["cross_entropy", "focal", "tversky", "dice"], levels=(0.95, 0.97, 0.99), images=6, trials=8)
    return build_report(results, tmp_path_factory.mktemp("report"))


def opened(browser, report: Path, **context):
    """Open the page, scrolled through once so that every chart has come into view; what it says goes into a list."""
    page = browser.new_context(**{"viewport": WIDE, **context}).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or said.append(request.url))
    page.goto(report.as_uri())
    for chart in page.locator("[data-chart]").all():
        if chart.is_visible():
            chart.scroll_into_view_if_needed()
            chart.page.wait_for_function("place => place.dataset.live === 'yes'", arg=chart.element_handle())
    return page, said


def test_it_draws_every_chart_says_nothing_and_asks_for_nothing(browser, report):
    page, said = opened(browser, report)
    assert said == []
    assert page.locator("[data-chart]").count() >= 8
    assert page.locator("[data-chart] svg.marks").count() == page.locator("[data-chart]").count()


def test_without_a_script_every_chart_is_there_as_a_still_picture(browser, report):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(report.as_uri())
    charts = page.locator("[data-chart] > svg")
    assert charts.count() == page.locator("[data-chart]").count()
    assert all(chart.get_attribute("aria-label") for chart in charts.all())


def test_nothing_moves_when_charts_come_alive(browser, report):
    page = browser.new_context(viewport=WIDE).new_page()
    page.goto(report.as_uri())
    height = "document.documentElement.scrollHeight"
    before = page.evaluate(height)
    for chart in page.locator("[data-chart]").all():
        if chart.is_visible():
            chart.scroll_into_view_if_needed()
    page.wait_for_timeout(2000)
    assert page.locator("[data-live]").count() > 5
    assert abs(page.evaluate(height) - before) <= 2


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)], ids=["light, wide", "dark, phone"])
def test_axe_finds_no_serious_violation(browser, report, scheme, viewport):
    from axe_playwright_python.sync_playwright import Axe

    page, _ = opened(browser, report, color_scheme=scheme, viewport=viewport)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_dark_page_is_dark_and_its_charts_can_be_read(browser, report):
    page, _ = opened(browser, report, color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    words = page.evaluate("getComputedStyle(document.querySelector('[data-chart] svg text')).fill")
    assert max(_channels(ground)) < 60
    assert min(_channels(words)) > 180


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_itself_never_scrolls_sideways(browser, report, viewport):
    page, _ = opened(browser, report, viewport=viewport)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_it_prints_without_navigation_and_on_white(browser, report):
    page, _ = opened(browser, report, color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert min(_channels(page.evaluate("getComputedStyle(document.body).backgroundColor"))) == 255
    assert page.pdf().startswith(b"%PDF")


def _channels(color: str) -> list[int]:
    return [int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]]
