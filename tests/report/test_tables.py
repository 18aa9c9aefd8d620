from __future__ import annotations

import dataclasses
import math

import pytest

from sweeper.report import tables
from sweeper.report.comparisons import headline
from sweeper.report.evidence import gather
from sweeper.report.literature import literature
from sweeper.report.measured import measured, select
from sweeper.report.plane.axes import axes
from sweeper.results.schema import MINORITY

from .synthetic import synthetic


@pytest.fixture(scope="module")
def results():
    return synthetic(collapsing=["combo"], failing=["focal"])


@pytest.fixture(scope="module")
def rows(results):
    return measured(results, gather(results))


def test_the_design_space_holds_every_family_in_its_cell_with_measured_scores(results, rows):
    placed = axes(results, gather(results), headline(results), rope=0.01).frame
    frame = tables.design_space(results, rows, placed)
    assert set(frame["level"]) == {0.97, 0.99}
    tversky = frame[(frame["family"] == "tversky") & (frame["level"] == 0.99)].iloc[0]
    assert (tversky["overlap"], tversky["tradeoff"]) == ("overlap-aware", "tunable")
    found = select(
        rows, family="tversky", level=0.99, setting="tuned", point="argmax", class_=MINORITY, metric="recall"
    ).iloc[0]
    assert (tversky["recall"], tversky["recall_low"]) == (found["mean"], found["low"])
    assert math.isnan(frame[frame["family"] == "focal"]["iou"].iloc[0])
    assert len(frame) == 2 * 6
    assert tversky["fall"] == placed.set_index("family").at["tversky", "fall"]


def test_one_level_is_shown_once():
    assert tables.shown_levels(synthetic(1, levels=(0.97,))) == [0.97]


def test_settings_in_use_show_what_was_tuned():
    results = synthetic(["focal", "dice"], searched="all", levels=(0.95, 0.97))
    frame = tables.chosen_settings(results)
    assert set(frame["family"]) == {"focal"}
    assert set(frame["hyperparameter"]) == {"alpha", "gamma"}
    gamma = frame[(frame["hyperparameter"] == "gamma") & (frame["level"] == 0.95)].iloc[0]
    assert gamma["default"] == 2.0
    assert gamma["symbol"] == "γ"
    assert gamma["tuned"] != 2.0
    assert frame["searched"].all()


def test_what_a_study_holds_fixed_is_told_from_what_it_searched():
    results = synthetic(["focal"], levels=(0.97,))
    results.meta["families"]["focal"]["hyperparameters"]["alpha"]["domain"] = 0.25
    frame = tables.chosen_settings(results).set_index("hyperparameter")
    assert frame["searched"].to_dict() == {"alpha": False, "gamma": True}


def test_missing_cells():
    frame = tables.missing(synthetic(2, missing=[("focal", 0.90)]))
    assert frame.to_dict("records") == [{"family": "focal", "level": 0.90, "seeds": 0, "planned": 3}]


def test_provenance_names_data_versions_and_command(results):
    frame = tables.provenance(results)
    found = {(row.section, row.key): row.value for row in frame.itertuples()}
    assert found["data", "fingerprint"] == "0123456789abcdef"
    assert found["versions", "torch"] == "2.6.0"
    assert found["study", "command"].startswith("sweeper run")
    assert found["host", "gpu"] == "null"


def test_provenance_names_every_picture_that_was_left_out(results):
    assert not any(str(key).startswith("skipped") for key in tables.provenance(results)["key"])
    skipped = [{"split": "val", "picture": "scan 7", "reason": "images/scan 7.png cannot be read: truncated"}]
    meta = {**results.meta, "data": {**results.meta["data"], "skipped": skipped}}
    frame = tables.provenance(dataclasses.replace(results, meta=meta))
    told = frame[frame["key"] == "skipped from val"].iloc[0]
    assert (told["section"], told["value"]) == ("data", "scan 7: images/scan 7.png cannot be read: truncated")


def test_provenance_tells_how_well_networks_were_trained_where_there_are_any(results):
    assert "artefacts" not in set(tables.provenance(results)["section"])
    report = {"error": "1 − Dice", "validation_error": 0.12345, "chance_error": 0.5, "train_error": 0.1}
    meta = {**results.meta, "data": {**results.meta["data"], "artefacts": {"mask_autoencoder": report}}}
    frame = tables.provenance(dataclasses.replace(results, meta=meta))
    row = frame[frame["section"] == "artefacts"]
    assert row.to_dict("records") == [
        {
            "section": "artefacts",
            "key": "mask_autoencoder",
            "value": "1 − Dice 0.123 on held-out training masks, 0.5 for one that has learned nothing",
        }
    ]


def test_literature_is_marked_as_such():
    frame = literature()
    assert set(frame["label"]) == {"literature, other data, not measured here"}
    dice = frame[(frame["family"] == "dice") & (frame["metric"] == "F1") & (frame["class"] == "foreground")]
    assert dice["value"].tolist() == [0.970]


def test_an_error_of_a_curve_has_its_coverage_beside_it():
    results = synthetic(["dice", "tversky"], levels=(0.97, 0.99), curves=True)
    frame = tables.curves(measured(results, gather(results)))
    assert len(frame) == 2 * 2 * 2 * 2
    one = frame.set_index(["family", "level", "class", "point"]).loc["dice", 0.97, "curve 2", "shifted"]
    assert (one["mae"], one["coverage"]) == (pytest.approx(0.25), pytest.approx(0.8 / 3))
    assert (one["mae_seeds"], one["seeds"]) == (2, 3)


def test_data_without_curves_have_no_curve_table(rows):
    assert tables.curves(rows).empty
