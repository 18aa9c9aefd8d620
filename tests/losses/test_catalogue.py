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
    "cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "weighted_cross_entropy": ("pixel", "per-pixel", "class-weighted"),
    "balanced_cross_entropy": ("pixel", "per-pixel", "class-weighted"),
    "focal": ("pixel", "per-pixel", "class-weighted"),
    "topk_cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "distance_map_cross_entropy": ("pixel", "boundary-aware", "symmetric"),
    "label_smoothing_cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "poly1_cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "phuber_cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "generalized_cross_entropy": ("pixel", "per-pixel", "symmetric"),
    "logit_adjusted_cross_entropy": ("pixel", "per-pixel", "class-weighted"),
    "recall_cross_entropy": ("pixel", "per-pixel", "class-weighted"),
    "mse": ("pixel", "per-pixel", "symmetric"),
    "mae": ("pixel", "per-pixel", "symmetric"),
    "kl_divergence": ("pixel", "per-pixel", "symmetric"),
    "hierarchical_cross_entropy": ("pixel", "per-pixel", "class-weighted"),
    "dice": ("region", "overlap-aware", "symmetric"),
    "generalized_dice": ("region", "overlap-aware", "class-weighted"),
    "log_cosh_dice": ("region", "overlap-aware", "symmetric"),
    "generalized_wasserstein_dice": ("region", "overlap-aware", "symmetric"),
    "iou": ("region", "overlap-aware", "symmetric"),
    "lovasz_softmax": ("region", "overlap-aware", "symmetric"),
    "tversky": ("region", "overlap-aware", "tunable"),
    "focal_tversky": ("region", "overlap-aware", "tunable"),
    "sensitivity_specificity": ("region", "overlap-aware", "tunable"),
    "rmi": ("region", "overlap-aware", "symmetric"),
    "robust_t": ("region", "mixed", "symmetric"),
    "asymmetric_similarity": ("region", "overlap-aware", "tunable"),
    "mcc": ("region", "overlap-aware", "symmetric"),
    "noise_robust_dice": ("region", "overlap-aware", "symmetric"),
    "jaccard_metric": ("region", "overlap-aware", "symmetric"),
    "size_prior": ("region", "overlap-aware", "symmetric"),
    "boundary": ("boundary", "boundary-aware", "symmetric"),
    "hausdorff_dt": ("boundary", "boundary-aware", "symmetric"),
    "hausdorff_er": ("boundary", "boundary-aware", "symmetric"),
    "hausdorff_cv": ("boundary", "boundary-aware", "symmetric"),
    "boundary_aware": ("boundary", "boundary-aware", "symmetric"),
    "active_boundary": ("boundary", "boundary-aware", "symmetric"),
    "inverseform": ("boundary", "boundary-aware", "symmetric"),
    "conditional_boundary": ("boundary", "boundary-aware", "symmetric"),
    "boundary_dou": ("boundary", "mixed", "symmetric"),
    "region_wise": ("boundary", "boundary-aware", "symmetric"),
    "shape_aware": ("boundary", "boundary-aware", "symmetric"),
    "active_contour": ("boundary", "mixed", "symmetric"),
    "boundary_f1": ("boundary", "boundary-aware", "tunable"),
    "combo": ("combination", "mixed", "tunable"),
    "exp_log": ("combination", "mixed", "class-weighted"),
    "unified_focal": ("combination", "mixed", "tunable"),
    "asymmetric_unified_focal": ("combination", "mixed", "tunable"),
    "dice_ce": ("combination", "mixed", "symmetric"),
    "dice_focal": ("combination", "mixed", "symmetric"),
    "dice_topk": ("combination", "mixed", "symmetric"),
    "region_boundary": ("combination", "mixed", "symmetric"),
    "basnet_hybrid": ("combination", "mixed", "symmetric"),
    "ssl": ("structural", "mixed", "symmetric"),
    "ssim": ("structural", "mixed", "symmetric"),
    "perceptual": ("structural", "mixed", "symmetric"),
    "adversarial": ("structural", "mixed", "symmetric"),
    "adversarial_wgan": ("structural", "mixed", "symmetric"),
    "adversarial_lsgan": ("structural", "mixed", "symmetric"),
    "adversarial_hinge": ("structural", "mixed", "symmetric"),
    "topology_aware_focal": ("structural", "mixed", "class-weighted"),
    "pixel_triplet": ("structural", "boundary-aware", "symmetric"),
    "cldice": ("structural", "overlap-aware", "symmetric"),
    "skeleton_recall": ("structural", "overlap-aware", "tunable"),
    "blob": ("structural", "overlap-aware", "symmetric"),
}
"""Level, overlap and trade-off of every family."""


def test_families_and_their_place_on_the_two_axes():
    assert {name: (row.level, row.overlap, row.tradeoff) for name, row in FAMILIES.items()} == PLANE


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


NEAREST = {
    "contrastive": "pixel_triplet",
    "contrastive_coding": "pixel_triplet",
    "infonce": "pixel_triplet",
    "info_nce": "pixel_triplet",
    "dml": "jaccard_metric with a = 0.5",
    "dice_semimetric": "jaccard_metric with a = 0.5",
    "poly1_focal": "poly1_cross_entropy with gamma = 2",
    "unet3plus": "basnet_hybrid",
}
"""What is told of each name that is no family: the nearest one, and its setting where that is the same loss."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_are_no_families_lead_to_the_nearest_and_the_reason(name):
    with pytest.raises(UnknownFamily, match=NEAREST[name]) as caught:
        family(name)
    assert NEAREST[name].split()[0] in FAMILIES
    assert ("no segmentation target" in caught.value.hint) is (NEAREST[name] == "pixel_triplet")
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
