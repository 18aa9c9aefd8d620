"""The plan: budgets that are equal unless a family has nothing to search, and keys that say what a trial is."""

from __future__ import annotations

import dataclasses

import pytest

from sweeper.losses import needs
from sweeper.losses.catalogue import family
from sweeper.maps.kinds import KINDS
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan


def plan(fingerprint: str = "data", **sections: object):
    return make_plan(load_study({"families": ["cross_entropy", "focal", "tversky"], **sections}), fingerprint)


def test_a_family_without_hyperparameters_needs_one_trial():
    assert [cell.budget for cell in plan(search={"trials": 6}).cells] == [1, 6, 6]


def test_tuning_the_learning_rate_gives_every_family_the_whole_budget():
    cells = plan(search={"trials": 6}, training={"lr": {"log_uniform": [1e-4, 1e-2]}}).cells
    assert [cell.budget for cell in cells] == [6, 6, 6]
    assert cells[0].default["training.lr"] == 1e-3


def test_searching_at_all_levels_makes_a_cell_of_each():
    cells = plan(search={"levels": "all"}, imbalance={"levels": [0.95, 0.9]}).cells
    assert [(cell.family, cell.level) for cell in cells[:2]] == [("cross_entropy", 0.9), ("cross_entropy", 0.95)]
    assert len(cells) == 6


def test_the_count_of_trials():
    made = plan(search={"trials": 4}, confirm={"seeds": 3}, imbalance={"levels": [0.9, 0.97]})
    assert made.search_trials == 1 + 4 + 4
    # tuned and default of focal and tversky, the one setting of cross-entropy; two levels, three seeds
    assert made.confirm_trials == (1 + 2 + 2) * 2 * 3


def test_the_default_moves_into_a_narrowed_domain():
    made = plan(families={"focal": {"gamma": {"uniform": [3, 5]}}, "tversky": {"beta": {"uniform": [0.8, 0.9]}}})
    assert made.cells[0].default["gamma"] == 3
    assert made.cells[1].default["beta"] == 0.8
    assert made.cells[1].default["alpha"] == 0.2


def test_the_key_names_everything_that_decides_the_outcome():
    made = plan()
    values = made.cells[2].default
    key = made.trial("tversky", values, 0.97, 0, "search").key
    assert made.trial("tversky", dict(reversed(values.items())), 0.97, 0, "search").key == key
    others = {
        made.trial("tversky", {**values, "beta": 0.5}, 0.97, 0, "search").key,
        made.trial("tversky", values, 0.9, 0, "search").key,
        made.trial("tversky", values, 0.97, 1, "search").key,
        made.trial("tversky", values, 0.97, 0, "confirm").key,
        made.trial("focal_tversky", values, 0.97, 0, "search").key,
        plan("other").trial("tversky", values, 0.97, 0, "search").key,
        plan(training={"epochs": 3}).trial("tversky", values, 0.97, 0, "search").key,
        plan(model={"encoder": "resnet34"}).trial("tversky", values, 0.97, 0, "search").key,
        plan(search={"metric": "minority_f1"}).trial("tversky", values, 0.97, 0, "search").key,
    }
    assert len(others | {key}) == 10


def test_the_key_does_not_depend_on_what_decides_nothing():
    key = plan().trial("dice", {}, 0.97, 0, "search").key
    assert (
        plan(search={"trials": 3}, confirm={"seeds": 2}, name="other").trial("dice", {}, 0.97, 0, "search").key == key
    )


def test_a_trial_survives_plain_data():
    made = plan(model={"depth": 3, "decoder_channels": [8, 8, 8]})
    trial = made.trial("tversky", made.cells[2].default, 0.97, 0, "search")
    assert type(trial).from_dict(trial.to_dict()) == trial
    assert dataclasses.replace(trial, seed=1) != trial


@pytest.mark.parametrize(
    ("name", "values", "changed", "same"),
    [
        ("boundary", {}, "signed_distance", False),
        ("boundary", {}, "outline", True),
        ("tversky", {}, "signed_distance", True),
        ("weighted_cross_entropy", {}, "signed_distance", True),  # a need without a version
        ("region_boundary", {"boundary": "cldice"}, "skeleton_level", False),
        ("region_boundary", {"boundary": "cldice"}, "signed_distance", True),
        ("perceptual", {"extractor": "mask_autoencoder"}, "mask_autoencoder", False),
        ("perceptual", {"extractor": "filters"}, "mask_autoencoder", True),
    ],
)
def test_the_key_names_the_versions_of_what_a_setting_needs(monkeypatch, name, values, changed, same):
    made = plan(families=[name])
    settings = {**family(name).defaults, **values}
    key = made.trial(name, settings, 0.97, 0, "search").key
    if changed in KINDS:
        newer = dataclasses.replace(KINDS[changed], version=KINDS[changed].version + 1)
        monkeypatch.setattr(needs, "KINDS", {**KINDS, changed: newer})
    else:
        monkeypatch.setattr(needs, "ARTEFACT_VERSIONS", {**needs.ARTEFACT_VERSIONS, changed: 1000})
    assert (made.trial(name, settings, 0.97, 0, "search").key == key) is same


def test_artefacts_on_disk_have_the_versions_of_the_keys():
    from sweeper.training.artefacts import VERSIONS

    assert VERSIONS == needs.ARTEFACT_VERSIONS
