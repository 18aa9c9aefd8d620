"""Finding families by name, and what importing them loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sweeper.errors import UnknownFamily
from sweeper.losses.catalogue import ALIASES, FAMILIES, family

TIER_ONE = {
    "cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "weighted_cross_entropy": ("pixel", "per-pixel", "class-weighted"),
    "focal": ("pixel", "per-pixel", "class-weighted"),
    "dice": ("region", "overlap-aware", "symmetric"),
    "generalized_dice": ("region", "overlap-aware", "class-weighted"),
    "iou": ("region", "overlap-aware", "symmetric"),
    "lovasz_softmax": ("region", "overlap-aware", "symmetric"),
    "tversky": ("region", "overlap-aware", "tunable"),
    "focal_tversky": ("region", "overlap-aware", "tunable"),
    "combo": ("combination", "mixed", "tunable"),
    "dice_ce": ("combination", "mixed", "symmetric"),
}


def test_families_and_their_place_on_the_two_axes():
    assert {name: (row.level, row.overlap, row.tradeoff) for name, row in FAMILIES.items()} == TIER_ONE


def test_keys_are_the_names():
    assert list(FAMILIES) == [row.name for row in FAMILIES.values()]


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        FAMILIES["mine"] = FAMILIES["dice"]


def test_aliases_are_unambiguous():
    every = [alias for row in FAMILIES.values() for alias in row.aliases]
    assert len(every) == len(set(every)) == len(ALIASES)
    assert not set(every) & set(FAMILIES)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("ce", "cross_entropy"),
        ("bce", "cross_entropy"),
        ("binary_cross_entropy", "cross_entropy"),
        ("wce", "weighted_cross_entropy"),
        ("gdl", "generalized_dice"),
        ("jaccard", "iou"),
        ("lovasz", "lovasz_softmax"),
        ("ftl", "focal_tversky"),
    ],
)
def test_aliases_lead_to_the_family(alias, name):
    assert family(alias) is FAMILIES[name]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tverksy", "did you mean 'tversky'?"),
        ("Dice", "did you mean 'dice'?"),
        ("jacard", "did you mean 'jaccard'?"),
        ("binary_crossentropy", "did you mean 'binary_cross_entropy'?"),
        ("qqq", "choose from combo, cross_entropy, dice, "),
    ],
)
def test_unknown_names_get_the_nearest(name, hint):
    with pytest.raises(UnknownFamily) as caught:
        family(name)
    assert str(caught.value).startswith(f"there is no loss family {name!r}; {hint}")


@pytest.mark.parametrize(
    ("name", "searched"),
    [
        ("cross_entropy", {}),
        ("weighted_cross_entropy", {"power": "uniform [0, 1]"}),
        ("focal", {"gamma": "uniform [0, 5]"}),
        ("generalized_dice", {"power": "uniform [0, 2]"}),
        ("tversky", {"alpha": "1 − beta", "beta": "uniform [0.1, 0.9]"}),
        ("focal_tversky", {"gamma": "uniform [1, 3]", "alpha": "1 − beta", "beta": "uniform [0.1, 0.9]"}),
        ("combo", {"alpha": "uniform [0, 1]", "beta": "uniform [0.1, 0.9]"}),
        ("dice_ce", {"lambda_dice": "log-uniform [0.1, 10]"}),
    ],
)
def test_what_is_searched(name, searched):
    dials = family(name).hyperparameters
    assert {key: str(dial.search) for key, dial in dials.items() if dial.search is not None} == searched


def test_domains_fix_what_is_not_searched_at_the_default():
    domains = family("focal").domains
    assert str(domains["gamma"]) == "uniform [0, 5]"
    assert domains["alpha"].value is None
    assert family("focal").defaults == {"gamma": 2.0, "alpha": None}


def loaded_by(statement, watched):
    code = f"import sys; {statement}; print(*sorted({watched!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


HEAVY = {"torch", "ray", "mlflow", "optuna", "segmentation_models_pytorch", "monai", "pandas", "pyarrow"}


def test_the_catalogue_loads_torch_and_nothing_else_heavy():
    assert loaded_by("import sweeper.losses.catalogue", HEAVY) == ["torch"]


def test_saying_what_a_family_is_loads_nothing_heavy():
    assert loaded_by("import sweeper.losses.family, sweeper.losses.options", HEAVY) == []
