"""What changed between two studies of one name: what extends it, what narrows it, what breaks what is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.study.change import changes
from sweeper.study.load import load_study

BASE: dict[str, Any] = {
    "families": {"cross_entropy": {}, "dice": {}, "tversky": {"beta": {"uniform": [0.1, 0.9]}}},
    "imbalance": {"levels": [0.93, 0.95]},
    "training": {"epochs": 4, "lr": {"log_uniform": [1e-4, 1e-2]}},
    "search": {"trials": 4},
    "confirm": {"seeds": 2},
}


def changed(*overrides: str, base: tuple[str, ...] = ()) -> dict[str, tuple[str, str, str]]:
    old, new = load_study(BASE, overrides=base), load_study(BASE, overrides=(*base, *overrides))
    return {one.key: (one.old, one.new, one.effect) for one in changes(old.to_dict(), new.to_dict())}


def test_the_same_study_has_not_changed():
    study = load_study(BASE)
    assert changes(study.to_dict(), study.to_dict()) == []
    assert changes(load_study(study.to_dict()).to_dict(), study.to_dict()) == []


@pytest.mark.parametrize(
    ("override", "key", "old", "new"),
    [
        ("search.trials=6", "search.trials", "4", "6"),
        ("confirm.seeds=3", "confirm.seeds", "2", "3"),
        ("imbalance.levels=[0.9, 0.93, 0.95]", "imbalance.levels", "[0.93, 0.95]", "[0.9, 0.93, 0.95]"),
    ],
)
def test_more_of_the_same_extends_and_less_narrows(override, key, old, new):
    assert changed(override) == {key: (old, new, "extends")}
    less = f"{key}={old}"
    assert changed(less, base=(override,)) == {key: (new, old, "narrows")}


def test_levels_of_which_one_is_exchanged_are_fewer_too():
    assert changed("imbalance.levels=[0.9, 0.95]")["imbalance.levels"][2] == "narrows"
    assert changed("imbalance.levels=[0.95, 0.93]") == {}, "their order means nothing"


def test_the_default_may_be_confirmed_too_or_no_longer():
    assert changed("confirm.include_default=false")["confirm.include_default"] == ("true", "false", "narrows")
    back = changed("confirm.include_default=true", base=("confirm.include_default=false",))
    assert back["confirm.include_default"][2] == "extends"


def test_giving_up_later_extends_and_sooner_narrows():
    assert changed("search.give_up_after=5")["search.give_up_after"] == ("3", "5", "extends")
    assert changed("search.give_up_after=0")["search.give_up_after"][2] == "extends"
    assert changed("search.give_up_after=9", base=("search.give_up_after=0",))["search.give_up_after"][2] == "narrows"


def test_a_new_family_extends_and_one_that_is_gone_narrows():
    old, _, effect = changed("families.lovasz_softmax={}")["families.lovasz_softmax"]
    assert (old, effect) == ("nothing", "extends")
    assert changed('families=["cross_entropy", "tversky"]')["families.dice"][1:] == ("nothing", "narrows")


@pytest.mark.parametrize(
    "override",
    [
        "families.tversky.beta={uniform: [0.2, 0.9]}",
        "families.dice.smooth=1",
        "training.epochs=6",
        "training.lr={log_uniform: [1e-4, 1e-1]}",
        "training.lr=0.003",
        "model.depth=4",
        "search.seed=1",
        "search.sampler=random",
        "search.levels=all",
        "search.metric=minority_f1",
        "search.stopping=none",
        "search.parallel=2",
        "confirm.first_seed=2000",
    ],
)
def test_another_question_breaks(override):
    found = changed(override)
    key = override.partition("=")[0]
    assert found[key][2] == "breaks"
    assert found[key][0] != found[key][1]


@pytest.mark.parametrize(
    "override",
    ["resources.stall=60", "resources.cpu=2", "resources.gpu=0", "tracking.experiment=mine", "confirm.models=all"],
)
def test_what_no_outcome_depends_on_is_free(override):
    assert {effect for _, _, effect in changed(override).values()} == {"free"}


def test_data_is_left_to_the_fingerprint():
    assert changed("data.scans=12")["data.scans"][2] == "data"


def test_a_reference_that_followed_the_levels_breaks_and_says_how_to_keep_it():
    old = load_study(BASE)
    new = load_study(BASE, overrides=["imbalance.levels=[0.93, 0.95, 0.97]"])
    levels, reference = changes(old.to_dict(), new.to_dict())
    assert (levels.effect, reference.effect) == ("extends", "breaks")
    assert str(reference) == "imbalance.reference: 0.95 → 0.97 (write reference: 0.95 to keep it)"
    kept = changed("imbalance.levels=[0.93, 0.95, 0.97]", "imbalance.reference=0.95")
    assert {*kept} == {"imbalance.levels"}


def test_the_reference_matters_to_the_report_alone_where_every_level_is_searched():
    found = changed("imbalance.levels=[0.93, 0.95, 0.97]", base=("search.levels=all",))
    assert found["imbalance.reference"][2] == "free"


def test_an_option_that_an_older_version_lacked_is_no_change():
    old = load_study(BASE).to_dict()
    del old["search"]["parallel"]
    assert changes(old, load_study(BASE, overrides=["search.parallel=3"]).to_dict()) == []


def test_long_values_are_shortened():
    many = ", ".join(f"0.9{number:02}" for number in range(30))
    (_, new, _) = changed(f"imbalance.levels=[{many}]")["imbalance.levels"]
    assert len(new) == 60
    assert new.endswith("…")
