"""MLflow's own page on a finished study, in a browser: one row per family, their trials below, a picture opened."""

from __future__ import annotations

import re

import pytest

from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.results.parquet import load

PATIENCE = 60_000
"""Milliseconds: the page is several megabytes of script, and the machine may be busy."""

CELLS = '.ag-row [col-id="attributes.`Run Name`"]'
NAMES = f"{CELLS} a"


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport={"width": 1700, "height": 1000})
    context.set_default_timeout(PATIENCE)
    return context


@pytest.fixture
def opened(context):
    """Open an address and close what MLflow lays over a first visit."""
    tab = context.new_page()

    def open_(url: str):
        tab.goto(url)
        assistant = tab.locator('[data-component-id="mlflow.assistant.chat_panel.close"]')
        tab.locator('[aria-label="Toggle sidebar"]').first.wait_for()
        if assistant.count():
            assistant.click()
        return tab

    yield open_
    tab.close()


@pytest.fixture(scope="module")
def runs(finished):
    client = connect(sqlite_uri(finished / "mlflow.db"))
    experiment = client.get_experiment_by_name("tiny").experiment_id
    return client.search_runs([experiment], max_results=500)


def address(page: str, path: str) -> str:
    """Return the address of another place on the server, in its model training mode."""
    return f"{page.partition('#')[0]}#/experiments/1/{path}?workflowType=machine_learning"


def test_the_view_has_one_row_per_family_best_first_with_its_scores(opened, page, runs):
    tab = opened(page)
    rows = tab.locator(NAMES)
    rows.first.wait_for()
    families = {run.info.run_name: run for run in runs if run.data.tags[layout.KIND] == "family"}
    shown = [text.strip() for text in rows.all_inner_texts()]
    scores = {name: run.data.metrics["minority_iou"] for name, run in families.items()}
    assert sorted(shown) == ["cross_entropy", "tversky"]
    assert shown == sorted(shown, key=lambda name: -scores[name])
    for column, digits in (("minority_iou", 4), ("minority_iou_high", 4), ("shifted/minority_iou", 4), ("trials", 0)):
        cells = tab.locator(f'.ag-row [col-id="metrics.`{column}`"]').all_inner_texts()
        wanted = [families[name].data.metrics[column] for name in shown]
        assert [round(float(text.rstrip("…")), digits) for text in cells] == [round(one, digits) for one in wanted]


def test_the_chart_view_compares_families_without_being_set_up(opened, page):
    tab = opened(f"{page}&compareRunsMode=CHART")
    titles = tab.get_by_text(re.compile(r"^by_level/minority_(iou|precision|recall)$"))
    titles.first.wait_for()
    assert titles.count() == 3
    chart = tab.locator(".js-plotly-plot").first
    chart.wait_for()
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length >= 2")
    drawn = tab.evaluate("[...document.querySelector('.js-plotly-plot').data].map(one => [one.name, ...one.x])")
    assert {tuple(one) for one in drawn} == {("cross_entropy", 9500, 9700), ("tversky", 9500, 9700)}


def test_the_study_opens_to_families_and_a_family_to_its_trials(opened, page, runs):
    tab = opened(address(page, "runs"))
    names = tab.locator(NAMES)

    def open_row(name: str) -> None:
        tab.locator(CELLS).filter(has=tab.locator("a", has_text=re.compile(f"^{name}$"))).locator("button").click()

    names.first.wait_for()
    assert names.all_inner_texts() == ["tiny"], "closed, the study is one row"
    open_row("tiny")
    names.nth(2).wait_for()
    assert sorted(names.all_inner_texts()) == ["cross_entropy", "tiny", "tversky"]
    open_row("tversky")
    names.nth(3).wait_for()
    trials = [run for run in runs if run.data.tags[layout.KIND] == "trial"]
    own = [run.info.run_name for run in trials if run.data.tags[layout.FAMILY] == "tversky"]
    assert sorted(names.all_inner_texts()) == sorted(["cross_entropy", "tiny", "tversky", *own])


def test_a_panel_is_opened_from_its_trial(opened, page, finished, runs):
    results = load(finished / "results")
    tuned = results.trials.filter(results.trials["is_tuned"])
    key = next(row["key"] for row in tuned.to_pylist() if row["seed"] == 1000)
    run = next(run for run in runs if run.data.tags.get(layout.TRIAL_KEY) == key)
    tab = opened(address(page, f"runs/{run.info.run_id}/artifacts"))
    tab.get_by_text("prediction_0.png").first.click()
    tab.wait_for_function("[...document.images].some(one => one.naturalWidth >= 512)")


def test_the_studys_run_keeps_report_panels_and_results(opened, page, runs):
    (study,) = [run for run in runs if run.data.tags[layout.KIND] == "study"]
    tab = opened(address(page, f"runs/{study.info.run_id}/artifacts"))
    for name in ("report", "panels", "results", "meta.json", "study.yaml"):
        tab.get_by_text(name, exact=True).first.wait_for()
    tab.get_by_text("results", exact=True).first.click()
    tab.get_by_text("margins.parquet").first.wait_for()
