"""Finding families by name, and what importing them loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sweeper.losses
from sweeper.api import load_study
from sweeper.errors import StudyError, UnknownFamily
from sweeper.losses.catalogue import ALIASES, FAMILIES, OUTSIDE, family

PLANE = {
    (
        "pixel",
        "per-pixel",
        "symmetric",
    ): [
        "cross_entropy",
        "topk_cross_entropy",
        "label_smoothing_cross_entropy",
        "poly1_cross_entropy",
        "phuber_cross_entropy",
        "generalized_cross_entropy",
        "mse",
        "mae",
        "kl_divergence",
    ],
    (
        "pixel",
        "per-pixel",
        "class-weighted",
    ): [
        "weighted_cross_entropy",
        "balanced_cross_entropy",
        "focal",
        "logit_adjusted_cross_entropy",
        "recall_cross_entropy",
        "hierarchical_cross_entropy",
    ],
    ("pixel", "boundary-aware", "symmetric"): ["distance_map_cross_entropy"],
    (
        "region",
        "overlap-aware",
        "symmetric",
    ): [
        "dice",
        "log_cosh_dice",
        "generalized_wasserstein_dice",
        "iou",
        "lovasz_softmax",
        "rmi",
        "mcc",
        "noise_robust_dice",
        "jaccard_metric",
        "size_prior",
    ],
    ("region", "overlap-aware", "class-weighted"): ["generalized_dice"],
    (
        "region",
        "overlap-aware",
        "tunable",
    ): ["tversky", "focal_tversky", "sensitivity_specificity", "asymmetric_similarity"],
    ("region", "mixed", "symmetric"): ["robust_t"],
    (
        "boundary",
        "boundary-aware",
        "symmetric",
    ): [
        "boundary",
        "hausdorff_dt",
        "hausdorff_er",
        "hausdorff_cv",
        "boundary_aware",
        "active_boundary",
        "inverseform",
        "conditional_boundary",
        "region_wise",
        "shape_aware",
    ],
    ("boundary", "mixed", "symmetric"): ["boundary_dou", "active_contour"],
    ("boundary", "boundary-aware", "tunable"): ["boundary_f1"],
    ("combination", "mixed", "tunable"): ["combo", "unified_focal", "asymmetric_unified_focal"],
    ("combination", "mixed", "class-weighted"): ["exp_log"],
    ("combination", "mixed", "symmetric"): ["dice_ce", "dice_focal", "dice_topk", "region_boundary", "basnet_hybrid"],
    (
        "structural",
        "mixed",
        "symmetric",
    ): ["ssl", "ssim", "perceptual", "adversarial", "adversarial_wgan", "adversarial_lsgan", "adversarial_hinge"],
    ("structural", "mixed", "class-weighted"): ["topology_aware_focal"],
    ("structural", "boundary-aware", "symmetric"): ["pixel_triplet"],
    ("structural", "overlap-aware", "symmetric"): ["cldice", "blob"],
    ("structural", "overlap-aware", "tunable"): ["skeleton_recall"],
}
"""Every family by level, overlap and trade-off."""


def test_families_and_their_place_on_the_two_axes():
    found = {}
    for name, row in FAMILIES.items():
        found.setdefault((row.level, row.overlap, row.tradeoff), []).append(name)
    assert {place: sorted(names) for place, names in found.items()} == {
        place: sorted(names) for place, names in PLANE.items()
    }


def test_keys_are_the_names():
    assert list(FAMILIES) == [row.name for row in FAMILIES.values()]


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        FAMILIES["mine"] = FAMILIES["dice"]


def test_aliases_are_unambiguous():
    every = [alias for row in FAMILIES.values() for alias in row.aliases]
    assert len(every) == len(set(every)) == len(ALIASES)
    assert not set(every) & set(FAMILIES)
    assert not set(OUTSIDE) & {*every, *FAMILIES}


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
        ("qqq", "choose from active_boundary, active_contour, adversarial, "),
    ],
)
def test_unknown_names_get_the_nearest(name, hint):
    with pytest.raises(UnknownFamily) as caught:
        family(name)
    assert str(caught.value).startswith(f"there is no loss family {name!r}; {hint}")


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_are_no_losses_lead_to_the_reason(name):
    with pytest.raises(UnknownFamily, match="no segmentation target") as caught:
        family(name)
    assert caught.value.hint == OUTSIDE[name]
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_study_that_names_one_is_told_the_reason(tmp_path):
    study = {"name": "mine", "data": {"generator": "cracks"}, "families": ["contrastive"]}
    with pytest.raises(StudyError, match="no segmentation target"):
        load_study(study)


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


def test_the_package_of_losses_loads_nothing_heavy():
    assert loaded_by("import sweeper.losses", HEAVY) == []


def test_every_family_is_a_function_of_the_package():
    for name, row in FAMILIES.items():
        assert getattr(sweeper.losses, name) is row.function
    assert set(dir(sweeper.losses)) >= {*FAMILIES, "catalogue"}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sweeper.losses.nothing  # noqa: B018


def test_no_family_hides_a_module_of_the_package():
    modules = {path.stem for path in Path(sweeper.losses.__file__).parent.iterdir()}
    assert not modules & {*FAMILIES}


def test_type_checkers_see_what_the_package_offers():
    tree = ast.parse(Path(sweeper.losses.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    offered = {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}
    assert offered == {name: (row.function.__module__, name) for name, row in FAMILIES.items()}


def test_saying_what_a_family_is_loads_nothing_heavy():
    assert loaded_by("import sweeper.losses.family, sweeper.losses.options", HEAVY) == []
