"""A family at one setting as a torch module."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sweeper.errors import LossError, UnknownFamily
from sweeper.losses.catalogue import FAMILIES, family, loss
from sweeper.losses.companion import Companion
from sweeper.losses.module import Loss
from sweeper.losses.needs import ARTEFACTS
from sweeper.losses.networks import untrained
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from .batches import IGNORED, random_batch


@pytest.mark.parametrize("name", FAMILIES)
def test_the_module_is_the_function(name):
    logits, target = random_batch(side=16)
    row = family(name)
    needs = row.needs_at({})
    own = {name: untrained(name) for name in needs if name in ARTEFACTS}
    module = loss(name, ignore_index=IGNORED).bring(classes=3, channels=1, artefacts=own)
    given = {"images": torch.ones(2, 1, 16, 16)} if "images" in needs else {}
    expected = {"companion": module.companion} if row.companion is not None else {}
    value = row.function(logits, target, ignore_index=IGNORED, **given, **expected)
    assert module(logits, target, **given) == value


def test_settings_reach_the_function():
    logits, target = random_batch()
    module = loss("tversky", alpha=0.2, beta=0.8, scope="image", ignore_index=IGNORED)
    expected = family("tversky").function(logits, target, alpha=0.2, beta=0.8, scope="image", ignore_index=IGNORED)
    assert module(logits, target) == expected
    assert isinstance(module, torch.nn.Module)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (lambda: loss("ce"), "Loss(cross_entropy, ignore_index=-100)"),
        (
            lambda: loss("tversky", alpha=0.2, beta=0.8),
            "Loss(tversky, alpha=0.2, beta=0.8, smooth=0.0, ignore_index=-100)",
        ),
        (
            lambda: loss("dice", classes="foreground", ignore_index=255),
            "Loss(dice, smooth=0.0, classes='foreground', ignore_index=255)",
        ),
        (
            lambda: loss("wce", class_weights=[1, 3]),
            "Loss(weighted_cross_entropy, power=0.5, class_weights=[1.0, 3.0], ignore_index=-100)",
        ),
    ],
)
def test_repr(module, text):
    assert repr(module()) == text


def test_lists_of_lists_are_taken_as_they_are():
    logits, target = random_batch()
    module = loss("hierarchical_cross_entropy", groups=[[0], [1, 2]], ignore_index=IGNORED)
    assert module(logits, target) == loss("hierarchical_cross_entropy", ignore_index=IGNORED)(logits, target)
    apart = loss("hierarchical_cross_entropy", groups=((0,), (1,), (2,)), ignore_index=IGNORED)
    assert apart(logits, target).item() == pytest.approx(loss("ce", ignore_index=IGNORED)(logits, target).item())
    assert "groups=[[0], [1, 2]]" in repr(module)


def test_a_matrix_moves_with_the_module():
    logits, target = random_batch()
    matrix = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.5], [1.0, 0.5, 0.0]])
    module = loss("gwdl", matrix=matrix, ignore_index=IGNORED)
    assert list(module.state_dict()) == ["matrix"]
    assert module(logits, target) == loss("gwdl", fg_distance=0.5, ignore_index=IGNORED)(logits, target)


def test_target_maps_are_given_with_the_target():
    logits, target = random_batch()
    module = loss("boundary", ignore_index=IGNORED)
    assert module.needs == ("signed_distance",)
    distance = target_map("signed_distance", None, prepare(logits, target, IGNORED))
    assert module(logits, target, signed_distance=distance) == module(logits, target)
    assert module(logits, target, signed_distance=-distance) != module(logits, target)


def test_needs_are_those_of_the_setting():
    assert loss("pixel_triplet").needs == ("boundary_band", "step")
    assert loss("pixel_triplet", space="features").needs == ("boundary_band", "features", "step")
    assert loss("tversky").needs == ()
    assert "boundary_transform" not in loss("inverseform").needs


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("tversky", {"images": None}, "tversky takes no 'images'; it takes logits and target alone"),
        ("boundary", {"signed_distances": None}, "did you mean 'signed_distance'?"),
        ("inverseform", {"boundary_transform": None}, "inverseform takes no 'boundary_transform'"),
    ],
)
def test_what_a_loss_does_not_take_is_refused(name, given, says):
    with pytest.raises(LossError) as caught:
        loss(name)(*random_batch(), **given)
    assert says in str(caught.value)


def test_a_ramp_follows_the_progress():
    logits, target = random_batch()
    module = loss("topk_cross_entropy", k=0.2, k_start=1.0, k_ramp=0.5, ignore_index=IGNORED)
    at = {progress: module(logits, target, progress=progress).item() for progress in (0.0, 0.25, 0.5, 1.0)}
    plain = {k: loss("topk_cross_entropy", k=k, k_ramp=0.0, ignore_index=IGNORED) for k in (1.0, 0.6, 0.2)}
    expected = {k: one(logits, target).item() for k, one in plain.items()}
    assert at == pytest.approx({0.0: expected[1.0], 0.25: expected[0.6], 0.5: expected[0.2], 1.0: expected[0.2]})
    assert module(logits, target).item() == at[1.0]


def test_what_a_loss_brings_along_is_part_of_it():
    logits, target = random_batch()
    module = loss("robust_t", nu=2.0, ignore_index=IGNORED)
    assert list(module.parameters()) == []
    assert module.bring(classes=3) is module
    assert [name for name, _ in module.named_parameters()] == ["companion.log_nu"]
    assert module.companion.nu.item() == pytest.approx(2.0)
    module(logits, target).backward()
    assert module.companion.log_nu.grad.abs() > 0
    again = loss("robust_t", nu=9.0, companion=module.companion, ignore_index=IGNORED)
    assert again(logits, target) == module(logits, target)


def test_a_rival_learns_by_itself_and_not_with_the_model():
    logits, target = random_batch(side=16)
    images = torch.ones(2, 3, 16, 16)
    module = loss("adversarial", ignore_index=IGNORED).bring(classes=3)
    assert all(parameter.requires_grad for parameter in module.parameters())
    module(logits.requires_grad_(), target, images=images).backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in module.parameters())


class Unfrozen(Companion):
    def __init__(self, setup):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))


def test_a_frozen_network_asks_for_no_gradient():
    module = Loss(dataclasses.replace(family("perceptual"), companion=Unfrozen)).bring(classes=3)
    assert isinstance(module.companion, Unfrozen)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module.companion.training


def test_settings_without_a_companion_bring_nothing():
    assert loss("tversky").bring(classes=3).companion is None
    assert loss("robust_t", trainable=False).bring(classes=3).companion is None


def test_vectors_move_with_the_module():
    module = loss("wce", class_frequencies=[0.9, 0.1])
    assert module.to(torch.float64).class_frequencies.dtype == torch.float64
    assert list(module.state_dict()) == ["class_frequencies"]


def test_a_value_equal_to_an_unset_default_is_accepted():
    assert loss("focal", alpha=None).hyperparameters == {"alpha": None}


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("tversky", {"apha": 0.3}, "tversky has no hyperparameter 'apha'; did you mean 'alpha'?"),
        ("ce", {"gamma": 2.0}, "cross_entropy has no hyperparameter 'gamma'; it has none"),
        ("wce", {"class_wieghts": [1, 2]}, "did you mean 'class_weights'"),
        ("tversky", {"beta": -0.1}, "tversky: beta: -0.1 is outside 0 to"),
        ("combo", {"alpha": 1.5}, "combo: alpha: 1.5 is outside 0 to 1"),
        ("focal", {"gamma": float("nan")}, "focal: gamma: nan is outside"),
        ("focal", {"gamma": "high"}, "focal: gamma: 'high' is not a number"),
        ("focal", {"gamma": True}, "focal: gamma: True is not a number"),
        ("focal", {"gamma": [1.0, 2.0]}, "is not a number"),
        ("tversky", {"beta": None}, "tversky: beta: None is not a number"),
        ("dice", {"scope": "pixel"}, "dice: scope: 'pixel' is not one of batch, image"),
        ("dice", {"log_loss": 1}, "dice: log_loss: 1 is not one of False, True"),
        ("wce", {"class_weights": [1.0, -1.0]}, "one number ≥ 0 per class"),
        ("wce", {"class_weights": [1.0, float("nan")]}, "one number ≥ 0 per class"),
        ("wce", {"class_weights": "heavy"}, "class_weights is 'heavy'; it must be one number per class"),
        ("wce", {"class_weights": 3.0}, "one number ≥ 0 per class"),
        ("boundary", {"signed_distance": [1.0]}, "boundary: signed_distance changes from step to step"),
        ("pixel_triplet", {"step": 3}, "step changes from step to step; pass it with logits and target"),
        ("tversky", {"companion": Companion()}, "tversky brings no companion along"),
    ],
)
def test_settings_outside_the_family_are_refused(name, settings, says):
    with pytest.raises(LossError) as caught:
        loss(name, **settings)
    assert says in str(caught.value)


def test_unknown_families_are_refused():
    with pytest.raises(UnknownFamily):
        loss("dicee")
