"""The numbers in the families' rows are those of the report."""

from __future__ import annotations

import pytest

from sweeper.orchestration.outcome import study_outcome
from sweeper.report.document import Document
from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.results.parquet import load

from ..report.synthetic import synthetic


@pytest.fixture(scope="module")
def rows(finished):
    client = connect(sqlite_uri(finished / "mlflow.db"))
    experiment = client.get_experiment_by_name("tiny").experiment_id
    runs = client.search_runs([experiment], f"tags.`{layout.KIND}` = 'family'")
    return {run.data.tags[layout.FAMILY]: run for run in runs}


def test_scores_and_intervals_are_those_of_the_report(finished, rows):
    measured = Document(load(finished / "results")).measured
    measured = measured[(measured["class"] == "(minority)") & measured["metric"].isin(["iou", "recall", "precision"])]
    seen = 0
    for row in measured.to_dict("records"):
        shown = rows[row["family"]].data.metrics
        point = "" if row["point"] == "argmax" else "shifted/"
        if row["setting"] == "default":
            if row["point"] == "shifted":
                continue
            names = [f"default/level_{row['level']:g}/"]
        else:
            names = [f"level_{row['level']:g}/{point}"] + [point] * (row["level"] == 0.97)
        for name in names:
            seen += 1
            assert shown[f"{name}minority_{row['metric']}"] == pytest.approx(row["mean"], abs=1e-9)
            if row["setting"] == "tuned" and row["metric"] == "iou":
                assert shown[f"{name}minority_iou_low"] == row["low"]
                assert shown[f"{name}minority_iou_high"] == row["high"]
    assert seen == 2 * 3 * (4 + 2 + 2), "families, metrics; levels and points, the reference again, the default"


def test_the_answer_is_the_studys_description(finished):
    client = connect(sqlite_uri(finished / "mlflow.db"))
    (study,) = client.search_runs(["1"], f"tags.`{layout.KIND}` = 'study'")
    assert study.data.tags[layout.NOTE] == Document(load(finished / "results")).answer.summary


def test_colors_are_those_of_the_report(finished, rows):
    look = Document(load(finished / "results")).look
    assert {name: run.data.tags[layout.COLOR] for name, run in rows.items()} == {
        name: style.color for name, style in look.items()
    }


def test_with_one_seed_no_interval_is_shown_where_the_report_has_none():
    document = Document(synthetic(["cross_entropy", "dice"], levels=(0.97,), seeds=1, images=4))
    outcome = study_outcome(document)
    measured = document.measured
    tuned = measured[(measured["setting"] == "tuned") & (measured["class"] == "(minority)")]
    defined = tuned[tuned["metric"] == "iou"].dropna(subset=["low", "high"])
    for family, shown in outcome.families.items():
        assert bool(shown.scores) == (family in set(defined["family"]))
